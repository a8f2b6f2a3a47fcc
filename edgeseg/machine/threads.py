"""The number of threads that this process computes on.

The runtimes' own defaults count the machine's cores and ignore a container's limit.
"""

import os
import sys

from edgeseg.machine.facts import this_machine
from edgeseg.text import counted

OPENMP = "OMP_NUM_THREADS"  # read by PyTorch when it is loaded
_limit: dict[str, int] = {}


def limit_threads(count: int | None) -> None:
    """Let PyTorch, OpenCV and each runtime that is opened later use this many threads.

    None keeps what the environment says, or takes the cores within this process's CPU limit.
    """
    if count is None and OPENMP in os.environ:
        return
    if count is not None:
        _limit["threads"] = count
    threads = cpu_threads(None)
    os.environ[OPENMP] = str(threads)
    for name, setter in (("torch", "set_num_threads"), ("cv2", "setNumThreads")):
        if module := sys.modules.get(name):
            getattr(module, setter)(threads)


def share_cores() -> None:
    """Let the threads of each runtime that is opened later sleep while they wait for work.

    A thread that spins instead has its work some microseconds earlier, and keeps a core from the
    others meanwhile.
    """
    _limit["spins"] = 0


def spins() -> bool:
    """Whether threads of runtimes may spin while they wait for work."""
    return bool(_limit.get("spins", 1))


def cpu_threads(wanted: int | None) -> int:
    """Return `wanted`, the limit, or one thread per physical core within the CPU limit."""
    here = this_machine()
    return wanted or _limit.get("threads") or min(here.cores, here.threads)


def on_cpu(count: int) -> str:
    """Return `CPU, 2 threads`, the end of a backend's name."""
    return f"CPU, {counted(count, 'thread')}"
