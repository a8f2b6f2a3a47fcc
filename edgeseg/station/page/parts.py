"""What the page reads from the journal: scores for the histogram, parts to review.

Each question opens the journal anew and reads a bounded number of records, in SQLite: a page must
not keep the outputs, which share its process, from Python's lock.
"""

from pathlib import Path
from typing import Any, Literal

from edgeseg.station.inspection import Code, Inspection
from edgeseg.station.journal import FILE, SPAN, JournalReader
from edgeseg.station.page.document import word
from edgeseg.station.page.evidence_pictures import NAMES, kept_folder
from edgeseg.station.page.labels import PartLabels

Shown = Literal["review", "anomalous", "unknown", "labeled", "all"]
PAGE = 24  # parts that are shown at once
MOST = 2000  # records of one question
KEY = ("device", "boot", "sequence")
CODES: dict[Shown, tuple[int, ...]] = {
    "review": (Code.ANOMALOUS, Code.UNKNOWN, Code.FROZEN_CAMERA),
    "anomalous": (Code.ANOMALOUS,),
    "unknown": tuple(c for c in Code if c not in (Code.OK, Code.ANOMALOUS, Code.LINE_STOPPED)),
    "labeled": tuple(Code),
    "all": tuple(Code),
}


def scores(folder: Path, labels: PartLabels, camera: str, recipe: str, last: int) -> dict[str, Any]:
    """Return the newest `last` parts of a camera that one recipe has judged, as columns.

    verdicts: `g` good, `a` anomalous, `u` unknown; labels: by the place in the columns.
    """
    names = (*KEY, "recipe", "code", "score", "verdict", "threshold")
    with JournalReader(folder / FILE) as reader:
        rows = reader.fields(names, 2 * MOST, camera=camera)
    rows = [
        row
        for row in rows
        if row[3] == recipe and row[4] != Code.LINE_STOPPED and row[5] is not None
    ][:last]
    keys = [_key(row) for row in rows]
    given = labels.of(keys)
    return {
        "camera": camera,
        "recipe": recipe,
        "threshold": rows[0][7] if rows else None,
        "scores": [row[5] for row in rows],
        "verdicts": "".join(row[6][0] for row in rows),
        "labels": {str(place): given[key] for place, key in enumerate(keys) if key in given},
    }


def parts(
    folder: Path, labels: PartLabels, shown: Shown, camera: str, before: int
) -> dict[str, Any]:
    """Return parts that are not OK, the newest first; before: this id, 0: from the newest on.

    `next`: the `before` of the next question; 0 at the end.
    """
    with JournalReader(folder / FILE) as reader:
        last = before or reader.last + 1
        names = (*KEY, "code", "id")
        rows = reader.fields(names, MOST, camera=camera, not_ok=True, before=last)
        given = labels.of([_key(row) for row in rows])
        found: list[dict[str, Any]] = []
        reached = rows[-1][4] if len(rows) == MOST else max(last - SPAN, 0)
        for row in rows:
            label = given.get(_key(row))
            if row[3] in CODES[shown] and not (
                (shown == "review" and label) or (shown == "labeled" and not label)
            ):
                each = reader.one(row[4])
                found += [] if each is None else [part_document(each, folder, label)]
            if len(found) == PAGE:
                reached = row[4]
                break
    return {
        "parts": found,
        "next": reached if reached > 1 else 0,
        "counts": labels.counts(),
    }


def part_document(inspection: Inspection, folder: Path, label: str | None) -> dict[str, Any]:
    """Return a record as the page shows it."""
    return inspection.document() | {
        "word": word(inspection.code),
        "label": label or "",
        "pictures": list(NAMES) if kept_folder(folder, inspection) else [],
    }


def one(folder: Path, place: int) -> Inspection | None:
    """Return a record by its id; None if it is not there any more."""
    with JournalReader(folder / FILE) as reader:
        return reader.one(place)


def _key(row: tuple[Any, ...]) -> str:
    return "/".join(map(str, row[:3]))
