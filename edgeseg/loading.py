"""From a path to a backend: a run, an ONNX graph or an engine, opened by what fits it.

    runs/bottle                                  PyTorch
    runs/bottle/bottle.onnx                      ONNX Runtime, or OpenVINO when it is named
    engines/bottle-fp16-openvino-cpu.onnx        the runtime of its card (.json, beside it)
    engines/bottle-fp16-rtx-sm86.engine          TensorRT, if its card names this machine

The choice is never silent: one line says what was taken and why nothing better was.
"""

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from edgeseg.cards import CARD, EngineCard, GraphCard, ModelCard, newest
from edgeseg.config import ANY_GPU, GpuConfig, RuntimeName
from edgeseg.errors import ConfigError, ModelError
from edgeseg.extras import require
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.base import Backend
from edgeseg.runtime.choice import candidates, reasons
from edgeseg.runtime.engine_files import card_path, check_engine, engine_path, newest_that_runs
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from edgeseg.runtime.openvino import OpenVinoBackend
from edgeseg.runtime.openvino_cache import CompiledGraphs
from edgeseg.runtime.pytorch import PyTorchBackend
from edgeseg.runtime.tensorrt_backend import TrtBackend

BF16 = "bf16"  # a precision that a runtime has, and no graph
GRAPH_RUNTIMES: dict[RuntimeName, Callable[..., Backend]] = {
    "onnxruntime": OnnxRuntimeBackend,
    "openvino": OpenVinoBackend,
}
STAND_IN = 0.5  # for thresholds that were not found yet


def open_model(
    path: Path, *, runtime: str | None = None, threads: int | None = None, gpu: GpuConfig = ANY_GPU
) -> Backend:
    """Open a run's folder, an .onnx file, or an engine (or the engine's card).

    runtime: which one reads an .onnx file; the others have theirs. threads: of the CPU. gpu: how
    frames reach a CUDA engine.
    ModelError for a path that is none of these, EngineMismatch for an engine made for elsewhere.
    """
    if path.is_dir():
        _refuse_runtime(runtime, "a run, and PyTorch runs it", f"edgeseg export {path}")
        return open_run(path, threads=threads, device="auto")
    if not path.exists():
        raise ModelError(f"There is no {path}.", remedy="name a run, an ONNX file or an engine")
    if path.suffix in (".engine", ".json") or card_path(path).is_file():
        card = _check_engine(path, runtime)
        engine = engine_path(card_path(path))
        if card.runtime not in trt.FLAVORS:
            return _open_graph(
                engine, card.runtime, threads, digest=card.sha256, precision=card.precision
            )
        on_gpu = TrtBackend.open(engine, card, gpu=gpu)
        return _say_taken(engine, on_gpu, card.runtime)
    if path.suffix != ".onnx":
        raise ModelError(
            f"{path} is neither a run's folder nor an .onnx file nor an engine.",
            remedy="name one of them: runs/NAME, runs/NAME/NAME.onnx, engines/NAME-...",
        )
    return _open_graph(path, runtime or "onnxruntime", threads)


def open_run(
    run: Path,
    *,
    frame_size: tuple[int, int] | None = None,
    frame_format: str = "rgb",
    batch: int = 1,
    threads: int | None = None,
    device: str = "cpu",
    context: float | None = None,
) -> PyTorchBackend:
    """Open a run in PyTorch, for frames of any size; by default the network's square.

    frame_size: (height, width); context: instead of the card's. Thresholds that were not found yet
    are 0.5, which is logged.
    """
    require("torch", extra="train")
    from edgeseg.model.fused import CHANNELS, Fused
    from edgeseg.training.checkpoint import load_run, torch_device

    if not (run / CARD).is_file():
        raise ModelError(
            f"{run} is a folder without a {CARD}: no run, or one whose training has not ended.",
            remedy=f"edgeseg train DATA --name {run.name}, with --resume if it was interrupted",
        )
    detector, card = load_run(run)
    height, width = frame_size or (card.image_size, card.image_size)
    if context is not None:
        card = dataclasses.replace(card, context=context)
    module = Fused(
        detector,
        image_size=card.image_size,
        frame_size=(height, width),
        frame_format=frame_format,
        top=card.config["top"],
        context=card.context,
    )
    graph = _graph_card(card, frame_format, (batch, height, width, CHANNELS[frame_format]))
    backend = PyTorchBackend(module.to(torch_device(device)), graph, threads=threads)
    unset = card.threshold is None or card.image_threshold is None
    log.info(
        f"{run}: {backend.name}" + unset * f"; no thresholds yet, {STAND_IN} stands in for both"
    )
    return backend


