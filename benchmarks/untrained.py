"""Models with random weights for a benchmark: no time depends on what a weight is.

Batch normalizations begin as PyTorch draws them, so values stay of ordinary size and INT8's ranges
are finite. The teacher is random too: nothing is read from a file or a hub.
"""

from pathlib import Path

import torch

from edgeseg.cards import GraphCard
from edgeseg.config import BuildConfig, CalibrateConfig, ExportConfig, Precision, RuntimeName
from edgeseg.engine.build_engine import build_engine
from edgeseg.export.export import export_graph
from edgeseg.graph.files import read_graph
from edgeseg.graph.graph import Graph
from edgeseg.graph.modules import module_macs
from edgeseg.model.detectors import build_detector
from edgeseg.model.fused import Fused
from edgeseg.model.teacher import Teacher
from edgeseg.quantize.calibrate import calibrate
from edgeseg.recipes import TrainConfig
from edgeseg.runtime.pytorch import PyTorchBackend
from edgeseg.training.train import json_config


def eager(config: TrainConfig, name: str, threads: int | None = None) -> PyTorchBackend:
    """Return a detector as PyTorch runs it, on square BGR frames of the network's size."""
    torch.manual_seed(config.seed)
    side, settings = config.image_size, json_config(config)
    detector = build_detector(config.model, Teacher(config.teacher), settings, side)
    module = Fused(
        detector, image_size=side, frame_size=(side, side), frame_format="bgr", top=config.top
    )
    card = GraphCard(
        name=name,
        model=config.model,
        frame_format="bgr",
        frame_shape=(1, side, side, 3),
        image_size=side,
        threshold=0.5,
        image_threshold=0.5,
        weights_sha256="0" * 64,
        training=settings,
        versions={},
    )
    return PyTorchBackend(module, card, threads=threads)


def exported(backend: PyTorchBackend, folder: Path) -> Path:
    """Export it to FOLDER/<name>.onnx, as `edgeseg export` does; return the graph."""
    path = folder / f"{backend.card.name}.onnx"
    return export_graph(backend, path, ExportConfig()).graph


def built(graph: Path, precision: Precision, runtime: RuntimeName, data: Path) -> Path:
    """Build an engine beside a graph; data: the photos whose ranges INT8 takes."""
    folder = graph.parent
    ranges = folder / f"{graph.stem}.ranges.json"
    if precision == "int8" and not ranges.exists():
        few = CalibrateConfig(good_count=4)
        calibrate(graph, data, few, out=folder)
    config = BuildConfig(
        precision=precision, runtime=runtime, ranges=ranges if precision == "int8" else None
    )
    return build_engine(graph, config, out=folder / "engines").path


def work(graph: Path) -> float:
    """Return a graph's billions of multiply-accumulates."""
    return sum(module_macs(Graph(read_graph(graph)[0])).values()) / 1e9
