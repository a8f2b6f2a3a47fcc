"""Appends each record to a JSON Lines file, on a disk of its own or a share."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeseg.schema import parse
from edgeseg.station.inspection import Inspection
from edgeseg.station.outputs.append import AppendedFile
from edgeseg.station.outputs.base import Deliverer


@dataclass(frozen=True, kw_only=True)
class JsonlSettings:
    """Where the lines go."""

    path: str
    """Relative to the station's file."""
    not_ok_only: bool = False
    sync: bool = True
    """Whether a batch is on the disk before it is acknowledged."""


class JsonlOutput(Deliverer):
    """Appends lines."""

    Settings = JsonlSettings
    settings: JsonlSettings
    _file: AppendedFile | None = None

    def open(self) -> None:
        path = self.context.base / self.settings.path
        self._file = AppendedFile(path, _is_json, sync=self.settings.sync)

    def send(self, batch: Sequence[Inspection]) -> int:
        assert self._file is not None
        wanted = [each for each in batch if not (self.settings.not_ok_only and each.ok)]
        self._file.append("".join(each.to_json() + "\n" for each in wanted).encode())
        return batch[-1].id

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _is_json(line: bytes) -> bool:
    try:
        return isinstance(parse(line), dict)
    except ValueError:
        return False
