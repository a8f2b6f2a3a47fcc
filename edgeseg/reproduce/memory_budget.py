"""How many trainings this machine has room for at a time, and with how many threads each."""

from collections.abc import Sequence
from pathlib import Path

from edgeseg.data.layouts import Dataset
from edgeseg.log import log
from edgeseg.machine.facts import this_machine
from edgeseg.machine.sysfs import available_bytes
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.plan import Training

GIB = 1 << 30
PER_PIXEL = 32  # bytes of a test image's pixel while the metrics sort them
_SHAPING = (  # settings that a training's memory depends on
    "model teacher student_width head_width head_stride decoder head head_input structure "
    "embedding optimizer image_size batch"
).split()


def processes_for(
    jobs: Sequence[Training], datasets: Sequence[Dataset], wanted: int | None
) -> tuple[int, int]:
    """Return (processes, threads of each), and say what they follow from.

    wanted: the user's number of processes, taken as it is.
    """
    from edgeseg.training.checkpoint import torch_device
    from edgeseg.training.memory_estimate import training_bytes

    cores = this_machine().threads
    configs = {job.runs[0].config.device for job in jobs}
    processes, why = wanted or 1, "as asked for"
    if wanted is None and any(torch_device(name).type == "cuda" for name in configs):
        why = "a GPU takes one training at a time"
    elif wanted is None:
        images = max(len(dataset.train) for dataset in datasets)
        tests = max(len(dataset.test) for dataset in datasets)
        each = max(
            max(training_bytes(config, images), PER_PIXEL * tests * config.image_size**2)
            for config in _kinds(jobs)
        )
        free = available_bytes(Path("/"))
        fitting = len(jobs) if free is None else free // each
        processes = max(min(cores, fitting, len(jobs)), 1)
        room = "" if free is None else f", {free / GIB:.1f} GiB free"
        why = f"{cores} cores{room}, about {each / GIB:.1f} GiB each"
    threads = max(cores // processes, 1)
    log.info(f"{_count(processes, 'process', 'es')} of {_count(threads, 'thread', 's')}: {why}")
    return processes, threads


def _kinds(jobs: Sequence[Training]) -> list[TrainConfig]:
    """Return one configuration for each need of memory that occurs."""
    kinds = {}
    for job in jobs:
        config = job.runs[0].config
        kinds[tuple(getattr(config, name) for name in _SHAPING)] = config
    return list(kinds.values())


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one}{more if number > 1 else ''}"
