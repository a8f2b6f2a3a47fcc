"""The support matrix: TensorRT releases, the GPUs and JetPacks they run on, and their features.

The build, the refusals and the doctor's advice all read this module; no version is compared
elsewhere. A release between two listed ones follows from the spans. A release newer than all of
them is treated like the newest, and this is logged.

TensorRT itself was not run: GPUs, JetPacks and opsets come from NVIDIA's support matrices, release
notes and operators.md (8.6 to 11.4.1). For TensorRT-RTX 1.7.1, tests confirm the GPUs and the FP16
scales, and an H200 was refused; its opsets come from its parser's operators.md.
"""

from dataclasses import dataclass
from typing import Literal

from edgeseg.config import RuntimeName
from edgeseg.errors import ConfigError
from edgeseg.packages.system import system_packages

OLDEST, NEWEST = "8.6", "11.4"
RTX = "1.7"
JETSON_TENSORRT = "python3-libnvinfer"  # JetPack's; a wheel does not support a Jetson's GPU
WHEELS = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13")
LISTED = (OLDEST, "10.3", "10.4", "10.7", "10.13", "10.16", NEWEST)

Fp16Scales = Literal["none", "equal", "any"]


@dataclass(frozen=True)
class Span:
    """From one release of TensorRT to another, inclusive; and whether TensorRT-RTX is included."""

    since: str = OLDEST
    until: str | None = None
    """`10` includes every 10.x; None: still supported."""
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


@dataclass(frozen=True)
class GpuGeneration:
    """A compute capability, and the TensorRT releases that support it."""

    capability: str
    name: str
    spans: tuple[Span, ...]
    int8: bool = True
    """Whether it has INT8 tensor cores."""
    note: str = ""


GPUS = (
    GpuGeneration(
        "7.0",
        "V100",
        (Span(until="10.4"),),
        int8=False,
        note="no INT8 tensor cores; CUDA 12.9 or older",
    ),
    GpuGeneration("7.2", "Xavier", (), note="JetPack 5: TensorRT 8.5, Python 3.8"),
    GpuGeneration(
        "7.5",
        "T4, RTX 20",
        (Span(rtx=True),),
        note="TensorRT-RTX: INT8 computes in FP32, no FP32 GEMM",
    ),
    GpuGeneration("8.0", "A100, A30", (Span(rtx=True),)),
    GpuGeneration("8.6", "RTX 30, RTX A, A10", (Span(rtx=True),)),
    GpuGeneration(
        "8.7",
        "Orin",
        (Span(until="8.6"), Span("10.3", "10.7"), Span("10.16", "10"), Span("11.4")),
        note="from JetPack; 11.4 only on AGX Orin",
    ),
    GpuGeneration("8.9", "RTX 40, L4, L40", (Span(rtx=True),)),
    GpuGeneration("9.0", "H100, H200", (Span(),)),
    GpuGeneration(
        "11.0",
        "Thor",
        (Span("10.13", "10"), Span("11.4")),
        note="from JetPack; CUDA 12 calls it 10.1",
    ),
    GpuGeneration("12.0", "RTX 50, RTX PRO Blackwell", (Span("10.8", rtx=True),)),
    GpuGeneration("12.1", "GB10", (Span("10.14", rtx=True),)),
)


@dataclass(frozen=True)
class JetPack:
    """A release of NVIDIA's software for Jetson boards."""

    name: str
    l4t: tuple[str, ...]
    """Prefixes of its Jetson Linux releases."""
    cuda: str
    tensorrt: tuple[str, ...]
    """The installed release, then the supported upgrades."""
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

# Builder flags select types until 10; networks can be strongly typed since 9.
_WEAK, _STRONG = Span(until="10"), Span("9", rtx=True)

