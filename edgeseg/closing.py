"""Context managers that close at their end, such as backends and sources; the end of a process."""

import atexit
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn, TypeVar

T = TypeVar("T")


class Closing:
    """A context manager that closes at its end."""

    def close(self) -> None:
        """Free resources; a class without any inherits this."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()


def leave(code: int) -> NoReturn:
    """End this process, also while daemon threads are left that a library has blocked.

    One that returns from its C++ code while Python ends aborts the process (exit code 134), so
    Python does not end then; what is registered with atexit is done.
    """
    others = [each for each in threading.enumerate() if each is not threading.current_thread()]
    if not others or not all(each.daemon for each in others):
        sys.exit(code)
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or there is none
            stream.flush()
    os._exit(code)
