"""A file of lines that only grows, for the outputs that write files."""

import os
from collections.abc import Callable
from pathlib import Path

from edgeseg.closing import Closing

LONGEST = 1 << 16  # bytes of a line


class AppendedFile(Closing):
    """Appends whole lines; what a crash left of one is removed, and is written again."""

    def __init__(self, path: Path, is_whole: Callable[[bytes], bool], *, sync: bool) -> None:
        """is_whole: whether a last line without its end is complete; an editor may leave one.

        sync: whether `append` returns when the lines are on the disk.
        """
        self._sync = sync
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab+", 0)
        try:
            self.last = self._repair(is_whole)
        except BaseException:
            self._file.close()
            raise
        """The last line, without its end; empty for an empty file."""

    def append(self, data: bytes) -> None:
        """Append lines; a disk that is full leaves the file as it was."""
        end = self._file.seek(0, os.SEEK_END)
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._file.truncate(end)
            raise
        if self._sync:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _repair(self, is_whole: Callable[[bytes], bool]) -> bytes:
        end = self._file.seek(0, os.SEEK_END)
        self._file.seek(max(end - LONGEST, 0))
        lines, _, rest = self._file.read().rpartition(b"\n")
        if rest and is_whole(rest):
            self._file.write(b"\n")
            return rest
        self._file.truncate(end - len(rest))
        return lines.rpartition(b"\n")[2].rstrip(b"\r")
