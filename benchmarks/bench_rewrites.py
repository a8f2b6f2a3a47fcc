"""What the exact rewrites of `edgeseg export` save in time, one by one and together.

    python benchmarks/bench_rewrites.py [--side 256] [--teacher resnet18] [--runs 50]

One model with random weights is exported without rewrites, with each, and with those of `auto`;
each graph is opened in ONNX Runtime (FP32) and OpenVINO (FP32, bfloat16 where the processor has
it), and built with INT8 for both. In each round all of them run the same frame, in an order drawn
anew; a ratio is the median of the rounds' ratios to the graph without rewrites in the same runtime
and precision, with their 5th and 95th percentile. A runtime that is not installed is left out.

With --cpu-time the clock counts the processor's seconds instead of the wall's, for a machine that
others use too; with --threads 1 they are what a run alone on it would take, about.

The last line of standard output is one JSON document.
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench_backends import compared, time_rounds
from documents import Figure, emit
from edgeseg.config import REWRITES, ExportConfig, Precision, RuntimeName
from edgeseg.data.parts import write_parts
from edgeseg.errors import EdgesegError
from edgeseg.export.export import export_graph
from edgeseg.extras import installed
from edgeseg.loading import open_model
from edgeseg.machine.facts import this_machine
from edgeseg.recipes import TrainConfig
from edgeseg.runtime.base import Backend
from untrained import built, eager, work

NONE = "none"
KINDS: tuple[tuple[RuntimeName, Precision], ...] = (
    ("onnxruntime", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("onnxruntime", "int8"),
    ("openvino", "int8"),
)


def main() -> None:
    """Time the graphs and print the table."""
    parser = argparse.ArgumentParser(description="Times a graph with and without its rewrites.")
    parser.add_argument("--runs", type=int, default=50, help="rounds that are timed")
    parser.add_argument("--warmup", type=int, default=5, help="rounds before them")
    parser.add_argument("--side", type=int, default=256, help="of the square, in pixels")
    parser.add_argument("--teacher", default="resnet18", help="or efficientnet_lite0")
    parser.add_argument("--threads", type=int, help="of a CPU runtime")
    parser.add_argument("--cpu-time", action="store_true", help="count the processor's seconds")
    options = parser.parse_args()
    options.data = None  # of time_rounds: synthetic frames
    config = TrainConfig(image_size=options.side, teacher=options.teacher)
    clock = time.process_time_ns if options.cpu_time else time.perf_counter_ns
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        graphs = export_all(config, folder)
        gmac = {name: work(graph) for name, graph in graphs.items()}
        backends = open_all(graphs, folder, options.threads, stack)
        if not backends:
            print("neither onnxruntime nor openvino is installed", file=sys.stderr)
            sys.exit(2)
        seconds = time_rounds(list(backends.values()), options, clock)
    figures: list[Figure] = []
    for (rewrites, kind), own in zip(backends, seconds, strict=True):
        title = f"{kind}, rewrites {rewrites}"
        base = seconds[list(backends).index((NONE, kind))]
        both, line = compared(title, own, base, NONE, digits=3)
        figures += both
        print(f"{line}  {gmac[rewrites]:6.2f} GMAC  {title}")
    clocked = "processor time" if options.cpu_time else "wall time"
    size = f"{options.teacher}, {options.side} x {options.side}"
    print(f"{this_machine().line()}, {size}, n {options.runs}, {clocked}")
    facts = {"gmac": gmac, "side": options.side, "teacher": options.teacher, "clock": clocked}
    emit("rewrites", figures, **facts)


def export_all(config: TrainConfig, folder: Path) -> dict[str, Path]:
    """Export one model without rewrites, with each, and with those that are the default."""
    graphs = {}
    with eager(config, "model") as network:
        for name in (NONE, *REWRITES, "auto"):
            network.card = replace(network.card, name=name)
            path = folder / name / f"{name}.onnx"
            export_graph(network, path, ExportConfig(rewrites=name))
            graphs[name] = path
    return graphs


def open_all(
    graphs: dict[str, Path], folder: Path, threads: int | None, stack: ExitStack
) -> dict[tuple[str, str], Backend]:
    """Build and open each graph in each kind that there is, by (rewrites, kind)."""
    data = write_parts(folder / "parts", train=8, good=1, bad=1)
    opened = {}
    for runtime, precision in KINDS:
        kind = f"{runtime} {precision.upper()}"
        if not installed(runtime):
            print(f"{runtime} is not installed: {kind} is not measured", file=sys.stderr)
            continue
        for name, graph in graphs.items():
            try:
                engine = built(graph, precision, runtime, data)
            except EdgesegError as error:
                print(f"{kind} is not measured: {error.problem}", file=sys.stderr)
                break
            backend = open_model(engine, threads=threads)
            opened[name, kind] = stack.enter_context(backend)
    return opened


if __name__ == "__main__":
    main()
