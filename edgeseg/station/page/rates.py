"""How often an address may ask: a bucket that fills at a constant rate."""

import threading
import time
from collections import OrderedDict

ADDRESSES = 1024  # that are remembered


class RateLimit:
    """Allows `burst` calls at once, and `rate` per second in the long run; for all threads."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By address: calls that are left, at a time."""
        self._lock = threading.Lock()

    def allows(self, address: str) -> bool:
        """Count a call; whether it is allowed."""
        now = time.monotonic()
        with self._lock:
            left, then = self._left.pop(address, (self._burst, now))
            left = min(left + (now - then) * self._rate, self._burst)
            allowed = left >= 1
            self._left[address] = (left - allowed, now)
            if len(self._left) > ADDRESSES:
                self._left.popitem(last=False)
        return allowed
