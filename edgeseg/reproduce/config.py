"""Settings of the command `reproduce`."""

from dataclasses import dataclass
from pathlib import Path

from edgeseg.cluster.config import ExecutorConfig
from edgeseg.settings import setting


@dataclass(frozen=True, kw_only=True)
class ReproduceConfig(ExecutorConfig):
    """Which part of a table is run, on which data, and where."""

    data: Path | None = setting(
        None, "Data set, or folder of its categories; complexity tables need none"
    )
    categories: str | None = setting(None, "Only these categories, comma-separated")
    rows: str | None = setting(None, "Only the rows with these labels, comma-separated")
    seeds: int | None = setting(
        None, "Number of seeds, from 0 [default: as in the paper]", low=1, high=1000
    )
    train_config: Path | None = setting(
        None, "TOML file of `edgeseg train` settings that override the table's in every row"
    )
    textures: Path | None = setting(
        None, "Folder of images pasted as anomalies; the papers use DTD"
    )
    out: Path = setting(Path("reproductions"), "Folder for runs and reports")

    def names(self) -> list[str] | None:
        """Return the selected categories, or None for all of them."""
        return None if self.categories is None else self.categories.split(",")
