"""Timing of several candidates in turn, so that a machine that slows down slows all of them down.

In each round every candidate is measured once, in a random order. A comparison is the median of the
rounds' ratios, with their 5th and 95th percentile.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from documents import RATIO, Figure, figure
from edgeseg.data.frames import load_frames
from edgeseg.runtime.base import Backend

PAUSE = 0.05  # seconds: threads of the candidate before keep spinning for a while


def time_rounds(
    candidates: Sequence[Callable[[int], float]], rounds: int, warmup: int
) -> NDArray[np.float64]:
    """Return the seconds of each candidate in each round, [C, rounds].

    A candidate takes the number of the round and returns its seconds.
    """
    rng = np.random.default_rng(0)
    seconds = np.zeros((len(candidates), warmup + rounds))
    for turn in range(warmup + rounds):
        for place in rng.permutation(len(candidates)):
            seconds[place, turn] = candidates[place](turn)
    return seconds[:, warmup:]


def inference(backend: Backend, data: Path | None) -> Callable[[int], float]:
    """Return a candidate that times one inference, from frame to mask in the slot.

    A pause and an untimed run precede it. data: a folder of images; None for synthetic frames.
    """
    frames, slot = load_frames(backend.card, data), backend.new_slot()
    backend.bind(slot)

    def timed(turn: int) -> float:
        frames.fill(slot, turn)
        time.sleep(PAUSE)
        backend.run()
        begin = time.perf_counter()
        backend.run()
        return time.perf_counter() - begin

    return timed


def speedup(
    title: str, own: NDArray[np.float64], base: NDArray[np.float64], of: str
) -> tuple[list[Figure], str]:
    """Return a candidate's time and its speedup over the candidate `of`, and a line of text."""
    time_ms = figure(title, own * 1e3, unit="ms")
    name = f"{title}, times as fast as {of}"
    ratio = figure(name, base / own, unit=RATIO, better="higher", of=title)
    p99 = time_ms.p99 or time_ms.p50
    spread = f"({ratio.p5 or ratio.p50:.2f} to {ratio.p95 or ratio.p50:.2f})"
    line = f"{time_ms.p50:8.2f} ms p50 {p99:8.2f} ms p99 {ratio.p50:6.2f} times as fast {spread}"
    return [time_ms, ratio], f"{line}  {title}"
