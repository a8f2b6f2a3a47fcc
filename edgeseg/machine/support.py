"""Which TensorRT does what, on which GPU and JetPack: the one table that the build asks.

The build, the refusals and the doctor's advice all read this module; no version is compared
elsewhere. A release between two listed ones follows from the spans. A release newer than all of
them is treated like the newest, and this is logged.

TensorRT itself was not run: GPUs, JetPacks and opsets come from NVIDIA's support matrices, release
notes and operators.md (8.6 to 11.4.1). For TensorRT-RTX 1.7.1, tests confirm the GPUs and the FP16
scales; its opsets come from its parser's operators.md.
"""

from dataclasses import dataclass
from typing import Literal

from edgeseg.config import RuntimeName
from edgeseg.errors import ConfigError

OLDEST, NEWEST = "8.6", "11.4"
RTX = "1.7"
LISTED = (OLDEST, "10.3", "10.4", "10.7", "10.13", "10.16", NEWEST)

HalfScales = Literal["none", "equal", "any"]


@dataclass(frozen=True)
class Span:
    """From one release of TensorRT to another, both included; TensorRT-RTX counts for itself."""

    since: str = OLDEST
    until: str | None = None
    """`10` takes every 10.x in; None: no release has ended it."""
    rtx: bool = False

    def holds(self, release: "Release") -> bool:
        if release.rtx:
            return self.rtx
        if _before(release.version, self.since):
            return False
        return self.until is None or not _before(self.until, release.version)

    def __str__(self) -> str:
        if self.until is None:
            return f"from {self.since}"
        until = self.until if "." in self.until else f"{self.until}.x"
        return self.since if until == self.since else f"{self.since} to {until}"


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A compute capability, and the TensorRT that has kernels for it."""

    capability: str
    name: str
    spans: tuple[Span, ...]
    int8: bool = True
    """Whether INT8 is worth an engine there."""
    note: str = ""


GPUS = (
    Gpu(
        capability="7.0",
        name="V100",
        spans=(Span(until="10.4"),),
        int8=False,
        note="no INT8 tensor cores; CUDA 12.9 or older",
    ),
    Gpu(capability="7.2", name="Xavier", spans=(), note="JetPack 5: TensorRT 8.5, Python 3.8"),
    Gpu(
        capability="7.5",
        name="T4, RTX 20",
        spans=(Span(rtx=True),),
        note="TensorRT-RTX: INT8 computes in float, no FP32 GEMM",
    ),
    Gpu(capability="8.0", name="A100, A30", spans=(Span(rtx=True),)),
    Gpu(capability="8.6", name="RTX 30, RTX A, A10", spans=(Span(rtx=True),)),
    Gpu(
        capability="8.7",
        name="Orin",
        spans=(Span(until="8.6"), Span("10.3", "10.7"), Span("10.16", "10"), Span("11.4")),
        note="JetPack's own; 11.4 on AGX Orin alone",
    ),
    Gpu(capability="8.9", name="RTX 40, L4, L40", spans=(Span(rtx=True),)),
    Gpu(capability="9.0", name="H100, H200", spans=(Span(),)),
    Gpu(
        capability="11.0",
        name="Thor",
        spans=(Span("10.13", "10"), Span("11.4")),
        note="JetPack's own; CUDA 12 calls it 10.1",
    ),
    Gpu(capability="12.0", name="RTX 50, RTX PRO Blackwell", spans=(Span("10.8", rtx=True),)),
    Gpu(capability="12.1", name="GB10", spans=(Span("10.14", rtx=True),)),
)


@dataclass(frozen=True)
class JetPack:
    """One of NVIDIA's systems for Jetson boards."""

    name: str
    l4t: tuple[str, ...]
    """How the releases of Jetson Linux begin that belong to it."""
    cuda: str
    tensorrt: tuple[str, ...]
    """What it brings; after it, what it can be upgraded to."""
    python: str
    boards: tuple[str, ...]


JETPACKS = (
    JetPack("5.0.2", ("35.1",), "11.4", ("8.4",), "3.8", ("Xavier", "Orin")),
    JetPack("5.1", ("35.",), "11.4", ("8.5",), "3.8", ("Xavier", "Orin")),
    JetPack("6.0", ("36.3",), "12.2", ("8.6",), "3.10", ("Orin",)),
    JetPack("6.1 and 6.2", ("36.4",), "12.6", ("10.3", "10.7"), "3.10", ("Orin",)),
    JetPack("7.0 and 7.1", ("38.",), "13.0", ("10.13",), "3.12", ("Thor",)),
    JetPack("7.2", ("39.",), "13.2", ("10.16", "11.4"), "3.12", ("Thor", "Orin")),
)

# Builder flags choose types until 10; networks can be strongly typed since 9.
_WEAK, _STRONG = Span(until="10"), Span("9", rtx=True)

# The opsets that each release documents for its parser: none is refused by it (TensorRT-RTX 1.7
# parses 7 to 26 without a word). A release of 10 that names no other stands by 10.0's; of 11, one
# page says 25 and operators.md says 24.
_OPSETS = (("8.6", 7, 17), ("9", 9, 19), ("10.0", 9, 20), ("10.15", 9, 24))
_RTX_OPSETS = (9, 24)


