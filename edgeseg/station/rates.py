"""How often an address may ask: a bucket that fills at a constant rate."""

import threading
import time
from collections import OrderedDict

ADDRESSES = 1024  # that are remembered


class RateLimit:
    """Allows `burst` calls at once, and `rate` per second in the long run; for all threads."""

    def __init__(self, rate: float, burst: float, *, patience: float = 0.0) -> None:
        """patience: seconds that a call may wait for its turn.

        One that is refused waits as long: who asks as fast as it is answered takes no more time
        from the processor than the rate.
        """
        self._rate, self._burst, self._patience = rate, burst, patience
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By address: calls that are left, at a time; below zero: calls that wait."""
        self._lock = threading.Lock()

    def allows(self, address: str) -> bool:
        """Count a call, and wait for its turn; whether it is allowed."""
        now = time.monotonic()
        with self._lock:
            left, then = self._left.pop(address, (self._burst, now))
            left = min(left + (now - then) * self._rate, self._burst)
            allowed = left >= 1 - self._rate * self._patience
            self._left[address] = (left - allowed, now)
            if len(self._left) > ADDRESSES:
                self._left.popitem(last=False)
        wait = min((1 - left) / self._rate, self._patience) if left < 1 else 0.0
        if wait > 0:
            time.sleep(wait)
        return allowed
