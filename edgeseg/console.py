"""Standard output and standard error; what is written there never ends the work.

closed descriptor             opened on the null device, so that no other file gets its number
ASCII or cp1252 console       characters that it cannot show are escaped
closed pipe, dead terminal    the text is lost and the work continues
full disk                     the same; a report that was lost is an error at the end
blocked (Ctrl-S, full pipe)   messages are dropped after WAIT seconds, and counted
"""

import errno
import io
import os
import select
import stat
import sys
import threading
from contextlib import suppress
from typing import TextIO

from edgeseg.addresses import without_accounts
from edgeseg.errors import WriteError
from edgeseg.text import escaped

WAIT = 0.2  # seconds for a blocked reader of standard error
CHUNK = 512  # bytes that a pipe accepts at once if it accepts any (POSIX: PIPE_BUF)


def prepare() -> None:
    """Make the three standard streams usable; called once, before any file is opened."""
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_WRONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)  # takes the lowest free number
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace"))
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """Escape what could change the terminal or fake output; hide the accounts of addresses."""
    return without_accounts(escaped(text, keep="\t\n"))


def write_report(text: str) -> None:
    """Print to standard output. WriteError if a file there, not a reader, failed."""
    stream = sys.stdout
    try:
        print(printable(text), file=stream, flush=True)
    except ValueError:  # a closed stream
        return
    except OSError as error:
        gone = error.errno == errno.EPIPE or (error.errno == errno.EIO and not _is_file(stream))
        _discard(stream)
        if not gone:
            raise WriteError(
                f"cannot write the report to standard output: {error.strerror}",
                remedy="check the free space: df -h .",
                code="write/report",
            ) from error


def _is_file(stream: TextIO) -> bool:
    """Whether a stream is a regular file; a dead terminal does not tell what it was."""
    try:
        return stat.S_ISREG(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _discard(stream: object) -> None:
    """Empty the buffer of a stream that failed, so that the exit does not fail with it."""
    with suppress(AttributeError, OSError, ValueError):
        descriptor = stream.fileno()  # type: ignore[attr-defined]
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, descriptor)
        os.close(null)


class StandardError(io.TextIOBase):
    """Standard error, through which `write` never raises and never blocks for long."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """stream: None for whatever `sys.stderr` is at the moment."""
        self._fixed = stream
        self._lock = threading.Lock()
        self._blocked = False
        self._lost = 0

    @property
    def _stream(self) -> TextIO:
        return self._fixed or sys.stderr

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        with suppress(AttributeError, OSError, ValueError):  # it is missing or closed
            return self._stream.isatty()
        return False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        with self._lock, suppress(AttributeError, OSError, ValueError):
            if self._lost and self._send(f"\n({self._lost} messages lost: output was blocked)\n"):
                self._lost = 0
            if self._lost or not self._send(text):
                self._lost += 1
        return len(text)

    def _send(self, text: str) -> bool:
        """Write all of a text; False if the reader is blocked."""
        stream = self._stream
        data = text.encode(self.encoding, "backslashreplace")
        # Only a stream of Python's own: rich replaces sys.stderr while it shows a bar.
        if (
            os.name == "nt"
            or not isinstance(stream, io.TextIOWrapper)
            or not _has_descriptor(stream)
        ):
            stream.write(data.decode(self.encoding))
            stream.flush()
            return True
        poll = select.poll()
        poll.register(stream, select.POLLOUT)
        while data:
            self._blocked = not poll.poll(0 if self._blocked else WAIT * 1e3)
            if self._blocked:
                return False
            data = data[os.write(stream.fileno(), data[:CHUNK]) :]
        return True


def _has_descriptor(stream: TextIO) -> bool:
    try:
        return stream.fileno() >= 0
    except (OSError, ValueError):
        return False


STDERR = StandardError()
