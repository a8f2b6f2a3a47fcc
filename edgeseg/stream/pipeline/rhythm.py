"""When inference will take its next frame, so that no frame is decoded in vain.

A camera may send many frames while inference computes one. Decoding them all costs time of the
cores that inference needs, and all but the newest are dropped. So a frame is decoded just before
inference takes it: at the time of the last take plus the shortest of the last computations.
"""

from collections import deque

KEPT = 8  # computations; the shortest of them, because a frame that is late makes inference wait


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

    def until_next(self, now: float, *, unread: bool) -> float:
        """Return the seconds until a frame is needed; 0 for now, or if that is not known.

        unread: whether there is a frame for the next take; the one after it counts then.
        """
        if self.waiting or self._taken is None or not self._busy:
            return 0.0
        lasts = min(self._busy)
        return max(self._taken + lasts * (2 if unread else 1) - now, 0.0)