# Opsets as documented; the parser refuses no other (TensorRT-RTX 1.7 parses 7 to 26 without a
# message). Releases of 10 that name none have 10.0's; for 11, one page says 25, operators.md 24.
_OPSETS = (("8.6", 7, 17), ("9", 9, 19), ("10.0", 9, 20), ("10.15", 9, 24))


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
        """Whether it is newer than all listed releases."""
        return _before(RTX if self.rtx else NEWEST, self.version)

    @property
    def older(self) -> bool:
        """Whether it is older than all listed releases."""
        return _before(self.version, RTX if self.rtx else OLDEST)

    @property
    def note(self) -> str:
        """A remark on a version that is not listed yet; empty for others."""
        if not self.newer:
            return ""
        known = RTX if self.rtx else NEWEST
        return f"{self} is newer than {known}, the newest known release, and is treated like it"

    @property
    def weak(self) -> bool:
        """Whether builder flags can select types."""
        return _WEAK.holds(self)

    @property
    def strong(self) -> bool:
        """Whether networks can be strongly typed; before 10.12 not every graph builds."""
        return _STRONG.holds(self)

    @property
    def implicit_batch(self) -> bool:
        """Whether networks have an implicit batch dimension without the flag EXPLICIT_BATCH."""
        return Span(until="9").holds(self)

    @property
    def ahead_of_time(self) -> bool:
        """Whether it builds without the target GPU."""
        return self.rtx

    @property
    def opsets(self) -> tuple[int, int]:
        """The lowest and the highest opset that the parser documents."""
        if self.rtx:
            return 9, 24
        return [row[1:] for row in _OPSETS if not _before(self.version, row[0])][-1]

    @property
    def fp16_scales(self) -> Fp16Scales:
        """Support of FP16 scales in Q/DQ: `none`, `equal` (to the tensor's type) or `any`.

        Opset 17, the highest of 8.6, has none; NvInfer.h of 10.3 requires equal types and a
        constant scale; that of 11 does not.
        """
        if self.rtx or not _before(self.version, "11"):
            return "any"
        return "none" if _before(self.version, "9") else "equal"

    @property
    def gpus(self) -> tuple[GpuGeneration, ...]:
        """The GPUs that it supports."""
        return tuple(gpu for gpu in GPUS if any(span.holds(self) for span in gpu.spans))

    def lacks_fp32_products(self, capability: str) -> bool:
        """Whether FP32 matrix products fail to build (tested with TensorRT-RTX 1.7.1)."""
        return self.rtx and capability == "7.5"


def listed() -> tuple[Release, ...]:
    """Return the listed releases."""
    return (*(Release("tensorrt", v) for v in LISTED), Release("tensorrt-rtx", RTX))


def gpu_of(capability: str) -> GpuGeneration | None:
    """Return the row of a compute capability; None if it is not listed."""
    return next((gpu for gpu in GPUS if gpu.capability == capability), None)


def serves(runtime: RuntimeName, capability: str | None) -> bool:
    """Whether any release of a runtime supports a GPU; true for a GPU that is not listed."""
    gpu = gpu_of(capability) if capability else None
    if gpu is None or not runtime.startswith("tensorrt"):
        return True
    return any(span.rtx for span in gpu.spans) if runtime == "tensorrt-rtx" else bool(gpu.spans)


def jetpack_of(l4t: str) -> JetPack | None:
    """Return the JetPack of a release of Jetson Linux: 36.4.3 -> 6.1 and 6.2."""
    return next((pack for pack in JETPACKS if l4t.startswith(pack.l4t)), None)


def check(release: Release, capability: str | None, precision: str = "fp16") -> None:
    """Raise ConfigError if a release does not support a GPU (`8.7`), or a GPU not a precision."""
    if refused := refusal(release, capability, precision):
        raise refused


def refusal(
    release: Release, capability: str | None, precision: str = "fp16"
) -> ConfigError | None:
    """Return the error that `check` raises."""
    if release.older:
        oldest = RTX if release.rtx else OLDEST
        return ConfigError(
            f"{release} is not supported (expected {oldest} or newer).",
            remedy="--runtime openvino, or install a newer TensorRT",
            code="config/old-tensorrt",
        )
    gpu = gpu_of(capability) if capability else None
    if gpu is None:
        return None
    name = f"compute capability {gpu.capability} ({gpu.name})"
    if gpu not in release.gpus:
        return ConfigError(
            f"{release} does not support {name} (expected {served_by(gpu)}).",
            remedy=_other(release, gpu),
            code="config/unsupported-gpu",
        )
    if precision == "int8" and not gpu.int8:
        return ConfigError(
            f"INT8 is not supported on {name}: {gpu.note}.",
            remedy="--precision fp16",
            code="config/unsupported-precision",
        )
    return None


def served_by(gpu: GpuGeneration) -> str:
    """List the releases that support a GPU: `TensorRT 8.6 to 10.4`."""
    spans = ", ".join(str(span) for span in gpu.spans)
    found = [f"TensorRT {spans}"] if spans else []
    if any(span.rtx for span in gpu.spans):
        found.append(f"TensorRT-RTX from {RTX}")
    return " or ".join(found) or "no known TensorRT"


def _other(release: Release, gpu: GpuGeneration) -> str:
    """Return the remedy for a GPU that the installed release does not support."""
    if not gpu.spans:
        return "--runtime onnxruntime"
    if release.rtx:
        return "--runtime tensorrt"
    if gpu.capability == "7.0":
        return 'pip install "tensorrt-cu12==10.4.0"'
    if any(gpu.name in pack.boards for pack in JETPACKS):
        return system_packages(JETSON_TENSORRT, instead_of=WHEELS)
    return "pip install --upgrade tensorrt"


def _before(one: str, other: str) -> bool:
    """Whether a version precedes another; `10` is every 10.x, neither before nor after any."""
    a, b = _numbers(one), _numbers(other)
    shared = min(len(a), len(b))
    return a[:shared] < b[:shared]


def _numbers(version: str) -> tuple[int, ...]:
    """`10.3.0` -> (10, 3, 0)."""
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
