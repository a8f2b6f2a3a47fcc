"""The journal: every inspection of a station, in one SQLite file with one writer.

    inspector    Journal.append()     waits until the record is on the disk, for 50 ms at most
    gateway      read(), newest()     readers never make the writer wait

Whoever shows the newest verdict is told at once, with the id that the record will have: a PLC does
not wait for a disk. Whoever delivers records reads them from the disk.

A thread of its own writes what waits in one transaction, with `synchronous` FULL if one of the
records is not OK: those outlive a power cut, good ones the death of the process. A disk that does
not answer, or is full, costs an append its 50 ms once: the records wait in memory, are written when
the disk takes them, and `trouble` says so until then.
"""

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from edgeseg.closing import Closing
from edgeseg.errors import WriteError
from edgeseg.files import cannot_write, locked, quoted, shown
from edgeseg.log import log
from edgeseg.station.inspection import VERSION, Inspection

FILE = "journal.sqlite3"
WAIT = 0.05  # seconds that an append waits for the disk
MOST_WAITING = 100_000  # records in memory while the disk takes none; about 100 MB
RETRY = 0.5  # seconds
CHECK_EVERY = 2_000  # records between two looks at the size
SPAN = 200_000  # records that one question looks through
_TABLE = """
create table if not exists inspection (
    id integer primary key autoincrement,
    ok integer not null,
    evidence text not null,
    camera text not null,
    decided real not null,
    line text not null
);
"""
COLUMNS = ["id", "ok", "evidence", "camera", "decided", "line"]
_LAST = "select coalesce((select seq from sqlite_sequence where name='inspection'), 0)"


