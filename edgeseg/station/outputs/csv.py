"""Appends each record to a CSV file of its shift, for spreadsheets.

    NAME_2026-11-26_0600.csv    what was decided from 6:00 of that day to the next shift

Numbers of parts and reasons come from elsewhere: a text that a spreadsheet would take for a formula
gets a ' before it.
"""

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from itertools import count, groupby
from pathlib import Path
from typing import Any, Literal

from edgeseg.errors import ConfigError
from edgeseg.files import check_writable
from edgeseg.station.inspection import Inspection
from edgeseg.station.outputs.append import AppendedFile
from edgeseg.station.outputs.base import Deliverer

COLUMNS = (
    *("id", "decided", "camera", "part", "ok", "verdict", "code", "reason", "score", "threshold"),
    *("region_count", "recipe", "trigger", "ms", "evidence", "key"),
)
FORMULA = "=+-@＝＋－＠"
MARK = "\ufeff"  # tells spreadsheets that the text is UTF-8
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")


@dataclass(frozen=True, kw_only=True)
class CsvSettings:
    """Which files are written, and how."""

    folder: str = "shifts"
    """Relative to the station's file."""
    shifts: tuple[str, ...] = ("06:00", "14:00", "22:00")
    """When each begins, by the clock on the wall."""
    delimiter: Literal[",", ";", "\t"] = ","
    decimal: Literal[".", ","] = "."
    """Within numbers; `,` with the delimiter `;` where spreadsheets expect it."""
    not_ok_only: bool = False
    sync: bool = True
    """Whether a batch is on the disk before it is acknowledged."""

    def __post_init__(self) -> None:
        """ConfigError for times that are none, and for a comma in two roles."""
        if not self.shifts or not all(map(_TIME.fullmatch, self.shifts)):
            raise _wrong(f"shifts is {list(self.shifts)!r} (expected times as 06:00)")
        if self.decimal == self.delimiter:
            raise _wrong("decimal and delimiter are both ','")


class CsvOutput(Deliverer):
    """Appends rows; one that a crash cut off is removed, and written again."""

    Settings = CsvSettings
    settings: CsvSettings
    _file: AppendedFile | None = None
    _path: Path | None = None
    _last = ""
    """The key of the last row."""

    def open(self) -> None:
        check_writable(self.context.base / self.settings.folder)

    def send(self, batch: Sequence[Inspection]) -> int:
        wanted = [each for each in batch if not (self.settings.not_ok_only and each.ok)]
        for start, shift in groupby(wanted, lambda each: shift_start(each.decided, self._starts)):
            rows = list(shift)
            file = self._file_of(start)
            keys = [each.key for each in rows]
            if self._last in keys:  # written before a crash, but not acknowledged
                rows = rows[keys.index(self._last) + 1 :]
            if rows:
                file.append("".join(self._line(self._row(each)) for each in rows).encode())
                self._last = rows[-1].key
        return batch[-1].id

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = self._path = None

    @property
    def _starts(self) -> list[time]:
        return sorted(time.fromisoformat(each) for each in self.settings.shifts)

    def _file_of(self, start: datetime) -> AppendedFile:
        """Return the file of a shift, which stays open until the next one."""
        folder = self.context.base / self.settings.folder
        name = f"{self.context.station}_{start:%Y-%m-%d_%H%M}"
        if self._path is not None and self._path.name.startswith(name) and self._file is not None:
            return self._file
        self.close()
        header = (MARK + self._line(COLUMNS)).encode()
        for number in count(1):  # a file with other columns is left alone
            path = folder / (f"{name}.csv" if number == 1 else f"{name}-{number}.csv")
            if _begins(path, header):
                break
        file = AppendedFile(path, self._is_whole, sync=self.settings.sync)
        if not file.last:
            file.append(header)
        row = self._cells(file.last)
        self._file, self._path, self._last = file, path, row[-1] if row else ""
        return file

    def _row(self, found: Inspection) -> list[Any]:
        moment = datetime.fromtimestamp(found.decided).astimezone()
        known = {"decided": moment.isoformat(" ", "milliseconds"), "ok": int(found.ok)}
        return [self._cell(known.get(name, getattr(found, name))) for name in COLUMNS]

    def _cell(self, value: Any) -> Any:
        if isinstance(value, str):
            return harmless(value)
        if isinstance(value, float) and self.settings.decimal == ",":
            return str(value).replace(".", ",")
        return "" if value is None else value

    def _line(self, values: Sequence[Any]) -> str:
        """Return a row; every text is in quotes, so no other delimiter can split it."""
        text = io.StringIO()
        csv.writer(text, delimiter=self.settings.delimiter, quoting=csv.QUOTE_NONNUMERIC).writerow(
            values
        )
        return text.getvalue()

    def _cells(self, line: bytes) -> list[str]:
        """Return the texts of a row; empty if it is none."""
        try:
            text = line.decode()
            (row,) = csv.reader([text], delimiter=self.settings.delimiter, strict=True)
        except (ValueError, csv.Error):
            return []
        return row if len(row) == len(COLUMNS) else []

    def _is_whole(self, line: bytes) -> bool:
        return bool(self._cells(line)) and line.rstrip(b"\r").endswith(b'"')


def shift_start(moment: float, starts: Sequence[time]) -> datetime:
    """Return when the shift of a moment (seconds since 1970) began, by the local clock."""
    local = datetime.fromtimestamp(moment)
    before = [each for each in starts if each <= local.time()]
    if before:
        return datetime.combine(local.date(), before[-1])
    return datetime.combine(local.date() - timedelta(days=1), starts[-1])


def harmless(text: str) -> str:
    """Return a text in one line that no spreadsheet takes for a formula."""
    line = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text)
    return f"'{line}" if line.lstrip()[:1] in FORMULA and line.strip() else line


def _begins(path: Path, header: bytes) -> bool:
    """Whether a file has these columns, or none yet."""
    try:
        with path.open("rb") as file:
            found = file.read(len(header))
    except FileNotFoundError:
        return True
    return header.startswith(found)


def _wrong(problem: str) -> ConfigError:
    return ConfigError(
        f"output csv: {problem}.", remedy="correct the station's file", code="station/config"
    )
