"""`edgeseg verify`: compare two models on the same frames.

Both get the same bytes. A run accepts frames of any size and is opened for those of the other
model; two graphs must take the same frames, except for the order of the color channels. Frames of
another size would be resized once more, and the comparison would measure that resize.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.accuracy.verify_report import Verification, limits_of
from edgeseg.cards import EngineCard, GraphCard, read_card
from edgeseg.config import ANY_GPU, GpuConfig, VerifyConfig
from edgeseg.data.frames import parity_frames, pick_paths
from edgeseg.data.images import read_image
from edgeseg.errors import ConfigError
from edgeseg.evaluation.compare import Comparison, compare_frames, total
from edgeseg.files import quoted
from edgeseg.frame.geometry import size_text
from edgeseg.graph.files import read_graph
from edgeseg.loading import open_model, open_run, torch_name
from edgeseg.log import log
from edgeseg.packages.extras import install_command, installed
from edgeseg.quantize.headroom import Headroom, read_headroom
from edgeseg.runtime.base import Backend
from edgeseg.runtime.engine_pair import card_path, engine_path

NAMED = 5  # frames that a message names
EXTREMES = 3  # black, white and noise, after the pictures


def verify(a: Path, b: Path, config: VerifyConfig, *, gpu: GpuConfig = ANY_GPU) -> Verification:
    """Compare two models: each a run directory, an ONNX file or an engine.

    gpu: of engines and runs. Errors: those of `open_model`; ConfigError for two models that take
    different frames; DataError for a folder without images.
    """
    paths = pick_paths(config.data, config.image_count) if config.data else []
    with ExitStack() as stack:
        ours, theirs = _open_both(a, b, stack, gpu)
        check_comparable(ours.card, theirs.card)
        images = [read_image(path, ours.card.bit_depth) for path in paths]
        frames = parity_frames(ours.card, images, most=config.image_count)
        found = list(compare_frames(ours, theirs, frames))
        headroom = _headroom(a, b, ours.card, theirs.card, frames)
    int8 = _int8(a) or _int8(b)
    judged = found[:-EXTREMES] if int8 else found
    comparison = total(judged)
    limits = limits_of(config, comparison.frames, int8=int8)
    names = _names(paths, ours.card.frame_shape[0], len(found) - EXTREMES)
    return Verification(
        a=f"{a}: {ours.name}",
        b=f"{b}: {theirs.name}",
        pictures=_origin(config.data, len(paths), ours.card),
        comparison=comparison,
        worst=_worst(judged, names) if limits.problems(comparison) else (),
        notes=tuple(_notes(ours.card, theirs.card)),
        headroom=tuple(headroom),
        limits=limits,
        extremes=total(found[-EXTREMES:]) if int8 else None,
    )


def check_comparable(a: GraphCard, b: GraphCard) -> None:
    """ConfigError unless both models take the same frames and their maps have the same size."""
    if (a.map_size, a.tiles) != (b.map_size, b.tiles) or a.content != b.content:
        sizes = (f"{size_text(card.map_size)} pixels ({card.aspect})" for card in (a, b))
        raise ConfigError(
            "The network of A has {}, that of B {}: their maps cannot be compared.".format(*sizes),
            remedy="name two conversions of one model; edgeseg evaluate A DATA scores a network",
            code="verify/network-size",
        )
    if a.frame_shape == b.frame_shape and (
        a.frame_format == b.frame_format or {a.frame_format, b.frame_format} == {"bgr", "rgb"}
    ):
        return
    n, (height, width) = a.frame_shape[0], a.frame_size
    raise ConfigError(
        f"A takes frames of {_frames(a)}, B takes {_frames(b)}.",
        remedy=f"edgeseg export {quoted(b.name)} --frame-size {width}x{height} "
        f"--format {a.frame_format} --batch {n}, then rebuild B from it",
        code="verify/frames",
    )


def _open_both(a: Path, b: Path, stack: ExitStack, gpu: GpuConfig) -> tuple[Backend, Backend]:
    """Open two models; a run beside a graph takes the graph's frames."""
    if a.is_dir() and not b.is_dir():
        theirs, ours = _open_both(b, a, stack, gpu)
        return ours, theirs
    ours = stack.enter_context(open_model(a, gpu=gpu))
    if not b.is_dir() or a.is_dir():
        return ours, stack.enter_context(open_model(b, gpu=gpu))
    n, (height, width) = ours.card.frame_shape[0], ours.card.frame_size
    kind = ours.card.frame_format
    run = open_run(
        b, frame_size=(height, width), frame_format=kind, batch=n, device=torch_name(gpu)
    )
    return ours, stack.enter_context(run)