class Journal(Closing):
    """The one writer of a journal; `append` may be called by several threads."""

    def __init__(self, path: Path, *, limit_bytes: int = 0, after: int = 0) -> None:
        """limit_bytes: of the file, from where on the oldest records go; 0: none.

        after: the last id that an output has, which no record gets again.

        WriteError: the folder or the file cannot be written. EdgesegError (`files/locked`): another
        station writes it.
        """
        self._path, self.limit = path, limit_bytes
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from error
        with ExitStack() as stack:
            # Of the folder: closing a second handle of the file would end SQLite's own locks.
            stack.enter_context(locked(path.parent))
            try:
                self._file = sqlite3.connect(
                    path, timeout=5, isolation_level=None, check_same_thread=False
                )
                self._file.execute("pragma journal_mode=wal")
                self._file.executescript(_TABLE)
                _check_version(self._file)
                self._last = max(*self._file.execute(_LAST).fetchone(), after)
            except (OSError, sqlite3.Error) as error:
                raise unreadable(path, error) from error
            self._open = stack.pop_all()
        self.kept_until: Callable[[], int] = lambda: 0
        """Returns the last record that every output has; none after it is deleted."""
        self.trouble = ""
        """Why records wait in memory; empty while the disk takes them."""
        self.lost = 0
        """Records that found no room in memory."""
        self.count = 0
        self.told = 0
        """The id of the newest record that `taken` knows of."""
        self._waiting: deque[Inspection] = deque()
        self._taken = 0
        """Records that were handed over, with those lost."""
        self._stored = 0
        """Of these, those on the disk or lost."""
        self._changed = threading.Condition()
        self._order = threading.Lock()
        """Of what `taken` is told."""
        self._ended = False
        self._on_taken: Callable[[Inspection], None] = lambda taken: None
        self._on_stored: Callable[[Sequence[Inspection]], None] = lambda stored: None
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def tell(
        self,
        *,
        taken: Callable[[Inspection], None] = lambda taken: None,
        stored: Callable[[Sequence[Inspection]], None] = lambda stored: None,
    ) -> None:
        """Call `taken` with each record as it comes, and `stored` once some are on the disk.

        Both in order and with their ids; `taken` is called by `append`, and must not wait.
        """
        self._on_taken, self._on_stored = taken, stored

    def append(self, inspection: Inspection) -> bool:
        """Store a record; False if the disk did not take it within `WAIT`, and it waits."""
        with self._order:
            with self._changed:
                placed = self._place(inspection)
                room = len(self._waiting) < MOST_WAITING
                if room:
                    self._waiting.append(placed)
                    self._taken += 1
                    self._changed.notify_all()
                else:
                    self.lost += 1
                mine = self._taken
            self._on_taken(placed)  # while the disk is written
            self.told = placed.id
        with self._changed:
            if not room or self.trouble:
                return False
            return self._changed.wait_for(lambda: self._stored >= mine, WAIT)

    def close(self) -> None:
        """Write what waits, as far as the disk takes it, and close the file."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join(5.0)
        if self._waiting:
            rest = f"records that the disk did not take are lost: {len(self._waiting)}"
            log.error(f"{shown(self._path)}: {rest} ({self.trouble or 'it does not answer'})")
        if not self._thread.is_alive():
            self._file.close()
            self._open.close()

    def _place(self, inspection: Inspection) -> Inspection:
        self._last += 1
        return inspection.at(self._last)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._ended)
                batch = list(self._waiting)
                if not batch:
                    return
            try:
                self._write(batch)
            except (sqlite3.Error, OSError) as error:
                self._fail(error)
                if self._ended:
                    return
                time.sleep(RETRY)
                continue
            with self._changed:
                for _ in batch:
                    self._waiting.popleft()
                self._stored += len(batch)
                if self.trouble:
                    log.info(f"{shown(self._path)}: written again")
                self.trouble = ""
                self._changed.notify_all()
            self._on_stored(batch)
            self._shrink(len(batch))

    def _write(self, batch: Sequence[Inspection]) -> None:
        self._file.execute(f"pragma synchronous={self._synchronous(batch)}")
        with self._file:
            self._file.execute("begin immediate")
            self._file.executemany(
                "insert into inspection values (?, ?, ?, ?, ?, ?)",
                [
                    (each.id, each.ok, each.evidence, each.camera, each.decided, each.to_json())
                    for each in batch
                ],
            )

    def _synchronous(self, batch: Sequence[Inspection]) -> str:
        return "normal" if all(each.ok for each in batch) else "full"

    def _fail(self, error: Exception) -> None:
        with self._changed:
            if not self.trouble:
                log.warning(
                    f"{shown(self._path)} cannot be written ({error}); the inspection continues, "
                    "its records wait in memory"
                )
            self.trouble = str(error)
            self._changed.notify_all()

    def _shrink(self, added: int) -> None:
        """Delete the oldest records beyond the limit: of good parts first."""
        before, self.count = self.count, self.count + added
        if not self.limit or before // CHECK_EVERY == self.count // CHECK_EVERY:
            return
        try:
            (pages,) = self._file.execute("pragma page_count").fetchone()
            (free,) = self._file.execute("pragma freelist_count").fetchone()
            (size,) = self._file.execute("pragma page_size").fetchone()
            if (pages - free) * size <= self.limit:
                return
            (rows,) = self._file.execute("select count(*) from inspection").fetchone()
            with self._file:
                self._file.execute(
                    "delete from inspection where id in (select id from inspection where id <= ? "
                    "order by ok desc, id limit ?)",
                    (self.kept_until(), max(rows // 10, 1)),
                )
        except sqlite3.Error as error:
            self._fail(error)


class JournalReader(Closing):
    """Reads a journal that another process may write; for one thread."""

    def __init__(self, path: Path) -> None:
        """WriteError (`station/journal`): there is none, or it is damaged."""
        self._path, self._damaged = path, 0
        try:
            self._file = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)
            self._file.execute("select count(*) from (select 1 from inspection limit 1)")
        except sqlite3.Error as error:
            raise unreadable(path, error) from error

    def after(self, last: int, most: int) -> list[Inspection]:
        """Return the next records, in order; a damaged one is left out, and named in the log."""
        while True:
            rows = self._rows("where id > ? order by id limit ?", last, most)
            found = self._read(rows)
            if found or len(rows) < most:
                return found
            last = rows[-1][0]

    def newest(self, most: int, *, not_ok: bool = False, before: int = 0) -> list[Inspection]:
        """Return the last records, the newest first; before: this id, 0 for all."""
        where = "where (id < ? or ? = 0)" + (" and ok = 0" if not_ok else "")
        return self._read(self._rows(f"{where} order by id desc limit ?", before, before, most))

    def fields(
        self,
        names: Sequence[str],
        most: int,
        *,
        camera: str = "",
        not_ok: bool = False,
        before: int = 0,
    ) -> list[tuple[Any, ...]]:
        """Return fields of the newest records of the SPAN before this id (0: all), newest first.

        SQLite reads them without Python's lock, so many can be asked for beside other threads.
        """
        columns = ", ".join(f"json_extract(line, '$.{name}')" for name in names)
        before = before or self.last + 1
        where = "camera = ?" if camera else "'' = ?"
        return self._file.execute(
            f"select {columns} from inspection where id < ? and id >= ? and {where}"
            f"{' and ok = 0' if not_ok else ''} order by id desc limit ?",
            (before, before - SPAN, camera, most),
        ).fetchall()

    def one(self, place: int) -> Inspection | None:
        """Return a record by its id; None if it is not there any more."""
        return next(iter(self._read(self._rows("where id = ?", place))), None)

    @property
    def last(self) -> int:
        """The id of the newest record; 0 without any."""
        (found,) = self._file.execute("select coalesce(max(id), 0) from inspection").fetchone()
        return int(found)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _rows(self, rest: str, *values: int) -> list[tuple[int, str]]:
        return self._file.execute(f"select id, line from inspection {rest}", values).fetchall()

    def _read(self, rows: Sequence[tuple[int, str]]) -> list[Inspection]:
        found = []
        for place, line in rows:
            try:
                found.append(Inspection.from_json(line))
            except ValueError as error:
                if place > self._damaged:  # else it was named before
                    self._damaged = place
                    log.error(f"{shown(self._path)}: record {place} cannot be read: {error}")
        return found


def unreadable(path: Path, error: Exception) -> WriteError:
    """Return the error for a journal that cannot be opened."""
    if isinstance(error, OSError):
        return cannot_write(path, error)
    if isinstance(error, sqlite3.OperationalError):  # of the disk, and not of what the file holds
        return WriteError(
            f"{shown(path)} cannot be opened: {error}.",
            remedy=f"check its folder, space and permissions: df -h {quoted(path.parent)}",
            code="station/journal",
        )
    return WriteError(
        f"{shown(path)} is no journal that can be used: {error}.",
        remedy="move the file away: the station begins a new one",
        code="station/journal",
    )


def _check_version(file: sqlite3.Connection) -> None:
    """DatabaseError for a journal of another version, which could not be written or read."""
    columns = [name for _, name, *_ in file.execute("pragma table_info(inspection)")]
    version = file.execute(
        "select json_extract(line, '$.v') from inspection where json_valid(line) "
        "order by id desc limit 1"
    ).fetchone()
    if columns != COLUMNS or version not in (None, (VERSION,)):
        raise sqlite3.DatabaseError("another version of edgeseg has written it")
