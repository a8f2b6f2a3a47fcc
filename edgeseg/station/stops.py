"""Who has stopped the line, and why: on the disk, because both processes may die at once.

    STATE/stops.json    {"page": "door open"}       written by the inspector

A station that ends in order forgets them, so its next start runs the line.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from edgeseg.errors import WriteError
from edgeseg.files import cannot_write, shown, write_atomic
from edgeseg.log import log
from edgeseg.schema import parse, read_text

FILE = "stops.json"
PAGE = "page"


class KeptStops:
    """The file in a station's folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE

    def read(self) -> dict[str, str]:
        """Return who has stopped the line, with the reason.

        A file that cannot be read is a stop that the page can take back: nobody knows who stopped.
        """
        try:
            found = parse(read_text(self._path))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            found = str(error)
        if isinstance(found, dict) and all(isinstance(each, str) for each in found.values()):
            return dict(found)
        log.warning(f"{shown(self._path)} cannot be read: the line is stopped")
        return {PAGE: f"{FILE} cannot be read"}

    def keep(self, stops: Mapping[str, str]) -> None:
        """Write them; the line is stopped also where the disk takes nothing."""
        try:
            if stops:
                write_atomic(self._path, json.dumps(stops).encode())
            else:
                self._path.unlink(missing_ok=True)
        except (WriteError, OSError) as error:
            problem = error if isinstance(error, WriteError) else cannot_write(self._path, error)
            log.warning(f"who has stopped the line cannot be kept: {problem.problem}")

    def forget(self) -> None:
        """The station ends in order."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
