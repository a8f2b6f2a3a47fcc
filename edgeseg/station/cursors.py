"""How far each output has come: a file of the gateway's own, so that the journal has one writer.

Cursors      the gateway moves them
furthest()   what the journal's numbers begin after: a power cut may take good records from it
             that outputs have already, and somebody may move the file away. A number that was
             given out twice would be skipped by them.
"""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from edgeseg.closing import Closing
from edgeseg.station.journal import unreadable

FILE = "outputs.sqlite3"
_TABLE = "select 1 from sqlite_master where type = 'table' and name = 'cursor'"


class Cursors(Closing):
    """The last record that each output has acknowledged, kept on disk; for all threads."""

    def __init__(self, path: Path, *, last: int) -> None:
        """last: of the journal, where an output begins that was added later."""
        self._lock = threading.Lock()
        try:
            self._file = sqlite3.connect(path, timeout=5, check_same_thread=False)
            self._file.execute("pragma journal_mode=wal")
            fresh = self._file.execute(_TABLE).fetchone() is None  # the page's labels may be there
            self._file.execute(
                "create table if not exists cursor (output text primary key, last integer not null)"
            )
            self._file.commit()
        except sqlite3.Error as error:
            raise unreadable(path, error) from error
        self._first = 0 if fresh else last

    def of(self, output: str) -> int:
        """Return the cursor of an output; a new one gets one."""
        with self._lock:
            with self._file:
                self._file.execute(
                    "insert or ignore into cursor values (?, ?)", (output, self._first)
                )
            (last,) = self._file.execute(
                "select last from cursor where output = ?", (output,)
            ).fetchone()
        return int(last)

    def move(self, output: str, last: int) -> None:
        """Store the cursor of an output."""
        with self._lock, self._file:
            self._file.execute("insert or replace into cursor values (?, ?)", (output, last))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()


def furthest(path: Path) -> int:
    """Return the largest cursor; 0 without any, or if the file cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
            (last,) = file.execute("select coalesce(max(last), 0) from cursor").fetchone()
    except sqlite3.Error:
        return 0
    return int(last)
