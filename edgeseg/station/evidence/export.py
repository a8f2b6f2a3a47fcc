"""Writes labeled frames as a data set, for `train --add` and `--use-defects`.

good/NAME.png        labeled good
bad/NAME.png         labeled defect
masks/NAME.png       what the model has found in it: a proposal, to be corrected by hand
"""

import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.data.damaged import DamagedImage, damaged_lines, damaged_to_json, refuse_damaged
from edgeseg.data.images import encode_png
from edgeseg.errors import DataError, WriteError
from edgeseg.files import PART, cannot_write, check_outputs, quoted, shown
from edgeseg.progress import task
from edgeseg.station.evidence.archive import open_archive
from edgeseg.station.evidence.kept import Kept, read_kept
from edgeseg.text import counted


@dataclass(frozen=True)
class EvidenceExport:
    """What was written."""

    out: Path
    counts: Mapping[str, int]
    """Frames by label; `""`: without one."""
    empty: int
    """Masks of defects in which the model has found nothing."""
    damaged: tuple[DamagedImage, ...]
    strict: bool = False

    def summary(self) -> str:
        """Return what was written, and what to do with it."""
        good, bad = self.counts.get("good", 0), self.counts.get("defect", 0)
        lines = [
            f"wrote {shown(self.out)}: {good} in good/, {bad} in bad/ and masks/",
            f"left out: {self.counts.get('unclear', 0)} labeled unclear, "
            f"{self.counts.get('', 0)} without a label",
        ]
        if good:
            folder = self.out / "good"
            lines.append(f"to continue a training: edgeseg train DATA --add {quoted(folder)}")
        if bad:
            lines.append(
                "masks/ has what the model found: correct it, white where the defect is, before "
                "--use-defects trains on it"
            )
        if self.empty:
            lines.append(f"{counted(self.empty, 'mask')} of them empty: the model found nothing")
        return "\n".join([*lines, *damaged_lines(self.damaged)])

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        names = {"good": "good", "defect": "defect", "unclear": "unclear", "": "unlabeled"}
        counts = {names[label]: count for label, count in self.counts.items()}
        return {
            "out": str(self.out),
            **counts,
            "empty_masks": self.empty,
            **damaged_to_json(self.damaged),
        }

    def check(self) -> None:
        """DataError for damaged frames, if asked for."""
        if self.strict:
            refuse_damaged(self.damaged)


def export_labeled(
    path: Path, out: Path, *, recipe: str | None = None, strict: bool = False
) -> EvidenceExport:
    """Write the labeled frames of a station to a new folder.

    path, recipe: as `open_archive`. WriteError: `out` exists (`write/exists`), or cannot be
    written; DataError: no frame has a label (`data/no-labels`).
    """
    archive = open_archive(path, recipe)
    check_outputs({"--export": out}, [path, archive.folder])
    damaged = archive.damaged
    labels = {
        place: archive.labels.get(record.inspection.key, "")
        for place, record in archive.records.items()
    }
    if not {"good", "defect"} & set(labels.values()):
        raise DataError(
            f"none of {counted(len(labels), 'kept frame')} in {shown(archive.folder)} is labeled "
            "good or defect",
            remedy="label frames in the gallery of the station's page",
            code="data/no-labels",
        )
    counts, empty = Counter[str](), 0
    with _new_folder(out) as folder, task("export", len(labels)) as bar:
        for place, label in labels.items():
            bar.advance()
            if label in ("good", "defect"):
                try:
                    kept = read_kept(place)
                except DataError as error:
                    damaged.add(place, error)
                    continue
                empty += _write(folder, kept, label)
            counts[label] += 1
        damaged.refuse_all(counts["good"] + counts["defect"] + len(damaged.found))
    return EvidenceExport(out, counts, empty, tuple(damaged.found), strict)


def _write(folder: Path, kept: Kept, label: str) -> bool:
    """Write the image, and the mask of a defect; whether that one is empty."""
    name = f"{kept.path.name}.png"
    image = encode_png(kept.image[:, :, ::-1])
    if label == "good":
        _put(folder / "good" / name, image)
        return False
    _put(folder / "bad" / name, image)
    _put(folder / "masks" / name, encode_png(kept.image_mask))
    return not kept.image_mask.any()


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


@contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """Make a folder that appears at `out` with all that was written to it, or not at all."""
    if out.exists():
        raise WriteError(
            f"{shown(out)} exists (expected a new folder: masks that were corrected stay).",
            remedy="choose another folder with --export",
            code="write/exists",
        )
    part = out.parent / f"{PART}{secrets.token_hex(8)}"
    try:
        part.mkdir(parents=True)
        yield part
        part.rename(out)
    except OSError as error:
        raise cannot_write(out, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
