"""Exports a run to one ONNX graph, camera bytes in, mask bytes out, and checks it against PyTorch.

The graph is that of the fused module with the export form of the head. The same frames go through
training's own module in PyTorch and through the graph in ONNX Runtime; a graph that does not agree
is not written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.cards import CARD, WEIGHTS, GraphCard, ModelCard, read_card
from edgeseg.config import ExportConfig, OptimizeFor
from edgeseg.data.frames import KEPT, parity_frames
from edgeseg.data.images import Image, read_image
from edgeseg.errors import BuildError, ConfigError, GateFailed, ModelError
from edgeseg.evaluation.compare import Comparison, Limits, compare
from edgeseg.evaluation.remembered import warn_if_useless
from edgeseg.evaluation.threshold import held_out
from edgeseg.exporter.inspect import seen_lines
from edgeseg.exporter.retile import retiled, tiles_of
from edgeseg.exporter.trace import OPSET, trace
from edgeseg.files import check_outputs, check_writable, quoted, replacing, sha256
from edgeseg.graph.files import graph_bytes
from edgeseg.graph.graph import Graph
from edgeseg.graph.memory import tensor_bytes
from edgeseg.loading import open_run, opened_run
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.model.export_head import export_form, head_of
from edgeseg.model.fused import Fused
from edgeseg.packages.extras import installed
from edgeseg.runtime.base import INPUTS, output_names
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from edgeseg.runtime.pytorch import PyTorchBackend

CHECK_TOLERANCE = 0.01  # of the width of the limits; FP32 in another order moves it by 1e-4
FrameArray = NDArray[np.uint8]


@dataclass(frozen=True)
class Exported:
    """A graph that was written, and its differences from PyTorch."""

    graph: Path
    card: GraphCard
    bytes: int
    tensor_bytes: int
    """As graph/memory.py counts them."""
    parity: Comparison

    def summary(self) -> str:
        """Return the file, its frames and its parity, as text."""
        n, (height, width) = self.card.frame_shape[0], self.card.frame_size
        frames = f"{n} x {width} x {height} {self.card.frame_format}"
        lines = [
            f"{self.graph}: {self.bytes / 1e6:.1f} MB, frames {frames}, opset {OPSET}",
            *seen_lines(self.card, self.tensor_bytes),
            f"parity with PyTorch: {self.parity.line()}",
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the path, the size, the hash and the parity."""
        facts = {"graph": str(self.graph), "bytes": self.bytes, "sha256": sha256(self.graph)}
        return {**facts, "tensor_bytes": self.tensor_bytes, "parity": self.parity.to_json()}


def export_run(
    run: Path, config: ExportConfig, *, data: Path | None = None, path: Path | None = None
) -> Exported:
    """Write runs/<name>/<name>.onnx, or another path, and return what was written.

    data: the folder that the run was trained on; its held-out images are the frames of the parity
    check. Errors: ModelError for a run without thresholds, GateFailed (no file) without parity.
    """
    card = read_card(run / CARD, ModelCard)
    if card.threshold is None or card.image_threshold is None:
        raise ModelError(
            f"{run} has no thresholds (they are stored in the graph)",
            remedy=f"edgeseg threshold {quoted(run)} DATA --false-reject 0.01",
            code="model/no-thresholds",
        )
    path = path or run / f"{card.name}.onnx"
    check_outputs({"the graph": path}, [run / CARD, run / WEIGHTS])
    check_writable(run)
    paths = held_out(card, data)[:KEPT] if data else []
    images = [read_image(each, card.bit_depth) for each in paths]
    with opened(run, card, config, data) as backend:
        warn_if_useless(run, backend.card)
        return export_graph(backend, path, config, images=images)


def traced_run(run: Path, config: ExportConfig) -> tuple[ModelProto, GraphCard]:
    """Return the graph that would be exported, and its card; nothing is written or checked."""
    with opened(run, read_card(run / CARD, ModelCard), config, None) as backend:
        return _trace(backend, config.optimize_for), backend.card


