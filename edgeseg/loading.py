"""Open a model: a run, an ONNX file or an engine, with the runtime that fits it.

    runs/bottle                                  PyTorch
    runs/bottle/bottle.onnx                      ONNX Runtime, or OpenVINO if requested
    engines/bottle-fp16-openvino-cpu.onnx        the runtime in its card (.json, beside it)
    engines/bottle-fp16-rtx-sm86.engine          TensorRT, if its card matches this machine

What was opened is logged, with its runtime.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from edgeseg.cards import CARD, ENGINES, IMPORTED, RUNS, EngineCard, GraphCard, ModelCard
from edgeseg.config import ANY_GPU, GpuConfig, RuntimeName
from edgeseg.errors import ConfigError, ModelError
from edgeseg.files import newest, quoted, shown
from edgeseg.frame.geometry import Size
from edgeseg.frame.pixel_formats import FrameFormat, frame_shape
from edgeseg.frame.roi import Roi
from edgeseg.log import log, warn_once
from edgeseg.machine.facts import this_machine
from edgeseg.packages.extras import installed, require
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.base import Backend
from edgeseg.runtime.choice import candidates
from edgeseg.runtime.engine_files import check_engine, newest_that_runs
from edgeseg.runtime.engine_pair import card_path, engine_path, is_engine
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from edgeseg.runtime.openvino import OpenVinoBackend
from edgeseg.runtime.openvino_cache import CompiledGraphs
from edgeseg.runtime.pytorch import PyTorchBackend
from edgeseg.runtime.tensorrt_backend import TrtBackend

if TYPE_CHECKING:
    from edgeseg.model.detector import Detector

BF16 = "bf16"  # a precision of a runtime, not of a graph
NOT_FOUND = "model/not-found"
CpuBackend = OnnxRuntimeBackend | OpenVinoBackend
B = TypeVar("B", bound=Backend)

GRAPH_RUNTIMES: dict[RuntimeName, Callable[..., CpuBackend]] = {
    "onnxruntime": OnnxRuntimeBackend,
    "openvino": OpenVinoBackend,
}
DEFAULT_THRESHOLD = 0.5  # of a run whose thresholds are not set yet


def open_model(
    path: Path,
    *,
    runtime: str | None = None,
    threads: int | None = None,
    gpu: GpuConfig = ANY_GPU,
    whole_frames: bool = False,
) -> Backend:
    """Open a run directory, an ONNX file or an engine (or the engine's card).

    runtime: of an ONNX file; runs and engines have their own. threads: CPU threads. gpu: how frames
    reach an engine on a GPU. whole_frames: a run takes frames of the size of its training images,
    as its export does, not of the size of its map.
    Errors: ModelError for any other path, EngineMismatch for an engine of another machine.
    """
    if path.is_dir():
        _check_runtime(runtime, "pytorch", "a run", f"edgeseg export {quoted(path)}")
        device = torch_name(gpu)
        return open_run(path, threads=threads, device=device, whole_frames=whole_frames)
    if not path.exists() and not card_path(path).is_file():
        raise ModelError(
            f"not found: {path}", remedy="name a run, an ONNX file or an engine", code=NOT_FOUND
        )
    if is_engine(path):
        card = check_engine(path, this_machine(gpu.device))
        _check_runtime(runtime, card.runtime, "an engine", f"--runtime {card.runtime}")
        engine = engine_path(card_path(path))
        if card.runtime not in trt.FLAVORS:
            _log_other_version(engine, card)
            backend = _open_graph(
                engine, card.runtime, threads, digest=card.sha256, precision=card.precision
            )
            backend.card = dataclasses.replace(  # a card's can be changed without a rebuild
                backend.card,
                threshold=card.graph.threshold,
                image_threshold=card.graph.image_threshold,
                rule=card.graph.rule,
                input_check=card.graph.input_check,
                input_note=card.graph.input_note,
                evaluation=card.graph.evaluation,
            )
            return backend
        return _opened(engine, TrtBackend.open(engine, card, gpu=gpu))
    if path.suffix != ".onnx":
        raise ModelError(
            f"not a model: {path} (expected a run directory, an ONNX file or an engine)",
            remedy="name one of them: runs/NAME, runs/NAME/NAME.onnx, engines/NAME-...",
            code="model/unknown-file",
        )
    return _open_graph(path, runtime or "onnxruntime", threads)


def torch_name(gpu: GpuConfig) -> str:
    """Return PyTorch's name of a GPU, `auto` for the first one; ConfigError if there is none."""
    return f"cuda:{this_machine(gpu.device).device}" if gpu.device else "auto"


def open_run(
    run: Path,
    *,
    frame_size: tuple[int, int] | None = None,
    frame_format: FrameFormat = "rgb",
    batch: int = 1,
    threads: int | None = None,
    device: str = "cpu",
    context: float | None = None,
    roi: Roi | None = None,
    sets_thresholds: bool = False,
    whole_frames: bool = False,
) -> PyTorchBackend:
    """Open a run in PyTorch.

    frame_size: (height, width); default: that of the anomaly map, with whole_frames that of the
    training images, if they have one. context, roi: override the
    card's. Thresholds that are not set yet are 0.5, which is logged unless the caller sets them.
    """
    require("torch", extra="train")
    from edgeseg.training.checkpoint import load_run

    if not (run / CARD).is_file():
        _refuse_unfinished(run)
        raise ModelError(
            f"not a run: {shown(run)} has no {CARD}",
            remedy="name a run directory, the name of a run, an ONNX file or an engine",
            code="model/not-a-run",
        )
    detector, card = load_run(run)
    if context is not None:
        card = dataclasses.replace(card, context=context)
    if roi is not None:
        card = dataclasses.replace(card, roi=roi)
    frame_size = frame_size or (card.frame_size if whole_frames else None)
    unset = not sets_thresholds and None in (card.threshold, card.image_threshold)
    backend = opened_run(
        detector, card, frame_size or card.map_size, frame_format, batch, threads, device
    )
    note = f"; thresholds not set, using {DEFAULT_THRESHOLD} for both"
    log.info(f"{run}: {backend.name}" + unset * note)
    return backend


def opened_run(
    detector: "Detector",
    card: ModelCard,
    frame_size: Size,
    frame_format: FrameFormat,
    batch: int,
    threads: int | None = None,
    device: str = "cpu",
) -> PyTorchBackend:
    """Return the backend of a detector and its card."""
    from edgeseg.model.fused import Fused
    from edgeseg.training.checkpoint import torch_device

    height, width = frame_size
    module = Fused(
        detector,
        network_size=card.network_size,
        frame_size=frame_size,
        frame_format=frame_format,
        aspect=card.aspect,
        top=card.config["top"],
        context=card.context,
        tiles=card.tiles,
        roi=card.roi,
    )
    graph = _graph_card(card, frame_format, (batch, *frame_shape(frame_format, height, width)))
    return PyTorchBackend(module.to(torch_device(device)), graph, threads=threads)


def warn_unchecked(card: GraphCard) -> None:
    """Warn once where a model cannot tell whether a frame is a picture of the trained part."""
    if card.input_check:
        return
    note, remedy = card.input_note, "edgeseg threshold RUN DATA --input-check"
    why = "imported" if IMPORTED in card.training else "made by an earlier version"
    if "needed" in note:
        why = f"trained on {note['images']} good photos"
        remedy = f"{note['needed']} good photos or more, then: edgeseg train DATA"
    warn_once(
        f"{card.name} does not check its input ({why}): a wrong or spoiled picture is judged like "
        f"any other, and never unknown. To get one that does: {remedy}"
    )


def find_model(given: str | Path | None, runs: Path = RUNS, engines: Path = ENGINES) -> Path:
    """Return the path of a model: `given` is a path, or the name of a run or of an engine.

    None: the newest run. The name of an engine is that of its file, with or without the suffix.
    ModelError lists what exists, or names the run of that name whose training is not complete.
    """
    if given is None:
        return newest_run(runs)
    given = Path(given)
    for path in (given, runs / given, engines / given):
        if path.is_file() or (path / CARD).is_file():  # not a data folder of the same name
            return path
    card = engines / f"{given}.json"
    if card.is_file():
        return engine_path(card)
    _refuse_unfinished(runs / given)
    if given.is_dir():
        return given  # open_model reports what is missing
    found = ", ".join(shown(run.name) for run in _runs(runs)[:6]) or "none"
    built = ", ".join(shown(path.stem) for path in newest(engines, "*.json")[:6]) or "none"
    raise ModelError(
        f"not found: {shown(given)}, neither a path nor a name (runs in {shown(runs)}: {found}; "
        f"engines in {shown(engines)}: {built})",
        remedy="name a run, an ONNX file or an engine",
        code=NOT_FOUND,
    )


def find_engine(given: str | Path | None, *, device: int = 0) -> Path:
    """Return the path of a model; None: the newest engine that runs on this machine.

    device: the GPU, by CUDA's number.
    """
    return newest_engine(ENGINES, device=device) if given is None else find_model(given)


def newest_run(runs: Path) -> Path:
    """Return the run whose card was written last."""
    found = _runs(runs)
    if not found:
        for run in sorted(runs.glob("*")):
            _refuse_unfinished(run)
        raise ModelError(
            f"not found: a run in {runs}", remedy="edgeseg train DATA", code="model/no-runs"
        )
    log.info(f"model: {found[0]}, the newest of {len(found)} in {runs}")
    return found[0]


def newest_engine(engines: Path, *, device: int = 0) -> Path:
    """Return the newest engine that runs on this machine; log the skipped ones with the reason."""
    here = this_machine(device)
    path, problems = newest_that_runs(engines, candidates(here), here)
    skipped = [f"skipped {problem}" for problem in problems]
    if path is None:
        raise ModelError(
            "\n  ".join([f"not found: an engine in {engines} for this machine", *skipped]),
            remedy="edgeseg build-engine",
            code="model/no-engines",
        )
    log.info("\n".join([*skipped, f"engine: {path}"]))
    return path


def graph_opener(runtime: RuntimeName, precision: str) -> Callable[..., CpuBackend]:
    """Return what opens a typed graph; BF16 is an option of OpenVINO, not a type in the graph."""
    opener = GRAPH_RUNTIMES[runtime]
    return partial(opener, bf16=True) if precision == BF16 else opener


def _open_graph(
    path: Path, runtime: str, threads: int | None, *, digest: str | None = None, precision: str = ""
) -> CpuBackend:
    """Open a graph on a CPU runtime.

    digest: SHA-256 of the file, if it was just checked; precision: of an engine.
    """
    if runtime not in GRAPH_RUNTIMES:
        raise ConfigError(
            f"invalid runtime: {runtime} for {path} (expected {' or '.join(GRAPH_RUNTIMES)})",
            remedy="--runtime openvino, or build an engine: edgeseg build-engine",
            code="config/runtime",
        )
    options: dict[str, Any] = {"threads": threads}
    if runtime == "openvino":
        options["cache"] = CompiledGraphs(path, digest=digest)
    return _opened(path, graph_opener(runtime, precision)(path, **options))


def _opened(path: Path, backend: B) -> B:
    log.info(f"{path}: {backend.name}")
    return backend


def _log_other_version(engine: Path, card: EngineCard) -> None:
    """Log where an engine was built and checked with another version of its CPU runtime.

    Any version opens it, but the parity in the card is that of the other one.
    """
    versions = (c.version for c in candidates(this_machine()) if c.runtime == card.runtime)
    here = next(versions, None)
    if here is not None and here != card.runtime_version:
        log.info(
            f"{shown(engine)} was built and checked with {card.runtime} {card.runtime_version}, "
            f"this is {here}; to check it: edgeseg verify {quoted(card.graph.name)} "
            f"{quoted(engine)}"
        )


def _check_runtime(runtime: str | None, expected: str, what: str, remedy: str) -> None:
    if runtime not in (None, expected):
        raise ConfigError(
            f"invalid runtime: {runtime} (the model is {what} for {expected})",
            remedy=remedy,
            code="config/runtime",
        )


def _refuse_unfinished(run: Path) -> None:
    """ModelError (`model/unfinished`) for a training that is not complete."""
    if not run.is_dir() or (run / CARD).is_file() or not installed("safetensors"):
        return
    from edgeseg.training.folder import resume_command, unfinished

    if unfinished(run) is not None:
        raise ModelError(
            f"not complete: the training in {shown(run)}, which has no {CARD} yet",
            remedy=resume_command(run),
            code="model/unfinished",
        )


def _runs(runs: Path) -> list[Path]:
    return [card.parent for card in newest(runs, f"*/{CARD}")]


def _graph_card(
    card: ModelCard, frame_format: FrameFormat, shape: tuple[int, int, int, int]
) -> GraphCard:
    return GraphCard(
        name=card.name,
        model=card.model,
        frame_format=frame_format,
        frame_shape=shape,
        network_size=card.network_size,
        aspect=card.aspect,
        tiles=card.tiles,
        threshold=DEFAULT_THRESHOLD if card.threshold is None else card.threshold,
        image_threshold=DEFAULT_THRESHOLD if card.image_threshold is None else card.image_threshold,
        rule=card.rule,
        roi=card.roi,
        weights_sha256=card.weights_sha256,
        training=card.config,
        context=card.context,
        defects=card.defects,
        bit_depth=card.bit_depth,
        input_check=card.input_check,
        input_note=card.input_note,
        versions=card.versions,
        evaluation=card.evaluation,
    )