def find_model(
    given: Path | None,
    runs: Path,
) -> Path:
    """Return the path of a model that a user named: a path, a run's name, or None for the newest.

    ModelError names the runs that there are.
    """
    if given is None:
        return newest_run(runs)
    for path in (given, runs / given):
        if path.is_file() or (path / CARD).is_file():  # not a data folder of the same name
            return path
    if given.is_dir():
        return given  # open_model says what it lacks
    found = ", ".join(run.name for run in _runs(runs)[:6]) or "none"
    raise ModelError(
        f"There is no {given}, and no run of that name in {runs} (it holds: {found}).",
        remedy="name a run, an ONNX file or an engine",
    )


def find_engine(
    given: Path | None,
    engines: Path,
    runs: Path,
) -> Path:
    """Return the path of a model that a user named, or None for the newest engine that runs."""
    if given is None:
        return newest_engine(engines)
    return find_model(given, runs)


def newest_run(
    runs: Path,
) -> Path:
    """Return the run that was trained, or given its thresholds, last."""
    found = _runs(runs)
    if not found:
        raise ModelError(f"There is no run in {runs}.", remedy="edgeseg train DATA")
    log.info(f"model: {found[0]}, the newest of {len(found)} in {runs}")
    return found[0]


def newest_engine(
    engines: Path,
) -> Path:
    """Return the newest engine that this machine runs; say which ones it does not, and why."""
    card, problems = newest_that_runs(engines, candidates(this_machine()))
    skipped = [f"skipped {problem}" for problem in problems]
    if card is None:
        raise ModelError(
            "\n  ".join([f"No engine in {engines} runs on this machine.", *skipped]),
            remedy="edgeseg build-engine",
        )
    path = engines / card.file
    log.info("\n".join([*skipped, f"engine: {path}"]))
    return path


def graph_opener(runtime: RuntimeName, precision: str) -> Callable[..., Backend]:
    """Return what opens a typed graph: bfloat16 is chosen when it is opened, not in the graph."""
    opener = GRAPH_RUNTIMES[runtime]
    return partial(opener, bf16=True) if precision == BF16 else opener


def _open_graph(
    path: Path,
    runtime: str,
    threads: int | None,
    *,
    digest: str | None = None,
    precision: str = "",
) -> Backend:
    """Open a graph on a CPU runtime.

    digest: the SHA-256 of its file, where it was just checked; precision: of an engine.
    """
    if runtime not in GRAPH_RUNTIMES:
        raise ConfigError(
            f"{runtime} does not read {path}; {' or '.join(GRAPH_RUNTIMES)} was expected.",
            remedy="--runtime openvino, or build an engine: edgeseg build-engine",
        )
    options: dict[str, Any] = {"threads": threads}
    if runtime == "openvino":
        options["cache"] = CompiledGraphs(path, digest=digest)
    return _say_taken(path, graph_opener(runtime, precision)(path, **options), runtime)


def _check_engine(path: Path, runtime: str | None) -> EngineCard:
    """Return the card of an engine that runs here, by the runtime it was built for."""
    card = check_engine(path)
    if runtime not in (None, card.runtime):
        _refuse_runtime(runtime, f"an engine for {card.runtime}", f"--runtime {card.runtime}")
    return card


def _say_taken(path: Path, backend: Backend, runtime: str) -> Backend:
    """Say what was opened, and why nothing better was."""
    why = reasons(runtime, candidates(this_machine()))
    log.info(f"{path}: {backend.name}" + (f" ({why})" if why else ""))
    return backend


def _refuse_runtime(runtime: str | None, what: str, remedy: str) -> None:
    if runtime is not None:
        raise ConfigError(f"--runtime is {runtime}, but the model is {what}.", remedy=remedy)


def _runs(runs: Path) -> list[Path]:
    return [card.parent for card in newest(runs, f"*/{CARD}")]


def _graph_card(card: ModelCard, frame_format: str, shape: tuple[int, int, int, int]) -> GraphCard:
    return GraphCard(
        name=card.name,
        model=card.model,
        frame_format=frame_format,
        frame_shape=shape,
        image_size=card.image_size,
        threshold=STAND_IN if card.threshold is None else card.threshold,
        image_threshold=STAND_IN if card.image_threshold is None else card.image_threshold,
        weights_sha256=card.weights_sha256,
        training=card.config,
        context=card.context,
        versions=card.versions,
    )
