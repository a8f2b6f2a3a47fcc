"""Time and memory of score_maps on a test set of a thousand anomaly maps.

    python benchmarks/bench_metrics.py [--maps 1000] [--side 256] [--rounds 5]

The maps are noise with higher values on the defects, so that there are as many thresholds as
float32 values in [0, 1). A tenth of the images is good; each of the others has one to four
rectangular defects, 3 % of all pixels. Not measured: reading images, running a model, resizing
masks.

The last line of standard output is one JSON document.
"""

import argparse
import resource
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from documents import RATIO, Figure, emit, figure
from edgeseg.evaluation.metrics import score_maps


def main() -> None:
    """Time the calls and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--maps", type=int, default=1000, help="number of maps")
    parser.add_argument("--side", type=int, default=256, help="their side in pixels")
    parser.add_argument("--rounds", type=int, default=5, help="timed calls")
    options = parser.parse_args()
    maps, masks = make_maps(options.maps, options.side)
    before = peak_mib()
    seconds, sorting, scores = [], [], []
    for _ in range(options.rounds):
        sorting.append(timed(lambda: np.sort(maps, axis=None)))
        seconds.append(timed(lambda: scores.append(score_maps(maps, masks))))
    memory = Figure(name="peak memory", unit="MiB", p50=round(peak_mib()))
    time_s = figure("score_maps", seconds, unit="s")
    ratio = figure(
        "score_maps, times np.sort of all values",
        np.array(seconds) / sorting,
        unit=RATIO,
        of="score_maps",
    )
    print(f"{options.maps} maps of {options.side} x {options.side}, {masks.mean():.1%} anomalous")
    print(f"score_maps {time_s.p50:.2f} s, {ratio.p50:.2f} times np.sort of all values (medians)")
    print(f"peak memory {memory.p50:.0f} MiB, of which {before:.0f} MiB before the first call")
    facts = {"maps": options.maps, "side": options.side, "scores": scores[-1].to_json()}
    emit("metrics", [time_s, ratio, memory], **facts)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


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
    """Return the peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
