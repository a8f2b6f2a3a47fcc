"""Start-up time of the command line: help, and the first mask of predict and stream.

    python benchmarks/bench_startup.py [MODEL.onnx] [--processes 20]

Without a MODEL one is made: DeSTSeg with an EfficientNet-Lite0 teacher at 128 x 128, trained for
two steps (extra: train). Each round starts one process of each kind in a random order. Ratios are
medians of the rounds' ratios to `import numpy, cv2`, which edgeseg cannot undercut.

python       python -c pass, to the end of the process
help         edgeseg --help, to the end of the process
predict      from the start of the process to the mask file
stream       from the start of the process to the mask in memory, by the arrival and latency in the
             JSON lines; the source is the synthetic camera
cold, warm   without and with the model cache that an earlier process of OpenVINO has written. The
             files are in the page cache in both cases: the first start after booting takes longer

The last line of standard output is one JSON document.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np

from documents import RATIO, emit, figure
from edgeseg.data.images import write_png
from edgeseg.packages.extras import installed
from edgeseg.runtime.onnx_card import read_onnx_card
from rounds import time_rounds

EDGESEG = "from edgeseg.cli import main; main()"
BASE = "import numpy, cv2"

Start = Callable[[], float]
"""Starts a process and returns its seconds."""


def main() -> None:
    """Time the processes and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path, nargs="?", help="an ONNX file (default: one is made)")
    parser.add_argument("--processes", type=int, default=20, help="of each kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edgeseg-") as scratch:
        folder = Path(scratch)
        model = options.model.resolve() if options.model else make_model(folder / "made")
        found = kinds(model, folder)
        starts = [lambda _, start=start: start() for start in found.values()]
        rows = time_rounds(starts, options.processes, warmup=1)
    seconds = dict(zip(found, rows, strict=True))
    figures = []
    for name, own in seconds.items():
        time_s = figure(name, own, unit="s")
        ratio = figure(f"{name}, times {BASE}", own / seconds[BASE], unit=RATIO, of=name)
        figures += [time_s, ratio]
        print(
            f"{time_s.p50:7.3f} s p50 {time_s.p99 or time_s.p50:7.3f} s p99 "
            f"{ratio.p50:6.2f} times {BASE}  {name}"
        )
    emit("startup", figures, model=model.name)


def kinds(model: Path, folder: Path) -> dict[str, Start]:
    """Return what is measured, by name; runtimes that are not installed are left out."""
    image = folder / "image.png"
    height, width = read_onnx_card(model).frame_size
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    write_png(image, pixels)
    found: dict[str, Start] = {
        "python": partial(whole, "pass"),
        BASE: partial(whole, BASE),
        "help": partial(whole, EDGESEG, "--help"),
    }
    for command, first in {"predict": predict, "stream": stream}.items():
        if installed("onnxruntime"):
            start = partial(first, model, image, folder / "out", "onnxruntime")
            found[f"{command}, ONNX Runtime"] = partial(start, folder / "unused")
        if installed("openvino"):
            start = partial(first, model, image, folder / "out", "openvino")
            found[f"{command}, OpenVINO, cold"] = partial(cold, start)
            found[f"{command}, OpenVINO, warm"] = partial(start, folder / "warm")
    for runtime in ("onnxruntime", "openvino"):
        if not installed(runtime):
            print(f"not measured: {runtime} is not installed", file=sys.stderr)
    return found


def whole(program: str, *words: str) -> float:
    """Return the seconds of a process from its start to its end."""
    began = time.perf_counter()
    call(program, *words)
    return time.perf_counter() - began


def predict(model: Path, image: Path, out: Path, runtime: str, cache: Path) -> float:
    """Return the seconds from the start of `edgeseg predict` to its first mask file."""
    words = ["predict", str(model), str(image), "--out", str(out), "--runtime", runtime]
    began = time.time()
    call(EDGESEG, *words, cache=cache)
    return (out / f"{image.stem}_mask.png").stat().st_mtime - began


def stream(model: Path, image: Path, out: Path, runtime: str, cache: Path) -> float:
    """Return the seconds from the start of `edgeseg stream` to its first mask."""
    out.mkdir(exist_ok=True)
    lines = out / "lines.jsonl"
    words = ["stream", str(model), "--runtime", runtime, "--jsonl", str(lines)]
    words += ["--source", "test://640x480@1000", "--frames", "1", "--no-window"]
    began = time.time()
    call(EDGESEG, *words, cache=cache)
    line = json.loads(lines.read_text().splitlines()[0])
    arrival = datetime.fromisoformat(line["arrival"]).timestamp()
    return float(arrival + line["ms"] / 1e3 - began)


def cold(start: Callable[[Path], float]) -> float:
    """Start with an empty cache."""
    with tempfile.TemporaryDirectory() as empty:
        return start(Path(empty))


def call(program: str, *words: str, cache: Path | None = None) -> None:
    """Run a Python program to its end; exit with its output if it fails."""
    environment = os.environ | ({"XDG_CACHE_HOME": str(cache)} if cache else {})
    line = [sys.executable, "-c", program, *words]
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words) or program} ended with {done.returncode}:\n{done.stderr}")


def make_model(folder: Path) -> Path:
    """Train for two steps on drawn parts, and export."""
    with redirect_stdout(sys.stderr):  # standard output is for the figures
        from edgeseg.config import ExportConfig
        from edgeseg.data.layouts import open_dataset
        from edgeseg.data.parts import write_parts
        from edgeseg.evaluation.threshold import threshold_run
        from edgeseg.exporter.export import export_run
        from edgeseg.recipes import TrainConfig
        from edgeseg.training.train import train

        config = TrainConfig(
            teacher="efficientnet_lite0",
            image_size=128,
            batch=2,
            student_steps=1,
            head_steps=1,
            holdout=0.4,
            device="cpu",
        )
        data, run = write_parts(folder / "plates", train=6, good=1, bad=0), folder / "run"
        train(open_dataset(data), config, run, preview=False)
        threshold_run(run, data, 0.5)
        return export_run(run, ExportConfig()).graph


if __name__ == "__main__":
    main()
