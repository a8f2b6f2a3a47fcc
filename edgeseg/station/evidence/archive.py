"""Where kept frames are found: a station's file, or any folder that has some in it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.data.damaged import DamagedImages
from edgeseg.errors import ConfigError, DataError
from edgeseg.files import quoted, shown
from edgeseg.station.config import StationConfig, read_station
from edgeseg.station.cursors import FILE
from edgeseg.station.evidence.kept import KeptRecord, kept_folders, read_record
from edgeseg.station.evidence.labels import read_labels
from edgeseg.station.evidence.quota import FOLDER


@dataclass(frozen=True)
class Archive:
    """Kept frames and what people say of them."""

    folder: Path
    config: StationConfig | None
    """Of the station, if its file was named."""
    records: Mapping[Path, KeptRecord]
    """By the folder of the frame, in the order of the inspections."""
    damaged: DamagedImages
    labels: Mapping[str, str]
    """By the key of the inspection."""

    def newest(self, count: int | None) -> "Archive":
        """Return an archive of the frames with a label, and of the newest others."""
        if count is None:
            return self
        labels = self.labels
        others = [p for p, r in self.records.items() if not labels.get(r.inspection.key)]
        left_out = set(others[: max(len(others) - count, 0)])
        records = {p: r for p, r in self.records.items() if p not in left_out}
        return replace(self, records=records)


def open_archive(path: Path, recipe: str | None = None) -> Archive:
    """Read the records of kept frames; recipe: only frames of this one.

    path: a station's TOML file, or a folder. ConfigError: a file that is wrong; DataError: not
    found, or no kept frames in it.
    """
    config = read_station(path) if path.is_file() or path.suffix == ".toml" else None
    folder = path if config is None else config.folder / FOLDER
    if not folder.is_dir():
        raise DataError(
            f"not found: {shown(folder)}",
            remedy="name the file of a station that has kept frames, or their folder: "
            "edgeseg replay station.toml",
            code="data/not-found",
        )
    damaged, found = DamagedImages(), {}
    folders = kept_folders(folder)
    for each in folders:
        try:
            found[each] = read_record(each)
        except DataError as error:
            damaged.add(each, error)
    damaged.refuse_all(len(folders))
    ordered = dict(sorted(found.items(), key=lambda item: item[1].inspection.decided))
    records = {p: r for p, r in ordered.items() if recipe in (None, r.inspection.recipe)}
    if not records:
        known = sorted({record.inspection.recipe for record in found.values()})
        what = f" of the recipe '{recipe}' (expected one of {', '.join(known)})" if known else ""
        raise DataError(
            f"no kept frames{what} in {shown(folder)}",
            remedy="quota_gb = 10 in the table [evidence] of the station's file, for what comes",
            code="data/no-evidence",
        )
    return Archive(folder, config, records, damaged, read_labels(_state(folder)))


def one_recipe(archive: Archive) -> None:
    """ConfigError if the frames are of several recipes: one model cannot judge them all."""
    names = sorted({record.inspection.recipe for record in archive.records.values()})
    if len(names) > 1:
        raise ConfigError(
            f"{shown(archive.folder)} has frames of {len(names)} recipes ({', '.join(names)}), and "
            "one model judges those of one",
            remedy=f"--recipe {quoted(names[0])}",
            code="config/recipes",
        )


def _state(folder: Path) -> Path:
    """Return the folder of the station's state, which has the labels."""
    above = [folder, *folder.resolve().parents[:3]]
    return next((each for each in above if (each / FILE).is_file()), folder)
