"""JSON Lines: what every frame was judged, appended to what the file has.

    {"start": "2026-...", ...}   at each start: version, source, model and thresholds
    {"index": 0, ...}            a frame
    {"lost": 12}                 frames whose lines could not be written, for example on a full disk

A reader takes the lines with `index` and skips the others.
"""

import errno
import json
import os
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from io import FileIO
from math import isfinite
from pathlib import Path
from typing import Any

from edgeseg.errors import SinkError
from edgeseg.files import cannot_write, locked, shown
from edgeseg.log import log
from edgeseg.stream.sink.base import Record, RecordSink

KINDS = ("start", "index", "lost")  # the keys of which every line has one
LONGEST = 1 << 20  # bytes of a line: 200 regions, each with the name of a ROI


class JsonlSink(RecordSink):
    """Appends a line for each record, in one call of the operating system.

    The file is locked while the sink is open. A line that cannot be written is counted, and later
    ones are tried again: a full disk does not end an inspection.
    """

    def __init__(
        self, path: Path, *, overwrite: bool = False, about: Mapping[str, Any] | None = None
    ) -> None:
        """about: facts for the line that marks the start.

        WriteError: not writable. SinkError (`sink/not-json-lines`): a file of another kind;
        (`sink/no-reader`): a named pipe without a reader.
        EdgesegError (`files/locked`): another process writes the file.
        """
        self._path = path
        self._gap = 0  # lines lost since the last that was written
        with ExitStack() as stack:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._regular = not path.exists() or path.is_file()
                if self._regular:
                    stack.enter_context(locked(path))
                self._file = stack.enter_context(
                    path.open("rb+", 0) if self._regular else _open_pipe(path)
                )
                if self._regular:
                    self._prepare(overwrite)
                self._put({"start": _utc(datetime.now(timezone.utc)), **(about or {})})
            except OSError as error:
                raise cannot_write(path, error) from error
            self._open = stack.pop_all()

    def write(self, record: Record) -> None:
        moment = datetime.fromtimestamp(record.arrival, timezone.utc)
        line: dict[str, Any] = {
            "index": record.index,
            "file": record.label,
            "arrival": _utc(moment),
            "score": _rounded(record.score, 6),
            "verdict": record.verdict,
            "ms": _rounded(record.milliseconds, 3),
        }
        if record.label is None:
            del line["file"]
        if record.reason:
            line["reason"] = record.reason
        if record.regions:
            line["regions"] = [region.moved(*record.moved).to_json() for region in record.regions]
        if record.region_count > len(record.regions):
            line["region_count"] = record.region_count
        if any(record.moved):
            line["moved"] = list(record.moved)
        if record.sequence is not None:
            line["sequence"] = record.sequence
        if record.captured is not None:
            line["captured"] = _utc(datetime.fromtimestamp(record.captured, timezone.utc))
        if record.camera_ns is not None:
            line["camera_ns"] = record.camera_ns
        try:
            if self._gap:
                self._put({"lost": self._gap})
                log.info(f"{shown(self._path)}: written again; {self._gap} lines are missing")
                self._gap = 0
            self._put(line)
        except OSError as error:
            self._lose(error)

    def close(self) -> None:
        self._open.close()

    def _put(self, line: dict[str, Any]) -> None:
        """Append a line, whole or not at all."""
        data = json.dumps(line).encode() + b"\n"
        end = self._file.seek(0, os.SEEK_END) if self._regular else 0
        try:
            rest = memoryview(data)
            while rest:  # on a full disk the next write tells the reason
                written = self._file.write(rest)
                if written is None:
                    raise BlockingIOError(errno.EAGAIN, "its reader is too slow")
                rest = rest[written:]
        except OSError:
            if self._regular:
                self._file.truncate(end)
            raise

    def _lose(self, error: OSError) -> None:
        if not self._gap:
            failed = cannot_write(self._path, error)
            log.warning(f"{failed.problem}; the stream continues, and lines are lost until then")
            self.error = failed
        self._gap += 1
        self.lost += 1

    def _prepare(self, overwrite: bool) -> None:
        """Empty the file, or end it with a whole line."""
        if overwrite:
            self._file.truncate(0)
            return
        size = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        first = self._file.read(LONGEST).partition(b"\n")
        if size and not (_is_line(first[0]) or (not first[1] and _is_half(first[0]))):
            raise SinkError(
                f"{shown(self._path)} exists and has no lines of edgeseg (expected a new file, or "
                "one that --jsonl wrote).",
                remedy="choose another name for --jsonl, or replace the file: --overwrite",
                code="sink/not-json-lines",
            )
        self._file.seek(max(size - LONGEST, 0))
        rest = self._file.read(LONGEST).rpartition(b"\n")[2]
        if _is_line(rest):
            self._file.write(b"\n")
        elif rest:
            self._file.truncate(size - len(rest))
            log.warning(f"{shown(self._path)}: removed an unfinished last line, {len(rest)} bytes")


def _open_pipe(path: Path) -> FileIO:
    """Open what is no regular file; neither this nor a write to it waits for a reader."""
    try:
        return FileIO(os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0)), "wb")
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        raise SinkError(
            f"{shown(path)} is a named pipe that no process reads.",
            remedy="start its reader first, or name a file",
            code="sink/no-reader",
        ) from error


def _is_line(data: bytes) -> bool:
    try:
        found = json.loads(data)
    except ValueError:
        return False
    return isinstance(found, dict) and any(kind in found for kind in KINDS)


def _is_half(data: bytes) -> bool:
    """Whether this is the beginning of a line."""
    heads = [f'{{"{kind}": '.encode() for kind in KINDS]
    return any(data.startswith(head) or head.startswith(data) for head in heads)


def _rounded(number: float, digits: int) -> float | None:
    return round(number, digits) if isfinite(number) else None


def _utc(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
