"""The engines of a model in a registry: which one fits this machine.

    openvino-cpu-int8                  a typed graph, which any version of its runtime opens
    tensorrt-10.3.0.30-sm87-fp16       a plan: one version, one compute capability
    tensorrt-10.3.0.30-sm87-fp16-lean  for the lean runtime

An engine for several compute capabilities is stored once, and named for each of them. What was
pulled is checked as every engine is, before a runtime opens it (runtime/engine_files.py).
"""

from collections.abc import Iterator
from contextlib import suppress

from edgeseg.cards import EngineCard
from edgeseg.errors import EdgesegError
from edgeseg.machine.facts import Machine
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.choice import candidates
from edgeseg.runtime.engine_files import CPU


def variants_of(card: EngineCard) -> tuple[str, ...]:
    """Return the names under which an engine is pushed."""
    if card.target == CPU:
        return (f"{card.runtime}-{CPU}-{card.precision}",)
    lean = "-lean" * card.lean
    return tuple(
        f"{card.runtime}-{card.runtime_version}-{target}-{card.precision}{lean}"
        for target in card.target.split("-")
    )


def variants_for(here: Machine, precision: str, runtime: str | None = None) -> Iterator[str]:
    """Yield the names of engines that this machine runs, the best first.

    runtime: the only one that is wanted; None: every one that runs here.
    """
    for each in candidates(here):
        if not each.runs or runtime not in (None, each.runtime):
            continue
        if each.runtime not in trt.FLAVORS:
            yield f"{each.runtime}-{CPU}-{precision}"
            continue
        with suppress(EdgesegError):  # a runtime that is installed and does not load
            api = trt.load(each.runtime, lean=each.lean)
            name = f"{each.runtime}-{api.version}-{trt.target_of(here.compute_capability or '')}"
            if not api.lean:
                yield f"{name}-{precision}"
            if each.runtime == "tensorrt":
                yield f"{name}-{precision}-lean"