@dataclass(frozen=True)
class Release:
    """One TensorRT or TensorRT-RTX by its version, `10.3.0` or `1.7.1.116`."""

    runtime: RuntimeName
    version: str

    def __str__(self) -> str:
        return f"{self.runtime} {self.version}"

    @property
    def rtx(self) -> bool:
        return self.runtime == "tensorrt-rtx"

    @property
    def newer(self) -> bool:
        """Whether it is newer than all that the tables know."""
        return _before(RTX if self.rtx else NEWEST, self.version)

    @property
    def older(self) -> bool:
        """Whether it is older than all that the tables know."""
        return _before(self.version, RTX if self.rtx else OLDEST)

    @property
    def note(self) -> str:
        """What to say of a version that the tables do not know; empty otherwise."""
        if not self.newer:
            return ""
        known = RTX if self.rtx else NEWEST
        return f"{self} is newer than {known}, the newest known here, and is treated like it"

    @property
    def weak(self) -> bool:
        """Whether the builder's flags can still choose types."""
        return _WEAK.holds(self)

    @property
    def strong(self) -> bool:
        """Whether the graph's own types can be obeyed; before 10.12 not for every graph."""
        return _STRONG.holds(self)

    @property
    def implicit_batch(self) -> bool:
        """Whether a network that is not EXPLICIT_BATCH would add a batch dimension of its own."""
        return Span(until="9").holds(self)

    @property
    def ahead_of_time(self) -> bool:
        """Whether it builds for a GPU that is not there."""
        return self.rtx

    @property
    def opsets(self) -> tuple[int, int]:
        """The lowest and the highest opset whose meaning the parser documents."""
        if self.rtx:
            return _RTX_OPSETS
        return [row[1:] for row in _OPSETS if not _before(self.version, row[0])][-1]

    @property
    def half_scales(self) -> HalfScales:
        """FP16 scales of quantization: `none`, `equal` (the scale's type is the tensor's), `any`.

        Opset 17, the highest of 8.6, has none; NvInfer.h of 10.3 wants both types equal and the
        scale a constant; that of 11 does not.
        """
        if self.rtx or not _before(self.version, "11"):
            return "any"
        return "none" if _before(self.version, "9") else "equal"

    @property
    def gpus(self) -> tuple[Gpu, ...]:
        """The GPUs that it has kernels for."""
        return tuple(gpu for gpu in GPUS if any(span.holds(self) for span in gpu.spans))

    def lacks_float_products(self, capability: str) -> bool:
        """Whether FP32 matrix products do not build (tried with TensorRT-RTX 1.7.1)."""
        return self.rtx and capability == "7.5"


def listed() -> tuple[Release, ...]:
    """Return the releases that the tables know by name."""
    return (*(Release("tensorrt", v) for v in LISTED), Release("tensorrt-rtx", RTX))


def gpu_of(capability: str) -> Gpu | None:
    """Return the row of a compute capability; None for one that the tables do not know."""
    return next((gpu for gpu in GPUS if gpu.capability == capability), None)


def jetpack_of(l4t: str) -> JetPack | None:
    """Return the JetPack of a release of Jetson Linux: 36.4.3 -> 6.1 and 6.2."""
    return next((pack for pack in JETPACKS if l4t.startswith(pack.l4t)), None)


def check(release: Release, capability: str | None, precision: str = "fp16") -> None:
    """ConfigError when a release does not serve a GPU (`8.7`), or a GPU not a precision."""
    if refused := refusal(release, capability, precision):
        raise refused


def refusal(
    release: Release, capability: str | None, precision: str = "fp16"
) -> ConfigError | None:
    """Return what `check` raises."""
    if release.older:
        oldest = RTX if release.rtx else OLDEST
        return ConfigError(
            f"{release} is older than {oldest}, the oldest that edgeseg builds with.",
            remedy="--runtime openvino, or a newer TensorRT",
        )
    gpu = gpu_of(capability) if capability else None
    if gpu is None:
        return None
    where = f"compute capability {gpu.capability} ({gpu.name})"
    if gpu not in release.gpus:
        return ConfigError(
            f"{release} has no kernels for {where}: {served_by(gpu)} has them.",
            remedy=_other(release, gpu),
        )
    if precision == "int8" and not gpu.int8:
        return ConfigError(f"INT8 was asked for on {where}: {gpu.note}.", remedy="--precision fp16")
    return None


def served_by(gpu: Gpu) -> str:
    """Say which releases have kernels for a GPU: `TensorRT 8.6 to 10.4`."""
    spans = ", ".join(str(span) for span in gpu.spans)
    found = [f"TensorRT {spans}"] if spans else []
    if any(span.rtx for span in gpu.spans):
        found.append(f"TensorRT-RTX from {RTX}")
    return " and ".join(found) or "no TensorRT that edgeseg knows"


def _other(release: Release, gpu: Gpu) -> str:
    """Return what to type for a GPU that the installed release does not serve."""
    if not gpu.spans:
        return "--runtime onnxruntime"
    if release.rtx:
        return "--runtime tensorrt"
    if gpu.capability == "7.0":
        return 'pip install "tensorrt-cu12==10.4.0"'
    if any(gpu.name in pack.boards for pack in JETPACKS):
        return "sudo apt-get install python3-libnvinfer, python3 -m venv --system-site-packages"
    return "pip install --upgrade tensorrt"


def _before(one: str, other: str) -> bool:
    """Whether a version comes before another; `10` is every 10.x, so not before or after any."""
    a, b = _numbers(one), _numbers(other)
    shared = min(len(a), len(b))
    return a[:shared] < b[:shared]


def _numbers(version: str) -> tuple[int, ...]:
    """`10.3.0` -> (10, 3, 0)."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
