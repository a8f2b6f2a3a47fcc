"""Which runtime this machine uses by default, and why not a faster one.

`build-engine`, `stream` and `doctor` share this choice, and it is always logged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from itertools import takewhile
from shlex import join

from edgeseg.config import RuntimeName
from edgeseg.cuda.driver import found_bindings
from edgeseg.errors import MissingExtra
from edgeseg.machine.facts import Machine
from edgeseg.machine.support import JETSON_TENSORRT, Release, jetpack_of, refusal, serves
from edgeseg.packages.extras import install_command, installed, require
from edgeseg.packages.system import system_packages


@dataclass(frozen=True)
class RuntimePackage:
    """A runtime's module, the distributions that contain it, and the extra that installs it."""

    runtime: RuntimeName
    module: str
    distributions: tuple[str, ...]
    extra: str
    tag: str = ""
    """TensorRT's, which needs a GPU, in the names of engines: `bottle-fp16-rtx-sm86.engine`."""


DRIVERS = {"12": "525", "13": "580"}  # the first release of NVIDIA's driver for each CUDA
# The preferred one first.
PACKAGES = (
    RuntimePackage(
        "tensorrt", "tensorrt", ("tensorrt", "tensorrt-cu13", "tensorrt-cu12"), "tensorrt", "trt"
    ),
    RuntimePackage(
        "tensorrt-rtx", "tensorrt_rtx", ("tensorrt-rtx-cu13", "tensorrt-rtx-cu12"), "rtx", "rtx"
    ),
    RuntimePackage("openvino", "openvino", ("openvino",), "openvino"),
    RuntimePackage("onnxruntime", "onnxruntime", ("onnxruntime", "onnxruntime-gpu"), "cpu"),
)
# What only runs engines, those of `build-engine --lean`; used where TensorRT is not installed.
LEAN = RuntimePackage(
    "tensorrt",
    "tensorrt_lean",
    ("tensorrt-lean", "tensorrt-lean-cu13", "tensorrt-lean-cu12"),
    "tensorrt",
    "trt",
)
CUDA_13 = (10, 13)  # the first TensorRT with wheels for CUDA 13


@dataclass(frozen=True)
class Candidate:
    """One runtime on this machine."""

    runtime: RuntimeName
    module: str
    extra: str
    version: str | None
    """None where it is not installed."""
    obstacle: str = ""
    """Why this machine cannot run its engines; empty where it can."""
    remedy: str = ""
    """What to type against the obstacle; empty where nothing helps."""
    lean: bool = False
    """Whether it is TensorRT's lean runtime, which builds nothing."""

    @property
    def runs(self) -> bool:
        return not self.obstacle


def candidates(here: Machine) -> tuple[Candidate, ...]:
    """Return every runtime, the preferred one first, without importing any."""
    return tuple(_examine(package, here) for package in PACKAGES)


def probe(candidate: Candidate) -> Candidate:
    """Import an installed runtime; return it with an obstacle where the import fails."""
    if candidate.version is None:
        return candidate
    try:
        require(candidate.module, extra=candidate.extra)
    except MissingExtra as broken:
        return replace(candidate, obstacle=broken.problem, remedy=broken.remedy)
    return candidate


