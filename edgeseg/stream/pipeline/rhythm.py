"""When inference will take its next frame, so that no frame is decoded in vain (decoding.py).

At the time of the last take plus the shortest of the last computations. Once that has passed, the
next take can come at any moment, and every frame is decoded.
"""

from collections import deque

KEPT = 8  # computations


class Rhythm:
    """Told when inference waits for a frame and when it takes one; times in seconds."""

    def __init__(self) -> None:
        self._busy: deque[float] = deque(maxlen=KEPT)
        self._taken: float | None = None
        self.waiting = False
        """Whether inference waits for a frame."""

    def waits(self, now: float) -> None:
        """Inference asks for a frame; again if none has come."""
        if not self.waiting and self._taken is not None:
            self._busy.append(now - self._taken)
        self.waiting = True

    def takes(self, now: float) -> None:
        """Inference has got a frame."""
        self._taken, self.waiting = now, False

    def until_next(self, now: float) -> float:
        """Return the seconds until the next take; 0 for now, or if that is unknown."""
        if self.waiting or self._taken is None or not self._busy:
            return 0.0
        return max(self._taken + min(self._busy) - now, 0.0)
