"""Ends what waits for a peer when its time is over; the timeout of a socket begins at each byte."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException


@contextmanager
def deadline(connected: socket.socket, seconds: float, peer: str) -> Iterator[None]:
    """Shut a socket down after `seconds`; TimeoutError then, which names the peer."""
    late = threading.Event()

    def end() -> None:
        late.set()
        with suppress(OSError):
            socket.socket.shutdown(connected, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, HTTPException, ValueError):
        if not late.is_set():
            raise
    finally:
        timer.cancel()
    if late.is_set():
        raise TimeoutError(f"{peer}: no answer in {seconds:g} s")


def secured(
    plain: socket.socket, tls: ssl.SSLContext, host: str, seconds: float, peer: str
) -> ssl.SSLSocket:
    """Return a connection with TLS, whose handshake had `seconds`; host: of the certificate."""
    connected = tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    try:
        with deadline(connected, seconds, peer):
            connected.do_handshake()
    except BaseException:
        connected.close()
        raise
    return connected
