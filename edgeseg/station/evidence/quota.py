"""What is kept on the disk: the oldest frames go first, those of good parts before all others.

What somebody has labeled stays, up to half of the quota; then the oldest of them go.

    evidence/2026-11-26/top-6743a1b2c3-00000012-anomalous/    camera, boot, number, kind
    evidence/.part-...                                         being written, or being deleted

One thread uses it. Whole folders appear and disappear by a rename; what a dead process has left of
them is deleted at the start.
"""

import os
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from edgeseg.files import PART
from edgeseg.station.evidence.labels import is_labeled
from edgeseg.station.inspection import Inspection

FOLDER = "evidence"
RECORD = "record.json"
"""Of a folder that is whole."""
KINDS = ("good", "near", "unknown", "anomalous")
"""Of kept frames, in the order in which they are deleted."""
LABELED, SHARE = "labeled", 0.5
"""What somebody has labeled, and how much of the quota it may have."""
BLOCK = 4096  # bytes; every file and every folder takes a multiple of it


def place_of(inspection: Inspection, kind: str) -> str:
    """Return where a frame is kept, within the folder of the station."""
    day = time.strftime("%Y-%m-%d", time.localtime(inspection.decided))
    name = f"{inspection.camera}-{inspection.boot}-{inspection.sequence:08}-{kind}"
    return f"{FOLDER}/{day}/{name}"


class KeptFrames:
    """The kept frames of a station, of each kind the oldest first."""

    def __init__(self, station: Path) -> None:
        """station: the folder of its state. OSError."""
        self._station, self._folder = station, station / FOLDER
        self._kept: dict[str, deque[tuple[Path, int]]] = {
            kind: deque() for kind in (*KINDS, LABELED)
        }
        self.sizes = dict.fromkeys((*KINDS, LABELED), 0)
        """Bytes on the disk, by kind; a label is noticed when the frame would be deleted."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for rest in self._folder.glob(f"{PART}*"):
            shutil.rmtree(rest, ignore_errors=True)
        found = []
        for path in self._folder.glob("*/*"):
            kind = path.name.rpartition("-")[2]
            if kind in KINDS and path.is_dir():
                found.append((path.stat().st_mtime_ns, path, kind))
        for _, path, kind in sorted(found):
            self._add(path, kind)

    @property
    def free(self) -> int:
        """Free bytes of the disk. OSError."""
        return shutil.disk_usage(self._folder).free

    def size_up_to(self, kind: str) -> int:
        """Return the bytes of what may be deleted for a frame of a kind."""
        return sum(self.sizes[each] for each in KINDS[: KINDS.index(kind) + 1])

    def put(self, place: str, kind: str, write: Callable[[Path], object]) -> None:
        """Let `write` make a folder, and rename it to `place`. OSError: nothing of it stays."""
        part = self._part()
        try:
            write(part)
            target = self._station / place
            target.parent.mkdir(exist_ok=True)
            part.rename(target)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        self._add(target, kind)

    def shrink(self, quota: int, kind: str = KINDS[-1]) -> None:
        """Delete until all are within the quota, in bytes; nothing that goes after `kind`."""
        for each in KINDS[: KINDS.index(kind) + 1]:
            while self._kept[each] and sum(self.sizes.values()) > quota:
                path, size = self._kept[each].popleft()
                self.sizes[each] -= size
                if is_labeled(self._station, path.relative_to(self._station).as_posix()):
                    self._kept[LABELED].append((path, size))
                    self.sizes[LABELED] += size
                else:
                    self._delete(path)
                self._forget_labeled(quota)

    def _forget_labeled(self, quota: int) -> None:
        while self._kept[LABELED] and self.sizes[LABELED] > SHARE * quota:
            path, size = self._kept[LABELED].popleft()
            self.sizes[LABELED] -= size
            self._delete(path)

    def _add(self, path: Path, kind: str) -> None:
        try:
            size = BLOCK + sum(_on_disk(entry.stat().st_size) for entry in os.scandir(path))
        except OSError:  # somebody has deleted it
            return
        self._kept[kind].append((path, size))
        self.sizes[kind] += size

    def _delete(self, path: Path) -> None:
        part = self._part()
        with suppress(OSError):  # somebody has deleted it
            path.rename(part)
        shutil.rmtree(part, ignore_errors=True)
        with suppress(OSError):  # other frames of that day
            path.parent.rmdir()

    def _part(self) -> Path:
        return self._folder / f"{PART}{secrets.token_hex(8)}"


def _on_disk(size: int) -> int:
    return -(-size // BLOCK) * BLOCK
