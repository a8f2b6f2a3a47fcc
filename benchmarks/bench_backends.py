"""Latency of one frame in several models, and the speedup of each over the first.

    python benchmarks/bench_backends.py RUN [[LABEL=]MODEL[@RUNTIME] ...] [--rounds 100]

A model is a run (PyTorch, eager), an ONNX file or an engine. `tiles.onnx@openvino` selects the
runtime of a graph, and `"OpenVINO, INT8=tiles.json"` sets the label in the table. Timed: frame in
the slot to mask in the slot.

The last line of standard output is one JSON document.
"""

import argparse
from contextlib import ExitStack
from pathlib import Path

from documents import emit
from edgeseg.loading import open_model
from edgeseg.runtime.base import Backend
from rounds import inference, speedup, time_rounds


def main() -> None:
    """Time the models and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("models", nargs="+", help="the others are compared with the first")
    parser.add_argument("--rounds", type=int, default=100, help="timed rounds")
    parser.add_argument("--warmup", type=int, default=10, help="untimed rounds before them")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--data", type=Path, help="folder of images (default: synthetic frames)")
    options = parser.parse_args()
    with ExitStack() as stack:
        backends = [stack.enter_context(opened(model, options.threads)) for model in options.models]
        candidates = [inference(backend, options.data) for backend in backends]
        seconds = time_rounds(candidates, options.rounds, options.warmup)
        names = [backend.name for backend in backends]
    titles = [label(model) for model in options.models]
    figures = []
    for title, name, own in zip(titles, names, seconds, strict=True):
        both, line = speedup(title, own, seconds[0], titles[0])
        figures += both
        print(f"{line}: {name}")
    emit("backends", figures, engines=dict(zip(titles, names, strict=True)))


def label(model: str) -> str:
    """Return the label of a model."""
    title, equals, path = model.partition("=")
    return title if equals else Path(path or title).name


def opened(model: str, threads: int | None) -> Backend:
    """Open `PATH`, `PATH@RUNTIME` or `LABEL=PATH`."""
    path, _, runtime = model.rpartition("=")[2].partition("@")
    return open_model(Path(path), runtime=runtime or None, threads=threads)


if __name__ == "__main__":
    main()
