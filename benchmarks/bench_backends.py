"""How long one frame takes in several models, and how much faster each is than the first.

    python benchmarks/bench_backends.py RUN [MODEL[@RUNTIME] ...] [--runs 100] [--data FOLDER]

A model is a run (PyTorch, eager), an ONNX file or an engine; `tiles.onnx@openvino` says what reads
a graph. In each round every model runs the same frame, in an order that is drawn anew, so that a
machine that slows down in between slows all of them. Before a model's timed run come a pause and a
run that is not timed: threads of the one before go on spinning for a while. The ratio is the median
of the rounds' ratios; beside it stand their 5th and 95th percentile. Timed: frame bytes in the slot
to mask bytes in the slot.

The last line of standard output is one JSON document.
"""

import argparse
import json
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.bench.circumstances import versions
from edgeseg.bench.frames import load_frames
from edgeseg.bench.timing import summarize
from edgeseg.evaluation.opener import open_model
from edgeseg.runtime.base import Backend
from edgeseg.runtime.machine import this_machine

PAUSE = 0.05  # seconds


def main() -> None:
    """Time the models and print the table."""
    parser = argparse.ArgumentParser(description="Times one frame in several models, in turn.")
    parser.add_argument("models", nargs="+", help="the first is what the others are compared with")
    parser.add_argument("--runs", type=int, default=100, help="rounds that are timed")
    parser.add_argument("--warmup", type=int, default=10, help="rounds before them")
    parser.add_argument("--threads", type=int, help="of a CPU runtime")
    parser.add_argument("--data", type=Path, help="folder of images; default: synthetic ones")
    options = parser.parse_args()
    with ExitStack() as stack:
        backends = [stack.enter_context(opened(model, options.threads)) for model in options.models]
        seconds = time_rounds(backends, options)
        names = [backend.name for backend in backends]
    ratios = seconds[:1] / seconds
    rows = [
        {
            "model": Path(model).name,
            "engine": name,
            **vars(summarize(own)),
            "ratio": float(np.median(ratio)),
            "ratio_p5": float(np.percentile(ratio, 5)),
            "ratio_p95": float(np.percentile(ratio, 95)),
        }
        for model, name, own, ratio in zip(options.models, names, seconds, ratios, strict=True)
    ]
    for row in rows:
        print(
            f"{row['p50_ms']:8.2f} ms p50 {row['p99_ms']:8.2f} ms p99 {row['ratio']:6.2f} times as "
            f"fast ({row['ratio_p5']:.2f} to {row['ratio_p95']:.2f})  {row['model']}: "
            f"{row['engine']}"
        )
    machine = this_machine().line()
    print(f"{machine}, n {options.runs}")
    figures = {"benchmark": "backends", "machine": machine, "versions": versions(), "models": rows}
    print(json.dumps(figures))


def opened(model: str, threads: int | None) -> Backend:
    """Open `PATH` or `PATH@RUNTIME`."""
    path, _, runtime = model.partition("@")
    return open_model(Path(path), runtime=runtime or None, threads=threads, say=lambda line: None)


def time_rounds(backends: list[Backend], options: argparse.Namespace) -> NDArray[np.float64]:
    """Return the seconds of each model in each round, [M, runs]."""
    slots = [backend.new_slot() for backend in backends]
    frames = [load_frames(b.card, options.data, lambda line: None) for b in backends]
    for backend, slot in zip(backends, slots, strict=True):
        backend.bind(slot)
    draw = np.random.default_rng(0)
    seconds = np.zeros((len(backends), options.warmup + options.runs))
    for turn in range(seconds.shape[1]):
        for place in draw.permutation(len(backends)):
            backend = backends[place]
            frames[place].fill(slots[place], turn)
            time.sleep(PAUSE)
            backend.run()
            begin = time.perf_counter_ns()
            backend.run()
            seconds[place, turn] = (time.perf_counter_ns() - begin) / 1e9
    return seconds[:, options.warmup :]


if __name__ == "__main__":
    main()
