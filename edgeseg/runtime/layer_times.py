"""Layer times of a backend: an optional interface for runtimes that report them.

    backend.layer_times(prepare, warmup=..., iterations=...)   ->   LayerTimes

The method opens a separate profiling session and closes it again, so that `run` is not slowed down.
Runtimes choose their layer names freely; graph/modules.py maps them to modules of the network.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Protocol, runtime_checkable

from edgeseg.errors import ModelError

Prepare = Callable[[int], None]
"""Writes the frames of iteration i into the bound slot."""


@dataclass(frozen=True)
class LayerTime:
    """One layer of a runtime: a kernel with the operations that were fused into it."""

    name: str
    kind: str
    """The runtime's own word: `Conv`, `Convolution`, `ReorderOutput`."""
    seconds: float
    nodes: tuple[str, ...] = ()
    """The graph's nodes in it, where the runtime lists them."""


@dataclass(frozen=True)
class LayerTimes:
    """Layers in execution order, and the iterations that they were measured in.

    A layer's time is its mean over the iterations, so that layers add up to the mean iteration.
    Medians would not: load on the machine slows long layers down in every iteration, and short ones
    in few.
    """

    layers: tuple[LayerTime, ...]
    seconds: tuple[float, ...]
    """Wall time of each iteration, in seconds, with the cost of per-layer timing."""


@runtime_checkable
class Layered(Protocol):
    """A backend that can time its layers, after `bind`."""

    def layer_times(self, prepare: Prepare, *, warmup: int, iterations: int) -> LayerTimes: ...


def time_each(run: Callable[[], None], prepare: Prepare, count: int) -> tuple[float, ...]:
    """Return the wall time of `count` runs, in seconds; `prepare(i)` before each is excluded."""
    seconds = []
    for i in range(count):
        prepare(i)
        begin = time.perf_counter_ns()
        run()
        seconds.append((time.perf_counter_ns() - begin) / 1e9)
    return tuple(seconds)


def average(iterations: Sequence[Sequence[LayerTime]]) -> tuple[LayerTime, ...]:
    """Return each layer with its mean; ModelError if the layers differ between iterations."""
    if not iterations or not iterations[0]:
        raise ModelError(
            "the runtime reported no layer times.",
            remedy="use edgeseg benchmark for the time of the whole graph",
            code="model/no-layer-times",
        )
    names = [layer.name for layer in iterations[0]]
    for layers in iterations:
        if [layer.name for layer in layers] != names:
            raise ModelError(
                f"the runtime reported {len(names)} layers in one iteration and {len(layers)}, or "
                "others, in another (expected the same layers).",
                remedy="report this with the version of the runtime",
                code="model/layers-differ",
            )
    return tuple(
        replace(samples[0], seconds=fmean(layer.seconds for layer in samples))
        for samples in zip(*iterations, strict=True)
    )


def without(
    first: Sequence[LayerTime], first_count: int, total: Sequence[LayerTime], total_count: int
) -> tuple[LayerTime, ...]:
    """Remove the first iterations from averages over all of them.

    first: averages over `first_count` iterations, empty for none; total: over `total_count`.
    """
    if not first_count:
        return average([total])
    average([first, total])  # checks that the layers are the same
    return tuple(
        replace(
            late,
            seconds=max(late.seconds * total_count - early.seconds * first_count, 0.0)
            / (total_count - first_count),
        )
        for early, late in zip(first, total, strict=True)
    )
