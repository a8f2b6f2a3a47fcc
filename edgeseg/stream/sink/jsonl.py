"""JSON lines: one line for each frame."""

import json
from datetime import datetime, timezone
from math import isfinite
from pathlib import Path

from edgeseg.errors import SinkError
from edgeseg.stream.sink.base import Record, RecordSink, make_parent


class JsonlSink(RecordSink):
    """Writes each record as a line of JSON, flushed to the operating system at once."""

    def __init__(self, path: Path) -> None:
        make_parent(path)
        self._path = path
        try:
            self._file = path.open("w", encoding="utf-8", buffering=1)
        except OSError as error:
            raise self._failed(error) from error

    def write(self, record: Record) -> None:
        moment = datetime.fromtimestamp(record.arrival, timezone.utc)
        line = {
            "index": record.index,
            "file": record.label,
            "arrival": moment.isoformat(timespec="milliseconds"),
            "score": round(record.score, 6) if isfinite(record.score) else None,
            "verdict": record.verdict,
            "ms": round(record.milliseconds, 3),
        }
        if record.label is None:
            del line["file"]
        try:
            self._file.write(json.dumps(line) + "\n")
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> SinkError:
        return SinkError(
            f"cannot write {self._path}: {error.strerror}.",
            remedy=f"check its permissions and the free space: df -h '{self._path.parent}'",
            code="sink/cannot-write",
        )
