"""What people say of parts that were rejected or unknown: good, defect or unclear.

PartLabels    the page writes them, in the file of the gateway's cursors
read_labels   of evidence/labels.py reads them, for `edgeseg replay`
"""

import sqlite3
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from edgeseg.closing import Closing
from edgeseg.station.cursors import FILE
from edgeseg.station.inspection import Inspection
from edgeseg.station.journal import unreadable

LabelName = Literal["good", "defect", "unclear"]
_TABLE = """
create table if not exists label (
    key text primary key,
    id integer not null,
    label text not null,
    at real not null,
    evidence text not null
)
"""


class PartLabels(Closing):
    """Writes and reads labels; for all threads."""

    def __init__(self, folder: Path) -> None:
        """WriteError: the file in a station's folder cannot be used."""
        path = folder / FILE
        self._lock = threading.Lock()
        try:
            self._file = sqlite3.connect(path, timeout=5, check_same_thread=False)
            self._file.execute("pragma journal_mode=wal")
            with self._file:
                self._file.execute(_TABLE)
        except sqlite3.Error as error:
            raise unreadable(path, error) from error

    def set(self, inspection: Inspection, label: LabelName | None) -> None:
        """Store what a part is; None: nobody has said it."""
        with self._lock, self._file:
            self._file.execute("delete from label where key = ?", (inspection.key,))
            if label is not None:
                values = (inspection.key, inspection.id, label, time.time(), inspection.evidence)
                self._file.execute("insert into label values (?, ?, ?, ?, ?)", values)

    def of(self, keys: Collection[str]) -> dict[str, str]:
        """Return the labels of these inspections, where there are any."""
        found: dict[str, str] = {}
        wanted = list(keys)
        with self._lock:
            for start in range(0, len(wanted), 500):
                some = wanted[start : start + 500]
                marks = ", ".join("?" * len(some))
                rows = self._file.execute(
                    f"select key, label from label where key in ({marks})", some
                )
                found |= dict(rows.fetchall())
        return found

    def counts(self) -> dict[str, int]:
        """Return how many parts have each label."""
        with self._lock:
            rows = self._file.execute("select label, count(*) from label group by label")
            return dict(rows.fetchall())

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()
