"""SIGINT (Ctrl-C), SIGTERM and SIGHUP (a closed terminal) stop a loop at its next safe point."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

Handler = Callable[[int, FrameType | None], None]


class Stop:
    """Whether a stop was requested; a second Ctrl-C interrupts at once."""

    def __init__(self) -> None:
        self.requested = False

    def ask(self, signum: int, frame: FrameType | None) -> None:
        if self.requested and signum == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def stop_at_once() -> Iterator[None]:
    """Make SIGINT, SIGTERM and SIGHUP a KeyboardInterrupt; only in the main thread."""
    with _handling(signal.default_int_handler):
        yield


@contextmanager
def stop_requests() -> Iterator[Stop]:
    """Catch SIGINT, SIGTERM and SIGHUP inside the block; only in the main thread."""
    stop = Stop()
    with _handling(stop.ask):
        yield stop


def _hangup() -> tuple[signal.Signals, ...]:
    """Return SIGHUP, unless it is ignored (nohup) or unknown (Windows)."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)
    ignored = hangup is not None and signal.getsignal(hangup) is signal.SIG_IGN
    return () if hangup is None or ignored else (hangup,)


@contextmanager
def _handling(handler: Handler) -> Iterator[None]:
    signals = (signal.SIGINT, signal.SIGTERM, *_hangup())
    in_main_thread = threading.current_thread() is threading.main_thread()
    before = {each: signal.signal(each, handler) for each in signals if in_main_thread}
    try:
        yield
    finally:
        for each, earlier in before.items():
            signal.signal(each, earlier)
