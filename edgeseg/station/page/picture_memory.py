"""Memory that the inspector writes a camera's newest picture into, and the gateway reads.

    gateway      want()      somebody looks, for the next second
    inspector    wanted()    asked at each frame; a number is read
    inspector    write()     one picture, behind a sequence lock: odd while it is written
    gateway      newest()    a copy; None while there is none, or it is just written

The file lies in /dev/shm, so no disk is written, else in the station's folder. Nobody waits for
anybody, and either process may die: the other goes on with the same file. Python has no memory
barriers, so a checksum tells the reader a picture that it got by halves.
"""

import mmap
import os
import stat
import zlib
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from edgeseg.closing import Closing
from edgeseg.data.images import Image

SIDE = 800
"""Pixels of the longer side of a picture, at most."""
HEADER = 4096  # bytes
WANT_NS = 1_000_000_000
MAGIC = 0x0165646765736567
_MAGIC, _SEQUENCE, _WANTED, _HEIGHT, _WIDTH, _CHECK = range(6)
SHARED = Path("/dev/shm")


class SharedPicture(NamedTuple):
    """A picture and its number, which differs from that of the one before."""

    number: int
    image: Image
    """BGR uint8 [h, w, 3]."""


class PictureMemory(Closing):
    """The newest picture of one camera, shared by two processes."""

    def __init__(self, folder: Path, camera: str, *, create: bool = True) -> None:
        """Open or create it; OSError if that cannot be done.

        folder: of the station, which exists; create: False for a reader, FileNotFoundError without
        a writer.
        """
        self.path = place(folder, camera)
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        held = os.open(self.path, flags, 0o600)
        try:
            status = os.fstat(held)
            if status.st_uid != os.geteuid() or not stat.S_ISREG(status.st_mode):
                raise PermissionError(f"{self.path} belongs to somebody else")
            size = HEADER + SIDE * SIDE * 3
            if status.st_size != size:
                os.ftruncate(held, size)
            self._map = mmap.mmap(held, size)
            self._file = status.st_ino
        finally:
            os.close(held)
        self._numbers = np.frombuffer(self._map, np.int64, 6)
        self._pixels = np.frombuffer(self._map, np.uint8, offset=HEADER)
        if self._numbers[_MAGIC] != MAGIC:
            self._numbers[:] = MAGIC, 0, 0, 0, 0, 0

    def want(self, now_ns: int) -> None:
        """Ask for pictures for a second; `time.monotonic_ns`, which all processes share."""
        self._numbers[_WANTED] = now_ns + WANT_NS

    def wanted(self, now_ns: int) -> bool:
        """Whether somebody looks."""
        return 0 <= int(self._numbers[_WANTED]) - now_ns <= WANT_NS

    def write(self, image: Image) -> None:
        """Store a picture, BGR uint8 [h, w, 3], of at most SIDE pixels each way."""
        height, width = image.shape[:2]
        numbers = self._numbers
        numbers[_SEQUENCE] = int(numbers[_SEQUENCE]) | 1
        pixels = self._pixels[: image.size]
        np.copyto(pixels.reshape(image.shape), image)
        numbers[_HEIGHT], numbers[_WIDTH] = height, width
        numbers[_CHECK] = zlib.crc32(pixels.data)
        numbers[_SEQUENCE] = int(numbers[_SEQUENCE]) + 1

    @property
    def number(self) -> int:
        """Of the picture that is there; 0: none."""
        return int(self._numbers[_SEQUENCE])

    @property
    def current(self) -> bool:
        """Whether the other process, if it opens the memory now, gets the same."""
        try:
            return self.path.stat().st_ino == self._file
        except OSError:
            return False

    def newest(self, after: int = 0) -> SharedPicture | None:
        """Return a copy of the newest picture; None without another one than number `after`."""
        numbers = self._numbers
        number = int(numbers[_SEQUENCE])
        height, width = int(numbers[_HEIGHT]), int(numbers[_WIDTH])
        if number in (0, after) or number & 1 or not (0 < height <= SIDE and 0 < width <= SIDE):
            return None
        check = int(numbers[_CHECK])
        image = self._pixels[: height * width * 3].reshape(height, width, 3).copy()
        if number != int(numbers[_SEQUENCE]) or zlib.crc32(image.data) != check:
            return None
        return SharedPicture(number, image)

    def remove(self) -> None:
        """Remove the file; who has it open keeps it."""
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the memory."""
        del self._numbers, self._pixels
        self._map.close()


def place(folder: Path, camera: str) -> Path:
    """Return the file of a camera's picture."""
    if SHARED.is_dir() and os.access(SHARED, os.W_OK):
        mark = sha256(os.fsencode(folder.resolve())).hexdigest()[:16]
        return SHARED / f"edgeseg-{os.geteuid()}-{mark}-{camera}"
    return folder / f"picture-{camera}.bin"