def _notes(a: GraphCard, b: GraphCard) -> list[str]:
    """Return what differs between the models before any frame is run."""
    notes = []
    if a.weights_sha256 != b.weights_sha256:
        notes.append("note: the models have different weights")
    if bool(a.input_check) != bool(b.input_check):
        notes.append(f"note: only {'A' if a.input_check else 'B'} checks its input")
    if a.roi != b.roi:
        notes.append("note: the models inspect different ROIs")
    if a.rule != b.rule:
        notes.append("note: each model is judged by its own rule for regions")
    limits = [(card.threshold, card.image_threshold) for card in (a, b)]
    if limits[0] != limits[1]:
        (pixel, image), (other_pixel, other_image) = limits
        notes.append(
            f"note: each model is judged by its own thresholds: pixel {pixel:.4g} and "
            f"{other_pixel:.4g}, image {image:.4g} and {other_image:.4g}"
        )
    return notes


def _headroom(
    a: Path, b: Path, ours: GraphCard, theirs: GraphCard, frames: Sequence[NDArray[np.uint8]]
) -> list[Headroom]:
    """Measure the FP16 headroom of each model that is a graph."""
    files = [(_graph_file(path), card) for path, card in ((a, ours), (b, theirs))]
    if not installed("onnxruntime"):
        log.info(f"FP16 overflow is not checked without ONNX Runtime: {install_command('cpu')}")
        return []
    found = {}
    for file, card in files:
        if file is not None and file not in found:
            swapped = card.frame_format != ours.frame_format
            shown = [np.ascontiguousarray(f[..., ::-1]) for f in frames] if swapped else frames
            found[file] = read_headroom(file, shown)
    return list(found.values())


def _graph_file(path: Path) -> Path | None:
    """Return the ONNX file of a path: itself, or the engine of a card."""
    file = engine_path(card_path(path)) if path.suffix == ".json" else path
    return file if file.suffix == ".onnx" else None


def _int8(path: Path) -> bool:
    """Whether a path names a quantized graph or engine."""
    if (file := _graph_file(path)) is not None:
        return any(node.op_type == "QuantizeLinear" for node in read_graph(file)[0].graph.node)
    return not path.is_dir() and read_card(card_path(path), EngineCard).precision == "int8"


def _names(paths: Sequence[Path], batch: int, count: int) -> list[str]:
    """Name the frames: `count` batches of pictures, then the three others."""
    names = [", ".join(map(str, paths[i : i + batch])) for i in range(0, len(paths), batch)]
    names = names or [f"synthetic picture {i + 1}" for i in range(count)]
    return [*names, "black", "white", "noise"]


def _worst(found: Sequence[Comparison], names: Sequence[str]) -> tuple[str, ...]:
    """Return the frames whose verdict flips, then those whose maps differ most."""

    def badness(place: int) -> tuple[bool, int, float]:
        one = found[place]
        return not one.finite, one.flipped_verdicts, one.max_abs_diff

    order = sorted(range(len(found)), key=badness, reverse=True)
    return tuple(f"{names[i]}: {found[i].line()}" for i in order[:NAMED] if any(badness(i)))


def _origin(data: Path | None, count: int, card: GraphCard) -> str:
    pictures = f"{count} images of {data}" if data else "synthetic pictures (--data: your own)"
    return f"{pictures}, black, white and noise, as {_frames(card)}"


def _frames(card: GraphCard) -> str:
    n, (height, width) = card.frame_shape[0], card.frame_size
    return f"{n} x {width} x {height} {card.frame_format}"