def builders(found: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Return the candidates for a build: the lean runtime has an obstacle."""
    obstacle = "only the lean runtime is installed, which cannot build"
    return tuple(
        replace(c, obstacle=obstacle, remedy=install_command(c.extra)) if c.lean and c.runs else c
        for c in found
    )


def best(found: Sequence[Candidate]) -> Candidate:
    """Return the first that runs on this machine; MissingExtra if none does."""
    for candidate in found:
        if candidate.runs:
            return candidate
    raise MissingExtra(
        "no inference runtime is available (expected OpenVINO or ONNX Runtime).",
        remedy=install_command("cpu"),
        code="extra/no-runtime",
    )


def reasons(taken: str, found: Sequence[Candidate]) -> str:
    """Explain why no runtime before `taken` is used; empty for the first."""
    better = takewhile(lambda candidate: candidate.runtime != taken, found)
    by_obstacle: dict[str, list[str]] = {}
    for each in better:
        by_obstacle.setdefault(each.obstacle or "another was requested", []).append(each.runtime)
    unused = [f"{' and '.join(names)} ({why})" for why, names in by_obstacle.items()]
    return f"not used: {', '.join(unused)}" if unused else ""


def cuda_of(package: RuntimePackage, version: str) -> str | None:
    """Return the CUDA (`13`) that an installed TensorRT was built for; None for JetPack's.

    version: of the module; parts of another version may be left from before.
    """
    parts = {
        name: installed(name)
        for distribution in package.distributions
        if distribution[:-2].endswith("-cu")
        for name in _parts(distribution)
    }
    found = {name.partition("-cu")[2][:2] for name, part in parts.items() if part == version}
    return found.pop() if len(found) == 1 else None


def older(driver: str | None, needed: str | None) -> bool:
    """Whether a driver's CUDA (`12.4`) is too old for what was built for another (`13`)."""
    return bool(driver and needed) and int(str(driver).split(".")[0]) < int(str(needed))


def newer_driver(package: RuntimePackage, needed: str | None, here: Machine) -> str:
    """Return the remedy for a driver that is older than the CUDA of a TensorRT."""
    if here.jetson:
        return system_packages(JETSON_TENSORRT, instead_of=package.distributions)
    driver = f"an NVIDIA driver {DRIVERS[needed]}" if needed in DRIVERS else "a newer NVIDIA driver"
    install = f"install {driver}" + " or newer" * (needed in DRIVERS)
    if needed != "13":
        return install
    found = [name for each in package.distributions for name in _parts(each) if installed(name)]
    instead = next(each for each in package.distributions if each.endswith("-cu12"))
    if package is LEAN:  # runs engines of its own version alone
        instead += f"=={installed(found[0])}" if found else ""
    commands = join(["pip", "uninstall", "-y", *found]) + " && " + join(["pip", "install", instead])
    return f"{install}, or {package.runtime} for CUDA 12: {commands}"


def get_lean(version: str, here: Machine) -> str:
    """Return the command that installs the lean runtime of a version."""
    release = tuple(int(number) for number in version.split(".")[:2])
    cuda = "13" if release >= CUDA_13 and not older(here.cuda, "13") else "12"
    return join(["pip", "install", f"tensorrt-lean-cu{cuda}=={version}"])


def _parts(distribution: str) -> tuple[str, ...]:
    return distribution, f"{distribution}-libs", f"{distribution}-bindings"


def _examine(package: RuntimePackage, here: Machine) -> Candidate:
    if package.module == "tensorrt" and find_spec("tensorrt") is None and find_spec(LEAN.module):
        package = LEAN
    version, needs_gpu = _version(package), bool(package.tag)
    refused = None
    if needs_gpu and version is not None:
        refused = refusal(Release(package.runtime, version), here.compute_capability)
    obstacle, remedy = "", ""
    if needs_gpu and here.gpu is None:
        obstacle = here.gpu_note
    elif package.runtime == "tensorrt-rtx" and here.jetson:
        obstacle = "does not support Jetson"
    elif needs_gpu and not serves(package.runtime, here.compute_capability):
        obstacle = f"does not support {here.gpu} (compute capability {here.compute_capability})"
    elif version is None:
        obstacle = "not installed"
        remedy = install_command(package.extra)
        if here.jetson and needs_gpu:
            remedy = system_packages(JETSON_TENSORRT)
    elif needs_gpu and older(here.cuda, needed := cuda_of(package, version)):
        obstacle = f"was built for CUDA {needed}, the driver {here.driver or ''} supports CUDA "
        obstacle += str(here.cuda)
        remedy = newer_driver(package, needed, here)
    elif refused:
        obstacle = refused.problem.rstrip(".")
        remedy = "" if package.runtime == "tensorrt-rtx" else refused.remedy  # names TensorRT's
    elif needs_gpu and not found_bindings():
        obstacle = "no CUDA binding is installed (cuda-python or PyCUDA)"
        remedy = f"pip install '{_cuda_python(here)}'"
    return Candidate(
        package.runtime,
        package.module,
        package.extra,
        version,
        obstacle,
        remedy,
        lean=package is LEAN,
    )


def _cuda_python(here: Machine) -> str:
    """Return the requirement for cuda-python that this machine's driver supports.

    Release 13 needs a driver of CUDA 13 (NVIDIA's installation guide).
    """
    pack = jetpack_of(here.l4t) if here.l4t else None
    cuda = pack.cuda if pack else here.cuda
    return f"cuda-bindings=={cuda.split('.')[0]}.*" if cuda else "cuda-bindings"


def _version(package: RuntimePackage) -> str | None:
    """Return the version of the first installed distribution; None without the module."""
    if find_spec(package.module) is None:
        return None
    versions = (installed(name) for name in package.distributions)
    return next((version for version in versions if version), "unknown version")
