"""Appends each record to a JSON Lines file, on a disk of its own or a share."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from edgeseg.station.inspection import Inspection
from edgeseg.station.outputs.base import Deliverer

LONGEST = 1 << 16  # bytes of a line


@dataclass(frozen=True, kw_only=True)
class JsonlSettings:
    """Where the lines go."""

    path: str
    """Relative to the station's file."""
    not_ok_only: bool = False
    sync: bool = True
    """Whether a batch is on the disk before it is acknowledged."""


class JsonlOutput(Deliverer):
    """Appends lines; one that was cut off by a crash is removed, and written again."""

    Settings = JsonlSettings
    settings: JsonlSettings
    _file: BinaryIO | None = None

    def open(self) -> None:
        path = self.context.base / self.settings.path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+", 0)
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(end - LONGEST, 0))
        rest = self._file.read().rpartition(b"\n")[2]
        self._file.truncate(end - len(rest))

    def send(self, batch: Sequence[Inspection]) -> int:
        assert self._file is not None
        wanted = [each for each in batch if not (self.settings.not_ok_only and each.ok)]
        data = "".join(each.to_json() + "\n" for each in wanted).encode()
        end = self._file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(end)
            raise
        if self.settings.sync:
            os.fsync(self._file.fileno())
        return batch[-1].id

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
