"""TensorRT and TensorRT-RTX: the one switch between them, and what each version can do.

TensorRT (`import tensorrt`, also JetPack's) builds an engine on the GPU that will run it.
TensorRT-RTX (`import tensorrt_rtx`, versions 1.x) builds for a compute capability, on a machine
with no GPU at all. Both share one Python interface, from which things came and went: matrix.py says
which release has what, and flags are asked for by name, never by number. STRONGLY_TYPED is 1 in
TensorRT 10 and 0 in 11, where 0 was EXPLICIT_BATCH before.

TensorRT-RTX 1.7 was run for this file, building; of TensorRT the sources of 8.6 to 11.1 were read.
"""

from dataclasses import dataclass
from typing import Any, NoReturn

from edgeseg.cards import EngineCard
from edgeseg.config import RuntimeName
from edgeseg.errors import EngineMismatch
from edgeseg.extras import require
from edgeseg.runtime.matrix import Release


@dataclass(frozen=True)
class Flavor:
    """One of the two packages."""

    runtime: RuntimeName
    module: str
    extra: str
    tag: str
    """In the names of engines: `bottle-fp16-rtx-sm86.engine`."""


FLAVORS: dict[str, Flavor] = {
    "tensorrt": Flavor("tensorrt", "tensorrt", "tensorrt", "trt"),
    "tensorrt-rtx": Flavor("tensorrt-rtx", "tensorrt_rtx", "rtx", "rtx"),
}


@dataclass(frozen=True)
class Api:
    """An installed TensorRT or TensorRT-RTX."""

    flavor: Flavor
    trt: Any
    """The module."""

    @property
    def version(self) -> str:
        return str(self.trt.__version__)

    @property
    def release(self) -> Release:
        """What the matrix knows of it."""
        return Release(self.flavor.runtime, self.version)

    @property
    def ahead_of_time(self) -> bool:
        """Whether it builds for a GPU that is not there."""
        return self.release.ahead_of_time

    @property
    def weak(self) -> bool:
        """Whether builder flags can still choose types (until TensorRT 10)."""
        return self.release.weak

    @property
    def strong(self) -> bool:
        """Whether the graph's own types can be obeyed (since TensorRT 9)."""
        return self.release.strong

    @property
    def targets(self) -> tuple[str, ...]:
        """The compute capabilities that it builds for ahead of time: `8.6`."""
        if not self.ahead_of_time:
            return ()
        names = self.trt.ComputeCapability.__members__
        return tuple(capability_of(name) for name in names if name.startswith("SM"))

    def network_flags(self, *, weak: bool) -> int:
        """Return what `create_network` takes, as a bit mask."""
        flags = self.trt.NetworkDefinitionCreationFlag
        if weak:
            return 1 << int(flags.EXPLICIT_BATCH) if self.release.implicit_batch else 0
        # Without weak typing every network is strongly typed, and the flag draws a warning.
        return 1 << int(flags.STRONGLY_TYPED) if self.weak and self.strong else 0


def load(runtime: str) -> Api:
    """Import `tensorrt` or `tensorrt-rtx`; MissingExtra when it is not installed."""
    flavor = FLAVORS[runtime]
    return Api(flavor, require(flavor.module, extra=flavor.extra))


def target_of(capability: str) -> str:
    """`8.6` -> `sm86`, as targets are written in cards and names."""
    return "sm" + capability.replace(".", "")


def capability_of(target: str) -> str:
    """`sm86` or `SM86` -> `8.6`."""
    return f"{target[2:-1]}.{target[-1]}"


def refuse_to_run(card: EngineCard) -> NoReturn:
    """Say that a sound engine cannot be run, and what can."""
    raise EngineMismatch(
        f"{card.file} is an engine for {card.runtime} {card.runtime_version} on {card.target}; "
        "this version of edgeseg builds such engines and does not run them.",
        remedy=f"edgeseg build-engine --model {card.graph.name} --runtime openvino",
    )
