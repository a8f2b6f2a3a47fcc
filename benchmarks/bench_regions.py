"""Time to find and measure the regions of a mask, and of a mask without any.

    python benchmarks/bench_regions.py [--size 1920x1080] [--regions 100] [--rounds 50]

The mask has ellipses of 8 to 80 pixels in a grid, turned at random; the anomaly map has 256 x 144.
Beside it, in the same rounds: the labeling of the same mask by cv2.connectedComponentsWithStats,
which regions.py does without, and cv2.countNonZero, which is all that a frame without an anomalous
pixel costs but the range of its map. Not measured: inference, and reading the mask from a device.

The last line of standard output is one JSON document.
"""

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from documents import RATIO, emit, figure
from edgeseg.settings import parse_size
from edgeseg.verdict.regions import find_regions
from edgeseg.verdict.rule import Rule
from rounds import time_rounds

MAP = (144, 256)
WARMUP = 5


def main() -> None:
    """Time the calls and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", default="1920x1080", help="of the mask, in pixels")
    parser.add_argument("--regions", type=int, default=100, help="number of regions")
    parser.add_argument("--rounds", type=int, default=50, help="timed calls of each candidate")
    options = parser.parse_args()
    mask = draw_mask(parse_size(options.size, "--size"), options.regions)
    small = cv2.resize(mask, MAP[::-1], interpolation=cv2.INTER_AREA)
    anomaly_map = small.astype(np.float32) / 255
    empty = np.zeros_like(mask)
    rule = Rule(mm_per_px=0.1)
    found = find_regions(mask, anomaly_map, rule)
    assert found.count == len(found.largest) == options.regions, "regions touch"
    candidates = {
        f"{options.regions} regions": lambda: find_regions(mask, anomaly_map, rule),
        "no region": lambda: find_regions(empty, anomaly_map, rule),
        "connectedComponentsWithStats": lambda: cv2.connectedComponentsWithStats(mask),
        "countNonZero": lambda: cv2.countNonZero(mask),
    }
    seconds = time_rounds([timed(call) for call in candidates.values()], options.rounds, WARMUP)
    figures = []
    for name, samples in zip(candidates, seconds, strict=True):
        figures.append(figure(name, samples * 1e3, unit="ms"))
        print(f"{figures[-1].p50:8.3f} ms p50 {figures[-1].p99:8.3f} ms p99  {name}")
    labeled = f"{options.regions} regions, times connectedComponentsWithStats"
    figures.append(figure(labeled, seconds[0] / seconds[2], unit=RATIO, of=figures[0].name))
    print(f"{figures[-1].p50:8.3f} times connectedComponentsWithStats")
    emit("regions", figures, size=options.size, regions=options.regions)


def timed(call: Callable[[], object]) -> Callable[[int], float]:
    """Return a candidate that times one call."""

    def measure(_: int) -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return measure


def draw_mask(size: tuple[int, int], regions: int) -> NDArray[np.uint8]:
    """Return a mask with ellipses that do not touch, always the same."""
    height, width = size
    columns = round((regions * width / height) ** 0.5)
    rows = -(-regions // columns)
    rng, mask = np.random.default_rng(0), np.zeros(size, np.uint8)
    most = min(height // rows, width // columns) / 2 - 3
    for place in range(regions):
        row, column = divmod(place, columns)
        center = int((column + 0.5) * width / columns), int((row + 0.5) * height / rows)
        long = rng.uniform(4, max(min(most, 40), 5))
        axes = int(long), int(rng.uniform(2, max(min(long, 12), 3)))
        cv2.ellipse(mask, center, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1)
    return mask


if __name__ == "__main__":
    main()
