"""Settings of every command that runs many jobs: where, how many at a time, with what each.

A command's own settings inherit them: `class TuneConfig(ExecutorConfig)`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from edgeseg.cluster.jobs import Executor
from edgeseg.cluster.local import Local
from edgeseg.errors import ConfigError
from edgeseg.files import shown
from edgeseg.machine.facts import this_machine
from edgeseg.settings import Settings, setting

LOCAL, RAY, SLURM = "local", "ray", "slurm"
_ADDRESS = re.compile(r"(ray://)?(\[[0-9a-fA-F:.]+\]|[\w.-]+):([0-9]{1,5})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ExecutorConfig(Settings):
    """Where jobs run, how many at a time, and what each of them may use."""

    PANELS: ClassVar[dict[str, str]] = {
        "Where the jobs run": "on processes cores gpus memory_gb store slurm"
    }

    on: str = setting(
        LOCAL, "local, ray (started here, or joined), HOST:PORT or ray://HOST:PORT, or slurm"
    )
    processes: int | None = setting(
        None, "Jobs at a time [default: 1; elsewhere as many as fit]", low=1, high=1024
    )
    cores: int | None = setting(
        None, "CPU cores of each job [default: an equal share; elsewhere 1]", low=1, high=1024
    )
    gpus: float | None = setting(
        None,
        "GPUs of each job, 0.5 for two on one [default: with ray 1 if there are any]",
        low=0,
        high=64,
    )
    memory_gb: float | None = setting(
        None, "Memory reserved for each job, GB [default: none]", low=0.01, high=4096
    )
    store: str | None = setting(
        None, "Object store for data and results, s3://bucket/folder; with ray"
    )
    slurm: str | None = setting(None, "Options of sbatch, as partition=gpu,time=60")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on not in (LOCAL, RAY, SLURM) and not _ADDRESS.fullmatch(self.on):
            raise ConfigError(
                f"invalid on: '{shown(self.on)}' (expected local, ray, slurm, HOST:PORT or "
                "ray://HOST:PORT)",
                remedy="--on ray",
                code="cluster/unknown-executor",
            )
        if self.store is not None and "://" not in self.store:
            raise ConfigError(
                f"invalid store: '{shown(self.store)}' (expected an address)",
                remedy="--store s3://bucket/folder",
                code="cluster/store",
            )
        for name, places in (
            ("gpus", "ray or slurm"),
            ("memory_gb", "ray or slurm"),
            ("store", "ray"),
            ("slurm", "slurm"),
        ):
            kind = self.on if self.on in (LOCAL, SLURM) else RAY
            if getattr(self, name) is not None and kind not in places.split(" or "):
                flag = name.replace("_", "-")
                better = "--on slurm" if name == "slurm" else "--on ray"
                raise ConfigError(
                    f"{name} is given, and the jobs run on {self.on} (expected {places})",
                    remedy=f"remove --{flag}, or add {better}",
                    code="cluster/other-executor",
                )


@contextmanager
def open_executor(config: ExecutorConfig, *, needs: tuple[str, ...] = ()) -> Iterator[Executor]:
    """Open the place where the jobs will run, and check it; it is closed with the block.

    needs: packages that every worker must be able to import. Errors: MissingExtra; EdgesegError
    `cluster/...`: unreachable, another version, a missing package, too few resources.
    """
    if config.on == LOCAL:
        processes = config.processes or 1
        yield Local(processes, config.cores or max(this_machine().threads // processes, 1))
    elif config.on == SLURM:
        from edgeseg.cluster.slurm import open_slurm

        yield open_slurm(
            config.processes, config.cores, config.gpus, config.memory_gb, config.slurm
        )
    else:
        with _ray(config, needs) as executor:
            yield executor


@contextmanager
def _ray(config: ExecutorConfig, needs: tuple[str, ...]) -> Iterator[Executor]:
    from edgeseg.cluster import ray_cluster
    from edgeseg.cluster.ray_jobs import Ray
    from edgeseg.cluster.store import ObjectStore

    store = None
    if config.store is not None:
        store = ObjectStore(config.store)
        store.check()
    with ray_cluster.connected(config.on) as ray:
        nodes = ray_cluster.nodes_of(ray)
        for_one = ray_cluster.needs_of(config.cores, config.gpus, config.memory_gb, needs, nodes)
        ray_cluster.check_fit(nodes, for_one)
        ray_cluster.check_nodes(ray, nodes, for_one)
        yield Ray(ray, for_one, config.processes, store)
