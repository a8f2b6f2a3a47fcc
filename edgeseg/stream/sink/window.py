"""A window that shows the overlays, in a process of its own.

Qt ends its process when a display does not answer, refuses the connection or is lost. That process
is screen.py, and the inspection continues without a window.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress

from edgeseg.errors import SinkError
from edgeseg.log import log
from edgeseg.stream.sink import screen
from edgeseg.stream.sink.base import FrameSink, Result

COMMAND = (sys.executable, screen.__file__)
START_SECONDS = 20.0  # an import of OpenCV on a slow board, and the timeout of a display
CLOSE_SECONDS = 2.0


class WindowSink(FrameSink):
    """The newest overlay in a window; q, Escape or closing it ends the stream."""

    def __init__(self, title: str) -> None:
        """Open the window; SinkError if there is no display, or OpenCV has no windows."""
        if not has_display(os.environ, sys.platform):
            raise _refused("no display available")
        try:
            self._process = subprocess.Popen(
                [*COMMAND, title],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
        except OSError as error:
            raise _refused(f"cannot start the process of the window: {error.strerror}") from error
        self._image: tuple[bytes, bytes] | None = None
        self._changed = threading.Condition()
        self._ended = self._lost = False
        self._thread = threading.Thread(target=self._send, name="window", daemon=True)
        answer = self._answer()
        if answer == screen.READY:
            self._thread.start()
            return
        self.close()
        if answer == screen.NO_WINDOWS:
            raise SinkError(
                "this OpenCV has no window support (opencv-python-headless).",
                remedy="--no-window, or: pip install opencv-python",
                code="sink/no-window-support",
            )
        raise _refused(f"the display {os.environ.get('DISPLAY', '')} does not answer")

    def _answer(self) -> bytes:
        """Return the first byte of the process; nothing if it ended or does not answer."""
        answers = self._process.stdout
        assert answers is not None
        found = [b""]
        reader = threading.Thread(target=lambda: found.append(answers.read(1)), daemon=True)
        reader.start()
        reader.join(START_SECONDS)
        return found[-1]

    def write(self, result: Result) -> bool:
        overlay = result.overlay
        head = screen.HEADER.pack(*overlay.shape[:2])
        with self._changed:
            self._image = head, overlay.tobytes()
            self._changed.notify_all()
        return self.idle()

    def idle(self) -> bool:
        status = self._process.poll()
        if status is None or self._lost:
            return True
        if status == 0:
            return False
        self._lost = True
        log.warning("the window was lost with its display; the stream continues without it")
        return True

    def _send(self) -> None:
        """Pass on the newest image; one that comes during this replaces one that waits."""
        images = self._process.stdin
        assert images is not None
        with suppress(OSError, ValueError):  # the process has ended
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._image or self._ended)
                    if self._image is None:
                        return
                    head, pixels = self._image
                    self._image = None
                images.write(head)
                images.write(pixels)
                images.flush()

    def close(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_SECONDS)
        try:
            if self._thread.is_alive():
                raise TimeoutError  # the process does not read
            with suppress(OSError):
                self._process.stdin.close()  # type: ignore[union-attr]
            self._process.wait(CLOSE_SECONDS)
        except (TimeoutError, subprocess.TimeoutExpired):
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def has_display(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a window can be shown: always on Windows and macOS, on Linux with an X server.

    WAYLAND_DISPLAY alone is not enough: the Qt of OpenCV's packages supports only X11. Wayland
    desktops set DISPLAY as well.
    """
    return platform in ("win32", "darwin") or bool(environment.get("DISPLAY"))


def _refused(problem: str) -> SinkError:
    return SinkError(
        f"{problem}.",
        remedy="--no-window, with --out FILE.mp4 or --jsonl",
        code="sink/no-display",
    )
