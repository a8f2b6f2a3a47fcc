"""What spares or shortens the wait for TensorRT's builder: its timing cache and its progress.

    $XDG_CACHE_HOME/edgeseg/tensorrt/<version>-<target>-<GPU>.timing     default: ~/.cache

The builder times kernels, minutes long on a Jetson; a later build takes known times from the cache.
TensorRT checks version and device of a cache, and the hash before it says whether the file is
whole. TensorRT-RTX keeps none. Before TensorRT 9 a build does not report its progress.
"""

import hashlib
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeseg.errors import WriteError
from edgeseg.files import replacing
from edgeseg.log import log
from edgeseg.machine.facts import Machine
from edgeseg.runtime.openvino_cache import cache_folder
from edgeseg.runtime.tensorrt import Api

LOG_EVERY = 10.0  # seconds
DIGEST = 32  # bytes of a SHA-256


class TimingCache:
    """The timing cache of one version of TensorRT on one GPU; without a folder nothing is kept."""

    def __init__(self, api: Api, target: str, here: Machine) -> None:
        folder = None if api.release.ahead_of_time else cache_folder("tensorrt")
        name = re.sub(r"[^\w.]+", "-", f"{api.version}-{target}-{here.gpu}")
        self._path = None if folder is None else folder / f"{name}.timing"

    def give(self, options: Any) -> None:
        """Let a build use the kept times, where TensorRT accepts them, and add its own."""
        if self._path is None:
            return
        for data in dict.fromkeys((self._read(self._path), b"")):
            cache = options.create_timing_cache(data)
            # False: do not ignore that a cache is of another device.
            if cache is not None and options.set_timing_cache(cache, False):
                return

    def keep(self, options: Any) -> None:
        """Store the times of a finished build; a failure is a warning."""
        cache = None if self._path is None else options.get_timing_cache()
        if self._path is None or cache is None:
            return
        data = bytes(cache.serialize())
        try:
            with replacing(self._path, durable=False) as part:
                part.write_bytes(hashlib.sha256(data).digest() + data)
        except WriteError as error:
            log.warning(f"the timing cache is not kept: {error.problem}")

    def _read(self, path: Path) -> bytes:
        with suppress(OSError):
            found = path.read_bytes()
            if hashlib.sha256(found[DIGEST:]).digest() == found[:DIGEST]:
                return found[DIGEST:]
        return b""


def show_progress(library: Any, options: Any) -> Any:
    """Let a build log its progress; return the object that has to live until its end.

    None where TensorRT does not report it.
    """
    if not hasattr(library, "IProgressMonitor"):
        return None
    options.progress_monitor = monitor = progress_monitor(library)
    return monitor


def progress_monitor(library: Any) -> Any:
    """Return a progress monitor that logs the phases of a build, seldom."""

    class ProgressMonitor(library.IProgressMonitor):  # type: ignore[misc]  # known at run time only
        def __init__(self) -> None:
            library.IProgressMonitor.__init__(self)
            self._phases: dict[str, list[int]] = {}
            """The phases that have begun, the outer ones first: steps done, and steps."""
            self._logged = time.monotonic()

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases[phase_name] = [0, int(num_steps)]

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._phases:
                self._phases[phase_name][0] = int(step) + 1
            if time.monotonic() - self._logged >= LOG_EVERY:
                self._logged = time.monotonic()
                each = [f"{name} {done}/{of}" for name, (done, of) in self._phases.items()]
                log.info(": ".join(dict.fromkeys((each[0], each[-1]))) if each else phase_name)
            return True  # go on

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)

    return ProgressMonitor()