def opened(run: Path, card: ModelCard, config: ExportConfig, data: Path | None) -> PyTorchBackend:
    """Open a run for an export, with the tiles that are requested."""
    size = config.size() or (card.frame_size and config.checked(card.frame_size))
    tiles = tiles_of(card, config, size)
    if tiles == card.tiles:
        return open_run(run, frame_size=size, frame_format=config.format, batch=config.batch)
    detector, card = retiled(run, tiles, data)
    return opened_run(detector, card, size or card.map_size, config.format, config.batch)


def export_graph(
    backend: PyTorchBackend, path: Path, config: ExportConfig, *, images: Sequence[Image] = ()
) -> Exported:
    """Export an opened run to a path; `images` (RGB) are the frames of the parity check."""
    model = _trace(backend, config.optimize_for)
    tensors = tensor_bytes(Graph(model))
    _check_memory(tensors, backend.card)
    versions = {name: installed(name) or "?" for name in ("torch", "onnx", "onnxscript")}
    card = replace(
        backend.card,
        versions=backend.card.versions | versions,
        optimized_for=config.optimize_for if _has_head(backend) else "any",
    )
    frames = parity_frames(card, images)
    with replacing(path) as part:
        part.write_bytes(graph_bytes(model, card))
        with OnnxRuntimeBackend(part) as exported:
            log.info(f"parity: {len(frames)} batches on {backend.name} and {exported.name}")
            parity = _checked_parity(backend, exported, frames, config.tolerance)
        source = "held-out images" if images else "synthetic images"
        report = parity.to_json() | {"against": backend.name, "images": source}
        card = replace(card, parity=report)
        part.write_bytes(graph_bytes(model, card))
    return Exported(path, card, path.stat().st_size, tensors, parity)


def _trace(backend: PyTorchBackend, optimize_for: OptimizeFor) -> ModelProto:
    """Trace an opened run, for a CPU in its export form; BuildError if PyTorch cannot."""
    slot = backend.new_slot()
    inputs = (torch.from_numpy(slot.frame), torch.from_numpy(slot.threshold))
    try:
        module = export_form(backend.module) if optimize_for == "cpu" else backend.module
        return trace(module, inputs, INPUTS, output_names(backend.card))
    except torch.onnx.OnnxExporterError as error:
        teacher = backend.card.training.get("teacher")
        raise BuildError(
            f"PyTorch {torch.__version__} cannot export a model with the teacher '{teacher}': "
            f"{str(error).splitlines()[0]}",
            remedy="train with --teacher resnet18 or efficientnet_lite0, and report this",
            code="build/export",
        ) from error


def _has_head(backend: PyTorchBackend) -> bool:
    return isinstance(backend.module, Fused) and head_of(backend.module) is not None


def _check_memory(tensors: int, card: GraphCard) -> None:
    """ConfigError (`config/too-large`) for a graph that cannot run here, so neither be checked."""
    memory = this_machine().memory_gib
    if memory is None or tensors <= memory * 2**30:
        return
    tiles = f" of {card.tiles.name}" if card.tiles else ""
    raise ConfigError(
        f"{card.frame_shape[0]} frames{tiles} need {tensors / 1e9:.0f} GB of tensors at a time "
        f"(this machine has {memory:g} GiB)",
        remedy="fewer tiles, or --batch 1",
        code="config/too-large",
    )


def _checked_parity(
    ours: PyTorchBackend, exported: OnnxRuntimeBackend, frames: list[FrameArray], tolerance: float
) -> Comparison:
    """Compare with the model's threshold, and with one at the median of an anomaly map."""
    parity = compare(ours, exported, frames)
    slot = ours.new_slot()
    ours.bind(slot)
    np.copyto(slot.frame, frames[0])
    ours.run()
    middle = compare(ours, exported, frames[:1], threshold=float(np.median(slot.anomaly_map)))
    limits = Limits(
        max_map_diff=tolerance, max_score_diff=tolerance, max_check_diff=CHECK_TOLERANCE
    )
    problems = limits.problems(parity)
    if wrong := parity.mask_errors + middle.mask_errors:
        problems.append(f"{wrong} mask pixels differ that are far from the threshold")
    if problems:
        raise GateFailed(
            f"the exported graph differs from PyTorch: {', '.join(problems)} (tolerance "
            f"{tolerance:g}, {parity.frames} frames on {exported.name}); nothing was written",
            remedy="raise --tolerance if the difference is acceptable; otherwise report this",
            code="gate/export-parity",
        )
    return parity
