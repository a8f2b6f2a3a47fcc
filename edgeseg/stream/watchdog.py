"""Tell systemd that a stream is ready and that its frames are judged (sd_notify).

A unit of `Type=notify` with `WatchdogSec=60` restarts a stream that judged no frame for a
minute: see deploy/edgeseg.service. Without NOTIFY_SOCKET nothing is sent.
"""

import os
import socket
import time

from edgeseg.log import log


class Watchdog:
    """READY=1 at the begin, WATCHDOG=1 while there is progress, STOPPING=1 at the end."""

    def __init__(self, *, tells_end: bool = True) -> None:
        """tells_end: send STOPPING=1 at the end; not of a process that is started again."""
        self._tells_end = tells_end
        address = os.environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        watched = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        limit = os.environ.get("WATCHDOG_USEC", "0") if watched else "0"
        self._period = int(limit) / 2e6 if limit.isdecimal() else 0.0
        """Seconds between two messages: half of the limit, as systemd recommends."""
        self._judged, self._sent = 0, 0.0

    def progress(self, judged: int) -> None:
        """Tell systemd, once in a period, if a frame was judged since the last call."""
        if not self._period or judged == self._judged:
            return
        now = time.monotonic()
        if now - self._sent >= self._period:
            self._judged, self._sent = judged, now
            self._send("WATCHDOG=1")

    def __enter__(self) -> "Watchdog":
        self._send("READY=1")
        return self

    def __exit__(self, *raised: object) -> None:
        if self._tells_end:
            self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address or not hasattr(socket, "AF_UNIX"):
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
                service.sendto(message.encode(), self._address)
        except OSError as error:
            log.warning(f"systemd is not told {message} at {self._address}: {error.strerror}")
            self._address = ""
