"""What each size of student and head costs, beside the paper's architecture.

    python benchmarks/bench_profiles.py [--runs 50] [--side 256] [--only edge,edge-head32]

Each variant is exported with random weights and built for OpenVINO in FP32 and INT8, the paper's
architecture for ONNX Runtime and in bfloat16 too; in each round all run one frame in turn, the
paper's architecture in PyTorch (eager, FP32) among them. Beside each time stand how many times as
fast it is as that, and the multiply-accumulates of the graph. What a variant is worth on real tiles
is measured by `edgeseg reproduce benchmarks/edge-variants.toml`.

The last line of standard output is one JSON document.
"""

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench_backends import compared, time_rounds
from documents import emit
from edgeseg.config import Precision, RuntimeName
from edgeseg.data.parts import write_parts
from edgeseg.loading import open_model
from edgeseg.machine.facts import this_machine
from edgeseg.recipes import TrainConfig
from untrained import built, eager, exported, work

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
    parser = argparse.ArgumentParser(description="Times networks of several sizes, in turn.")
    parser.add_argument("--runs", type=int, default=50, help="rounds that are timed")
    parser.add_argument("--warmup", type=int, default=5, help="rounds before them")
    parser.add_argument("--side", type=int, default=256, help="of the square, in pixels")
    parser.add_argument("--threads", type=int, help="of a CPU runtime")
    parser.add_argument("--only", default=",".join(VARIANTS), help="these variants: a,b")
    options = parser.parse_args()
    options.data = None  # of time_rounds: synthetic frames
    names = [name for name in options.only.split(",") if name != PAPER]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = write_parts(folder / "parts", train=8, good=1, bad=1)
        base = eager(TrainConfig(image_size=options.side), PAPER, options.threads)
        titles, backends, gmac = ["paper, PyTorch FP32"], [stack.enter_context(base)], {}
        for name in (PAPER, *names):
            config = TrainConfig(image_size=options.side, **VARIANTS[name])
            with eager(config, name) as network:
                graph = exported(network, folder)
            gmac[name] = work(graph)
            for runtime, precision in PAPER_ENGINES if name == PAPER else ENGINES:
                engine = built(graph, precision, runtime, data)
                opened = open_model(engine, threads=options.threads)
                titles.append(f"{name}, {NAMES[runtime]} {precision.upper()}")
                backends.append(stack.enter_context(opened))
        seconds = time_rounds(backends, options)
    figures = []
    for title, own in zip(titles, seconds, strict=True):
        both, line = compared(title, own, seconds[0], titles[0])
        figures += both
        print(f"{line}  {gmac[title.split(',')[0]]:6.2f} GMAC  {title}")
    print(f"{this_machine().line()}, {options.side} x {options.side}, n {options.runs}")
    emit("profiles", figures, gmac=gmac, side=options.side)


if __name__ == "__main__":
    main()
