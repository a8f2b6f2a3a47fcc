"""What a frame costs by its size: bytes to mask, beside `cv2.resize` of the same frame.

    python benchmarks/bench_frames.py [--sizes 640x480,1920x1080,4096x3000] [--format bgr]

A network with random weights (`--profile edge`, square, frames stretched to it) is exported for
frames of its own size and of each other size, and built for ONNX Runtime and OpenVINO in FP32 and
INT8. All are measured in turn. The surplus of a size is its time less that of the network's own
size in the same round, in units of `cv2.resize(frame, INTER_AREA)` to the network: 1.2 says that
reading the frame, scaling it and writing its mask cost 1.2 times that resize. Times do not depend
on the weights.

The last line of standard output is one JSON document.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from bench_profiles import NAMES, built, eager
from documents import RATIO, Figure, emit, figure
from edgeseg.config import ExportConfig, Precision, RuntimeName
from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.data.frames import load_frames
from edgeseg.data.parts import write_parts
from edgeseg.exporter.export import export_graph
from edgeseg.frame.geometry import Size
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, FrameFormat
from edgeseg.loading import open_model
from edgeseg.recipes import TrainConfig
from edgeseg.settings import parse_size
from rounds import PAUSE, inference, time_rounds

RUNTIMES: tuple[RuntimeName, ...] = ("onnxruntime", "openvino")
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")


def main() -> None:
    """Time all sizes and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", default="640x480,1920x1080,4096x3000", help="frames: WxH,WxH")
    parser.add_argument("--format", default="bgr", choices=PIXEL_FORMATS, help="of the frames")
    parser.add_argument("--profile", default="edge", help="of the network")
    parser.add_argument("--side", type=int, default=256, help="of the square network, in pixels")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads, also OpenCV's")
    parser.add_argument("--rounds", type=int, default=30, help="timed rounds")
    parser.add_argument("--warmup", type=int, default=3, help="untimed rounds before them")
    options = parser.parse_args()
    if options.threads:
        cv2.setNumThreads(options.threads)
    config = TrainConfig(image_size=options.side, profile=options.profile)
    own = (options.side, options.side)
    sizes = [own, *(parse_size(text, "--sizes") for text in options.sizes.split(","))]
    engines = [(runtime, precision) for runtime in RUNTIMES for precision in PRECISIONS]
    titles, candidates = [], []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        data = write_parts(folder / "parts", train=8, good=1, bad=1)
        for size in sizes:
            name = f"{size[1]}x{size[0]}"
            module = eager(
                config, name, options.threads, frame_size=size, frame_format=options.format
            )
            with module as network:
                path = folder / f"{name}.onnx"
                graph = export_graph(network, path, ExportConfig(tolerance=1e-3)).graph
                frame = load_frames(network.card, None).pixels[0]
            if size != own:
                titles.append(f"{name}, cv2.resize")
                candidates.append(opencv(frame, options.format, own))
            for runtime, precision in engines:
                engine = built(graph, precision, runtime, data)
                backend = stack.enter_context(open_model(engine, threads=options.threads))
                titles.append(f"{name}, {NAMES[runtime]} {precision.upper()}")
                candidates.append(inference(backend, None))
        seconds = time_rounds(candidates, options.rounds, options.warmup)
    by_title = dict(zip(titles, seconds, strict=True))
    figures: list[Figure] = []
    for title, times in by_title.items():
        time_ms = figure(title, times * 1e3, unit="ms")
        figures.append(time_ms)
        line = f"{time_ms.p50:9.2f} ms  {title}"
        size_name, _, engine_name = title.partition(", ")
        base = by_title.get(f"{own[1]}x{own[0]}, {engine_name}")
        if base is not None and base is not times:
            resize = by_title[f"{size_name}, cv2.resize"]
            surplus = figure(f"{title}, surplus", (times - base) / resize, unit=RATIO, of=title)
            ratio = figure(f"{title}, times {own[1]}x{own[0]}", times / base, unit=RATIO, of=title)
            figures += [surplus, ratio]
            line += f": surplus {surplus.p50:.2f} times cv2.resize, {ratio.p50:.2f} times the time"
        print(line)
    facts = {"format": options.format, "profile": options.profile, "side": options.side}
    emit("frames", figures, **facts, threads=options.threads or 0)


def opencv(frame: np.ndarray, kind: FrameFormat, target: Size) -> Callable[[int], float]:
    """Return a candidate that times OpenCV: its conversion to BGR, and INTER_AREA to a size."""

    def timed(_: int) -> float:
        time.sleep(PAUSE)
        for last in (False, True):  # the first one is not timed, as of the engines
            begin = time.perf_counter()
            picture = frame if kind == "gray" else to_bgr(frame, kind)
            cv2.resize(picture, target[::-1], interpolation=cv2.INTER_AREA)
            if last:
                break
        return time.perf_counter() - begin

    return timed


if __name__ == "__main__":
    main()
