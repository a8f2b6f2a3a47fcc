"""A window that shows the overlays."""

import os
import sys
from collections.abc import Mapping

import cv2

from edgeseg.errors import SinkError
from edgeseg.stream.sink.base import FrameSink, Result

QUIT_KEYS = (27, ord("q"))  # 27: Escape


class WindowSink(FrameSink):
    """The overlays in a window; q, Escape or closing it ends the stream."""

    def __init__(self, title: str) -> None:
        self._title = title
        if not has_display(os.environ, sys.platform):
            raise SinkError(
                "no display available.",
                remedy="--no-window, with --out FILE.mp4 or --jsonl",
                code="sink/no-display",
            )
        try:
            cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
        except cv2.error as error:
            raise SinkError(
                "this OpenCV has no window support (opencv-python-headless).",
                remedy="--no-window, or: pip install opencv-python",
                code="sink/no-window-support",
            ) from error

    def write(self, result: Result) -> bool:
        cv2.imshow(self._title, result.overlay)
        return self.idle()

    def idle(self) -> bool:
        if cv2.waitKey(1) & 0xFF in QUIT_KEYS:
            return False
        return cv2.getWindowProperty(self._title, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        cv2.destroyAllWindows()


def has_display(environment: Mapping[str, str], platform: str) -> bool:
    """Whether a window can be shown: always on Windows and macOS, on Linux with an X server.

    WAYLAND_DISPLAY alone is not enough: the Qt of OpenCV's packages supports only X11, and aborts
    the process without it. Wayland desktops set DISPLAY as well.
    """
    return platform in ("win32", "darwin") or bool(environment.get("DISPLAY"))
