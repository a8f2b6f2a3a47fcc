"""The gateway's side of live pictures: each is encoded once, for all who look.

One thread looks for new pictures while somebody has asked in the last second. A viewer waits for a
condition and gets the newest JPEG; one that is slow misses some.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeseg.closing import Closing
from edgeseg.log import warn_once

if TYPE_CHECKING:
    from edgeseg.station.page.picture_memory import PictureMemory

LOOK = 0.02  # seconds between two looks
ASKED_FOR = 1.0  # seconds for which a question keeps the pictures coming
CHECK = 1.0  # seconds between looks whether the memory is still the inspector's
QUALITY = 80  # of the JPEG files


class Jpeg(NamedTuple):
    """A picture as a file."""

    number: int
    """Counts up."""
    data: bytes


class _WatchedCamera:
    """What is known of one camera's pictures."""

    def __init__(self) -> None:
        self.waiting = 0
        """Viewers that wait for the next picture."""
        self.asked = 0.0
        """When the last one has got one."""
        self.seen: int | None = None
        """The number of the last picture; None: what is there is from before anybody looked."""
        self.checked = 0.0
        self.newest: Jpeg | None = None
        self.memory: PictureMemory | None = None

    @property
    def wanted(self) -> bool:
        """Whether somebody looks."""
        return self.waiting > 0 or time.monotonic() - self.asked < ASKED_FOR


class LivePictures(Closing):
    """The newest picture of each camera; for all threads of the page."""

    def __init__(self, folder: Path, cameras: Sequence[str]) -> None:
        self._folder = folder
        self._cameras = {name: _WatchedCamera() for name in cameras}
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._work, name="page pictures", daemon=True)
        self._thread.start()

    def after(self, camera: str, number: int, timeout: float) -> Jpeg | None:
        """Return a newer picture than `number`, or wait for one; None after `timeout` seconds.

        KeyError: there is no such camera.
        """
        entry = self._cameras[camera]

        def newer() -> bool:
            return self._ended or (entry.newest is not None and entry.newest.number != number)

        with self._changed:
            if not entry.wanted:
                entry.newest = entry.seen = None
            entry.waiting += 1
            self._changed.notify_all()
            found = self._changed.wait_for(newer, timeout)
            entry.waiting -= 1
            entry.asked = time.monotonic()
            return entry.newest if found and not self._ended else None

    def close(self) -> None:
        """End the thread; who waits gets nothing."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._thread.join()
        with ExitStack() as stack:
            for entry in self._cameras.values():
                if entry.memory is not None:
                    stack.callback(entry.memory.close)

    def _wanted(self) -> bool:
        return self._ended or any(each.wanted for each in self._cameras.values())

    def _work(self) -> None:
        while not self._ended:
            with self._changed:
                self._changed.wait_for(self._wanted)
            for name, entry in self._cameras.items():
                if entry.wanted:
                    try:
                        self._look(name, entry)
                    except FileNotFoundError:  # the inspector begins, or has ended
                        pass
                    except OSError as error:
                        warn_once(f"camera {name}: no live picture: {error}")
            time.sleep(LOOK)

    def _look(self, name: str, entry: _WatchedCamera) -> None:
        now = time.monotonic()
        if entry.memory is not None and now - entry.checked > CHECK:
            entry.checked = now
            if not entry.memory.current:  # of an inspector that has ended
                entry.memory.close()
                entry.memory = None
        if entry.memory is None:
            from edgeseg.station.page.picture_memory import PictureMemory

            entry.memory = PictureMemory(self._folder, name, create=False)
        entry.memory.want(time.monotonic_ns())
        if entry.seen is None:
            entry.seen = entry.memory.number
        found = entry.memory.newest(entry.seen)
        if found is None:
            return
        data = encoded(found.image)
        with self._changed:
            entry.seen = found.number
            entry.newest = Jpeg(time.monotonic_ns() // 1_000_000, data)
            self._changed.notify_all()


def encoded(image: Any) -> bytes:
    """Return BGR uint8 [h, w, 3] as a JPEG file."""
    import simplejpeg

    return bytes(simplejpeg.encode_jpeg(image, QUALITY, "BGR", "420"))
