"""`edgeseg verify`: two models on the same pictures.

Both see the same bytes. A run takes frames of any size and is opened for the other model's; two
graphs must take the same, but for the order of their colors. Frames of another size would be
resized once more on their way to the network, and the differences would be the resize's.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.accuracy.verify_report import Limits, Verification
from edgeseg.cards import EngineCard, GraphCard, read_card
from edgeseg.config import VerifyConfig
from edgeseg.data.frames import parity_frames, pick_paths
from edgeseg.data.images import read_image
from edgeseg.errors import ConfigError
from edgeseg.evaluation.compare import Parity, compare
from edgeseg.extras import install_command, installed
from edgeseg.graph.files import read_graph
from edgeseg.loading import open_model, open_run
from edgeseg.log import log
from edgeseg.quantize.headroom import Headroom, read_headroom
from edgeseg.runtime.base import Backend
from edgeseg.runtime.engine_files import card_path, engine_path

NAMED = 5  # frames that a message names

EXTREMES = 3  # black, white and noise, behind the pictures

Frame = NDArray[np.uint8]


def verify(
    a: Path,
    b: Path,
    config: VerifyConfig,
) -> Verification:
    """Compare two models: each a run's folder, an ONNX file or an engine.

    Errors: those of `open_model`; ConfigError for two models that take different frames; DataError
    for a folder without images.
    """
    paths = pick_paths(config.data, config.image_count) if config.data else []
    with ExitStack() as stack:
        ours, theirs = _open_both(a, b, stack)
        check_comparable(ours.card, theirs.card)
        images = [read_image(path) for path in paths]
        frames = parity_frames(ours.card, images, most=config.image_count)
        int8 = _int8(a) or _int8(b)
        judged = frames[:-EXTREMES] if int8 else frames
        found = Verification(
            a=f"{a}: {ours.name}",
            b=f"{b}: {theirs.name}",
            pictures=_origin(config.data, len(paths), ours.card),
            parity=compare(ours, theirs, judged),
            worst=(),
            notes=tuple(_notes(ours.card, theirs.card)),
            headroom=tuple(_headroom(a, b, ours.card, theirs.card, frames)),
            limits=Limits.of(config, len(judged), int8=int8),
            extremes=compare(ours, theirs, frames[-EXTREMES:]) if int8 else None,
        )
        if not found.problems():
            return found
        worst = _worst(ours, theirs, frames, len(judged), [str(path) for path in paths])
        return replace(found, worst=tuple(worst))


def check_comparable(a: GraphCard, b: GraphCard) -> None:
    """ConfigError unless both models can be shown the same bytes and their maps have one size."""
    if a.image_size != b.image_size:
        raise ConfigError(
            f"A sees {a.image_size} x {a.image_size} pixels and B {b.image_size} x "
            f"{b.image_size}: two networks, whose maps cannot be laid over each other.",
            remedy="name two steps of one model; edgeseg evaluate A DATA compares networks",
        )
    gray = "gray" in (a.frame_format, b.frame_format) and a.frame_format != b.frame_format
    if a.frame_shape == b.frame_shape and not gray:
        return
    n, height, width, _ = a.frame_shape
    raise ConfigError(
        f"A takes frames of {_frames(a)} and B of {_frames(b)}: they cannot see the same bytes.",
        remedy=f"edgeseg export {b.name} --frame-size {width}x{height} "
        f"--format {a.frame_format} --batch {n}, then build B from it again",
    )


def _open_both(a: Path, b: Path, stack: ExitStack) -> tuple[Backend, Backend]:
    """Open two models; a run beside a graph takes the graph's frames."""
    if a.is_dir() and not b.is_dir():
        theirs, ours = _open_both(b, a, stack)
        return ours, theirs
    ours = stack.enter_context(open_model(a))
    if not b.is_dir() or a.is_dir():
        return ours, stack.enter_context(open_model(b))
    n, height, width, _ = ours.card.frame_shape
    kind = ours.card.frame_format
    run = open_run(b, frame_size=(height, width), frame_format=kind, batch=n, device="auto")
    return ours, stack.enter_context(run)


def _notes(a: GraphCard, b: GraphCard) -> list[str]:
    """Say what differs between the models before any frame is run."""
    notes = []
    if a.weights_sha256 != b.weights_sha256:
        notes.append("note: they hold different weights; this compares two trainings")
    limits = [(card.threshold, card.image_threshold) for card in (a, b)]
    if limits[0] != limits[1]:
        (pixel, part), (other_pixel, other_part) = limits
        notes.append(
            f"note: their thresholds differ, {pixel:.4g} and {other_pixel:.4g} on the map, "
            f"{part:.4g} and {other_part:.4g} on the score; each is judged by its own"
        )
    return notes


def _headroom(
    a: Path, b: Path, ours: GraphCard, theirs: GraphCard, frames: Sequence[Frame]
) -> list[Headroom]:
    """Look at whichever of the two is a graph."""
    files = [(_graph_file(path), card) for path, card in ((a, ours), (b, theirs))]
    if not installed("onnxruntime"):
        log.info(f"overflows not checked without ONNX Runtime: {install_command('cpu')}")
        return []
    found = {}
    for file, card in files:
        if file is not None and file not in found:
            turned = card.frame_format != ours.frame_format
            shown = [np.ascontiguousarray(f[..., ::-1]) for f in frames] if turned else frames
            found[file] = read_headroom(file, shown)
    return list(found.values())


def _graph_file(path: Path) -> Path | None:
    """Return the ONNX file that a path names, itself or by its engine's card."""
    file = engine_path(card_path(path)) if path.suffix == ".json" else path
    return file if file.suffix == ".onnx" else None


def _int8(path: Path) -> bool:
    """Return whether a path names a quantized graph or engine."""
    if (file := _graph_file(path)) is not None:
        return any(node.op_type == "QuantizeLinear" for node in read_graph(file)[0].graph.node)
    return not path.is_dir() and read_card(card_path(path), EngineCard).precision == "int8"


def _worst(
    a: Backend, b: Backend, frames: Sequence[Frame], judged: int, paths: Sequence[str]
) -> list[str]:
    """Name the frames that flip, then those whose maps differ most."""
    batch = a.card.frame_shape[0]
    pictures = [", ".join(paths[i : i + batch]) for i in range(0, len(paths), batch)]
    names = pictures or [f"synthetic picture {i + 1}" for i in range(len(frames) - EXTREMES)]
    names += ["black", "white", "noise"]
    alone = [compare(a, b, [frame]) for frame in frames[:judged]]
    order = sorted(range(judged), key=lambda i: _badness(alone[i]), reverse=True)
    return [f"{names[i]}: {alone[i].line()}" for i in order[:NAMED] if any(_badness(alone[i]))]


def _badness(parity: Parity) -> tuple[bool, int, float]:
    return not parity.finite, parity.flipped_verdicts, parity.max_abs_diff


def _origin(data: Path | None, count: int, card: GraphCard) -> str:
    pictures = f"{count} images of {data}" if data else "synthetic pictures (--data DIR: your own)"
    return f"{pictures}, black, white and noise, as {_frames(card)}"


def _frames(card: GraphCard) -> str:
    n, height, width, _ = card.frame_shape
    return f"{n} x {width} x {height} {card.frame_format}"
