"""The process that owns the window: images on standard input, one byte of answer on output.

Started by window.py as a script, so it imports nothing of the package. Exit code 0: the user closed
the window, or the input ended.
"""

import signal
import struct
import sys
import threading
from typing import BinaryIO

HEADER = struct.Struct("<II")  # height, width; then BGR bytes
READY, NO_WINDOWS = b"1", b"0"
QUIT_KEYS = (27, ord("q"))  # 27: Escape
WAIT_MS = 20


class _Inbox:
    """The newest image of the input, read by a thread."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._newest: tuple[int, int, bytes] | None = None
        self.ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while len(head := self._source.read(HEADER.size)) == HEADER.size:
            height, width = HEADER.unpack(head)
            data = self._source.read(height * width * 3)
            if len(data) < height * width * 3:
                break
            self._newest = (height, width, data)
        self.ended = True

    def take(self) -> tuple[int, int, bytes] | None:
        """Return the newest image, once."""
        newest, self._newest = self._newest, None
        return newest


def show(title: str, source: BinaryIO, answers: BinaryIO) -> None:
    """Show the images of `source` until the user or the input ends it."""
    import cv2
    import numpy as np

    try:
        cv2.namedWindow(title, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO)
    except cv2.error:  # opencv-python-headless
        answers.write(NO_WINDOWS)
        answers.flush()
        return
    answers.write(READY)
    answers.flush()
    inbox = _Inbox(source)
    shown = False
    while True:
        ended = inbox.ended  # before the look for the last image
        if image := inbox.take():
            height, width, data = image
            cv2.imshow(title, np.frombuffer(data, np.uint8).reshape(height, width, 3))
            shown = True
        elif ended:
            break
        if cv2.waitKey(WAIT_MS) & 0xFF in QUIT_KEYS:
            break
        if shown and cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
            break
    cv2.destroyAllWindows()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the stream, which ends the input
    show(sys.argv[1], sys.stdin.buffer, sys.stdout.buffer)
