"""How long score_maps takes on a test set of a thousand maps, and how much memory.

    python benchmarks/bench_metrics.py [--maps 1000] [--side 256]

The maps are noise, brighter on the defects: thresholds as many as float32 has values in [0, 1). A
tenth of the images is good; each of the others has one to four rectangular defects, 3 % of all
pixels. Not measured: reading images, running a model, resizing masks.

The last line of standard output is one JSON document.
"""

import argparse
import json
import resource
import time

import numpy as np
from numpy.typing import NDArray

from edgeseg.evaluation.metrics import score_maps
from edgeseg.runtime.machine import this_machine


def main() -> None:
    """Time one call and print the figures."""
    parser = argparse.ArgumentParser(description="Times edgeseg.evaluation.metrics.score_maps.")
    parser.add_argument("--maps", type=int, default=1000, help="number of maps")
    parser.add_argument("--side", type=int, default=256, help="their side in pixels")
    options = parser.parse_args()
    maps, masks = make_maps(options.maps, options.side)
    before = peak_mib()
    began = time.perf_counter()
    scores = score_maps(maps, masks)
    seconds = time.perf_counter() - began
    print(f"{options.maps} maps of {options.side} x {options.side}, {masks.mean():.1%} anomalous")
    print(
        f"score_maps {seconds:.1f} s, one run, no warm-up; process at {peak_mib():.0f} MiB at its"
    )
    print(
        f"peak, {before:.0f} MiB of it before the call (the maps and masks, {maps.nbytes >> 20} MiB"
    )
    print(f"and {masks.nbytes >> 20} MiB, and what made them)")
    print(f"{this_machine().line()}, numpy {np.__version__}")
    report = {
        "benchmark": "metrics",
        "maps": options.maps,
        "side": options.side,
        "seconds": round(seconds, 2),
        "peak_mib": round(peak_mib()),
        "scores": scores.to_json(),
        "machine": this_machine().line(),
        "numpy": np.__version__,
    }
    print(json.dumps(report))


def make_maps(count: int, side: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return maps float32 [count, side, side] in [0, 1) and their masks, always the same."""
    rng = np.random.default_rng(0)
    maps = rng.random((count, side, side), np.float32)
    masks = np.zeros(maps.shape, np.bool_)
    for mask in masks[count // 10 :]:
        for _ in range(rng.integers(1, 5)):
            top, left = rng.integers(0, side - side // 8, 2)
            mask[top : top + side // 8, left : left + side // 9] = True
    maps[masks] = 0.3 + 0.7 * maps[masks]
    return maps, masks


def peak_mib() -> float:
    """Return the largest memory this process has held so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
