"""The default number of threads of a CPU runtime."""

from edgeseg.machine.facts import this_machine


def cpu_threads(wanted: int | None) -> int:
    """Return `wanted`, or one thread per physical core within this process's CPU limit.

    The runtimes' own defaults count the machine's cores and ignore a container's limit.
    """
    here = this_machine()
    return wanted or min(here.cores, here.threads)


def on_cpu(count: int) -> str:
    """Return `CPU, 2 threads`, the end of a backend's name."""
    return f"CPU, {count} thread{'s' if count > 1 else ''}"
