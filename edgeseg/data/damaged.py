"""Images of a folder that cannot be read: the others are judged, and the report lists these."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import DataError
from edgeseg.files import shown
from edgeseg.log import log
from edgeseg.text import counted, listed


@dataclass(frozen=True)
class DamagedImage:
    """An image that was not judged, and why."""

    file: str
    problem: str


class DamagedImages:
    """Collects the damaged images of one command, and logs each."""

    def __init__(self) -> None:
        self.found: list[DamagedImage] = []
        self._first: DataError | None = None

    def add(self, path: Path, error: DataError) -> None:
        """Take note of an image that raised an error."""
        log.warning(f"not judged: {error.problem}")
        self.found.append(DamagedImage(str(path), error.problem))
        self._first = self._first or error

    def refuse_all(self, count: int) -> None:
        """Raise the first error if all of `count` images are damaged."""
        if self._first is not None and len(self.found) == count:
            raise self._first


def damaged_lines(found: Sequence[DamagedImage]) -> list[str]:
    """Return the end of a report: a warning with the number, and a line for each image."""
    if not found:
        return []
    listing = (f"  {shown(each.problem)}" for each in found)
    return [f"warning: {counted(len(found), 'image')} could not be read (not judged):", *listing]


def damaged_to_json(found: Sequence[DamagedImage]) -> dict[str, Any]:
    """Return the images and their number, as fields of a report."""
    return {"damaged": [asdict(each) for each in found], "warnings": len(found)}


def refuse_damaged(found: Sequence[DamagedImage]) -> None:
    """DataError (`data/damaged-images`) if there is any, for `--strict`."""
    if found:
        raise DataError(
            f"{len(found)} damaged, not judged: {listed([shown(each.file) for each in found], 1)}",
            remedy="replace the files by intact copies, or leave out --strict",
            code="data/damaged-images",
        )
