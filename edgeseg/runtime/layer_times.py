"""How long each layer of a backend takes, where its runtime says so: an optional third seam.

    backend.layer_times(prepare, warmup=..., runs=...)   ->   LayerTimes

A backend that has the method opens what it needs for it and closes it again; its own `run` stays as
fast as it was. A runtime names layers as it pleases: after one node of the graph, after several, or
after none. What such a name stands for is found out in deploy/network.py.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Protocol, runtime_checkable

from edgeseg.errors import ModelError

Prepare = Callable[[int], None]
"""Writes the frames of run i into the bound slot."""


@dataclass(frozen=True)
class LayerTime:
    """One layer of a runtime: a kernel, with the operations that were fused into it."""

    name: str
    kind: str
    """The runtime's own word: `Conv`, `Convolution`, `ReorderOutput`."""
    seconds: float
    nodes: tuple[str, ...] = ()
    """The graph's nodes in it, where the runtime lists them."""


@dataclass(frozen=True)
class LayerTimes:
    """The layers in the order in which they ran, and the runs that they come from.

    A layer's time is its mean over the runs, so that layers add up to the mean run. Medians would
    not: what other work takes away on a busy machine hits the long layers in every run, and the
    short ones in few.
    """

    layers: tuple[LayerTime, ...]
    seconds: tuple[float, ...]
    """Each run's wall clock, in seconds: per-layer timing included."""


@runtime_checkable
class Layered(Protocol):
    """A backend that can time its layers; `bind` comes first."""

    def layer_times(self, prepare: Prepare, *, warmup: int, runs: int) -> LayerTimes: ...


def time_each(run: Callable[[], None], prepare: Prepare, count: int) -> tuple[float, ...]:
    """Return the wall clock of `count` runs, in seconds; `prepare(i)` before each is not timed."""
    seconds = []
    for i in range(count):
        prepare(i)
        begin = time.perf_counter_ns()
        run()
        seconds.append((time.perf_counter_ns() - begin) / 1e9)
    return tuple(seconds)


def average(runs: Sequence[Sequence[LayerTime]]) -> tuple[LayerTime, ...]:
    """Return each layer with its mean over the runs; ModelError when their layers differ."""
    if not runs or not runs[0]:
        raise ModelError(
            "The runtime reported no times of layers.", remedy="edgeseg benchmark, for the whole"
        )
    names = [layer.name for layer in runs[0]]
    for run in runs:
        if [layer.name for layer in run] != names:
            raise ModelError(
                f"The runtime reported {len(names)} layers for one run and {len(run)}, or others, "
                "for another; the same ones were expected.",
                remedy="report this with the version of the runtime",
            )
    return tuple(
        replace(samples[0], seconds=fmean(layer.seconds for layer in samples))
        for samples in zip(*runs, strict=True)
    )


def without(
    first: Sequence[LayerTime], first_runs: int, all_: Sequence[LayerTime], all_runs: int
) -> tuple[LayerTime, ...]:
    """Return the averages over the runs behind the first ones, from the averages over both.

    first: over `first_runs`, empty for none; all_: over `all_runs`.
    """
    if not first_runs:
        return average([all_])
    average([first, all_])  # the same layers
    return tuple(
        replace(
            late,
            seconds=max(late.seconds * all_runs - early.seconds * first_runs, 0.0)
            / (all_runs - first_runs),
        )
        for early, late in zip(first, all_, strict=True)
    )
