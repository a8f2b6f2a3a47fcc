"""How long one frame takes in several models, and how much faster each is than the first.

    python benchmarks/bench_backends.py RUN [[LABEL=]MODEL[@RUNTIME] ...] [--runs 100]

A model is a run (PyTorch, eager), an ONNX file or an engine; `tiles.onnx@openvino` says what reads
a graph, and `"OpenVINO, INT8=tiles.json"` what the table calls it. In each round every model runs
the same frame, in an order that is drawn anew, so that a machine that slows down in between slows
all of them. Before a model's timed run come a pause and a run that is not timed: threads of the one
before go on spinning for a while. The ratio is the median of the rounds' ratios; beside it stand
their 5th and 95th percentile. Timed: frame bytes in the slot to mask bytes in the slot.

The last line of standard output is one JSON document.
"""

import argparse
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from documents import RATIO, Figure, emit, figure
from edgeseg.data.frames import load_frames
from edgeseg.loading import open_model
from edgeseg.machine.facts import this_machine
from edgeseg.runtime.base import Backend

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
    titles = [label(model) for model in options.models]
    figures = []
    for title, name, own in zip(titles, names, seconds, strict=True):
        both, line = compared(title, own, seconds[0], titles[0])
        figures += both
        print(f"{line}  {title}: {name}")
    print(f"{this_machine().line()}, n {options.runs}")
    emit("backends", figures, engines=dict(zip(titles, names, strict=True)))


def compared(
    title: str, own: NDArray[np.float64], base: NDArray[np.float64], to: str, digits: int = 2
) -> tuple[list[Figure], str]:
    """Return a model's time and its ratio to another's in the same rounds, and a row of both."""
    time_ms = figure(title, own * 1e3, unit="ms")
    against = f"{title}, times as fast as {to}"
    ratio = figure(against, base / own, unit=RATIO, better="higher", of=title)
    line = (
        f"{time_ms.p50:8.2f} ms p50 {time_ms.p99:8.2f} ms p99 {ratio.p50:6.{digits}f} times as "
        f"fast ({ratio.p5:.{digits}f} to {ratio.p95:.{digits}f})"
    )
    return [time_ms, ratio], line


def label(model: str) -> str:
    """Return what a model is called in table and document."""
    title, equals, path = model.partition("=")
    return title if equals else Path(path or title).name


def opened(model: str, threads: int | None) -> Backend:
    """Open `PATH`, `PATH@RUNTIME` or `LABEL=PATH`."""
    path, _, runtime = model.rpartition("=")[2].partition("@")
    return open_model(Path(path), runtime=runtime or None, threads=threads)


def time_rounds(
    backends: list[Backend],
    options: argparse.Namespace,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> NDArray[np.float64]:
    """Return the seconds of each model in each round, [M, runs]; clock: in nanoseconds."""
    slots = [backend.new_slot() for backend in backends]
    frames = [load_frames(b.card, options.data) for b in backends]
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
            begin = clock()
            backend.run()
            seconds[place, turn] = (clock() - begin) / 1e9
    return seconds[:, options.warmup :]


if __name__ == "__main__":
    main()
