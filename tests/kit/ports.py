"""Ports for servers that a test starts, and may start again at the same port."""

import secrets
import socket

FIRST, END = 10_000, 32_768
"""Below the ports that Linux gives to connections, at one of which no server can begin."""


def free_port():
    """Return a port of this machine that nobody listens at."""
    while True:
        port = FIRST + secrets.randbelow(END - FIRST)
        with socket.socket() as found:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                found.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
