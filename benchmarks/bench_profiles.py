"""Latency and MACs of students and heads of several sizes, compared with the paper's architecture.

    python benchmarks/bench_profiles.py [--rounds 50] [--side 256] [--only edge,edge-head32]

Each variant is exported with random weights and built for OpenVINO in FP32 and INT8; the paper's
architecture also for ONNX Runtime and in BF16, and as PyTorch runs it (eager, FP32), which is the
base of the comparison. Times do not depend on the weights. The accuracy of the variants is measured
by `edgeseg reproduce benchmarks/edge-variants.toml`.

The last line of standard output is one JSON document.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch

from documents import emit
from edgeseg.cards import GraphCard
from edgeseg.config import BuildConfig, CalibrateConfig, ExportConfig, Precision, RuntimeName
from edgeseg.data.parts import write_parts
from edgeseg.engine.build_engine import build_engine
from edgeseg.exporter.export import export_graph
from edgeseg.frame.geometry import Size
from edgeseg.frame.pixel_formats import FrameFormat, frame_shape
from edgeseg.graph.files import read_graph
from edgeseg.graph.graph import Graph
from edgeseg.graph.modules import module_macs
from edgeseg.loading import open_model
from edgeseg.model.detectors import build_detector
from edgeseg.model.fused import Fused
from edgeseg.model.teacher import Teacher
from edgeseg.quantize.calibrate import calibrate
from edgeseg.recipes import TrainConfig
from edgeseg.runtime.pytorch import PyTorchBackend
from rounds import inference, speedup, time_rounds

PAPER = "paper"
NAMES = {"onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
ENGINES: tuple[tuple[RuntimeName, Precision], ...] = (("openvino", "fp32"), ("openvino", "int8"))
PAPER_ENGINES = (("onnxruntime", "fp32"), ("openvino", "bf16"), *ENGINES)
VARIANTS: dict[str, dict[str, Any]] = {
    PAPER: {},
    "paper-lite": {"teacher": "efficientnet_lite0"},
    "edge": {"profile": "edge"},
    "edge-stride8": {"profile": "edge", "head_stride": 8},
    "edge-student16": {"profile": "edge", "student_width": 16},
    "edge-student64": {"profile": "edge", "student_width": 64},
    "edge-head32": {"profile": "edge", "head_width": 32},
    "edge-head128": {"profile": "edge", "head_width": 128},
}


def main() -> None:
    """Time the variants and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=50, help="timed rounds")
    parser.add_argument("--warmup", type=int, default=5, help="untimed rounds before them")
    parser.add_argument("--side", type=int, default=256, help="of the square frames, in pixels")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--only", default=",".join(VARIANTS), help="variants to measure: a,b")
    options = parser.parse_args()
    names = [name for name in options.only.split(",") if name != PAPER]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = write_parts(folder / "parts", train=8, good=1, bad=1)
        base = eager(TrainConfig(image_size=options.side), PAPER, options.threads)
        titles, backends, gmac = ["paper, PyTorch FP32"], [stack.enter_context(base)], {}
        for name in (PAPER, *names):
            config = TrainConfig(image_size=options.side, **VARIANTS[name])
            with eager(config, name) as network:
                graph = export_graph(network, folder / f"{name}.onnx", ExportConfig()).graph
            gmac[name] = sum(module_macs(Graph(read_graph(graph)[0])).values()) / 1e9
            for runtime, precision in PAPER_ENGINES if name == PAPER else ENGINES:
                engine = built(graph, precision, runtime, data)
                backends.append(stack.enter_context(open_model(engine, threads=options.threads)))
                titles.append(f"{name}, {NAMES[runtime]} {precision.upper()}")
        candidates = [inference(backend, None) for backend in backends]
        seconds = time_rounds(candidates, options.rounds, options.warmup)
    figures = []
    for title, own in zip(titles, seconds, strict=True):
        both, line = speedup(title, own, seconds[0], titles[0])
        figures += both
        print(f"{line}, {gmac[title.split(',')[0]]:.2f} GMAC")
    emit("profiles", figures, gmac=gmac, side=options.side)


def eager(
    config: TrainConfig,
    name: str,
    threads: int | None = None,
    *,
    frame_size: Size | None = None,
    frame_format: FrameFormat = "bgr",
) -> PyTorchBackend:
    """Return a detector with random weights in PyTorch; frames have the size of the network."""
    torch.manual_seed(config.seed)
    side, settings = config.image_size, config.to_json()
    height, width = frame_size or (side, side)
    detector = build_detector(config.model, Teacher(config.teacher), settings, (side, side))
    module = Fused(
        detector,
        network_size=(side, side),
        frame_size=(height, width),
        frame_format=frame_format,
        aspect="stretch",
        top=config.top,
    )
    card = GraphCard(
        name=name,
        model=config.model,
        frame_format=frame_format,
        frame_shape=(1, *frame_shape(frame_format, height, width)),
        network_size=(side, side),
        aspect="stretch",
        threshold=0.5,
        image_threshold=0.5,
        weights_sha256="0" * 64,
        training=settings,
        versions={},
    )
    return PyTorchBackend(module, card, threads=threads)


def built(graph: Path, precision: Precision, runtime: RuntimeName, data: Path) -> Path:
    """Build an engine; data: the images that INT8 is calibrated on."""
    folder, ranges = graph.parent, None
    if precision == "int8":
        calibrate(graph, data, CalibrateConfig(good_count=4), out=folder)
        ranges = folder / f"{graph.stem}.ranges.json"
    config = BuildConfig(precision=precision, runtime=runtime, ranges=ranges)
    return build_engine(graph, config, out=folder / "engines").path


if __name__ == "__main__":
    main()
