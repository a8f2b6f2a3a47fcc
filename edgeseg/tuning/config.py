"""The settings of `edgeseg tune`."""

from dataclasses import dataclass
from pathlib import Path

from edgeseg.cluster.config import SLURM, ExecutorConfig
from edgeseg.errors import ConfigError
from edgeseg.settings import fraction, setting


@dataclass(frozen=True, kw_only=True)
class TuneConfig(ExecutorConfig):
    """How long recipes are tried, where, and what judges them."""

    minutes: float = setting(
        60.0, "Time budget of search and final training", low=0.1, high=100_000, example=60
    )
    train_config: Path | None = setting(
        None, "TOML file of `edgeseg train` settings that every recipe keeps"
    )
    judge_defects: float = fraction(
        0.0,
        "Share of the defective images of each type of DATA that judge recipes; the evaluation at "
        "the end leaves them out",
    )
    out: Path | None = setting(None, "Folder of the trials [default: tunings/NAME]")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on == SLURM and self.processes is None:
            raise ConfigError(
                "processes is missing: the time is divided among the trials that run at a time, "
                "and Slurm does not tell how many it starts",
                remedy="--processes N, as many as your partition has free nodes",
                code="tune/no-processes",
            )
