"""The HTTP server of the page: a thread for each connection, of which there is a limited number."""

import socket
import socketserver
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from edgeseg.errors import ConfigError
from edgeseg.files import shown
from edgeseg.log import log
from edgeseg.station.page.access import Access, KnownHosts
from edgeseg.station.page.api import PageApi, RefusedRequest
from edgeseg.station.page.site_state import SiteState
from edgeseg.station.rates import RateLimit

CONNECTIONS, OF_ONE = 256, 100  # at once, and of one address
STREAMS = 120  # connections that get states or pictures until they end


class PageServer(ThreadingHTTPServer):
    """Serves until it is closed; what its requests need is here."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self,
        address: tuple[str, int],
        handler: Any,
        *,
        site: SiteState,
        access: Access,
        hosts: KnownHosts,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """OSError: the address is in use, or it is none of this machine."""
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        self.site, self.access, self.hosts, self.tls = site, access, hosts, tls
        self.api = PageApi(site)
        self.rate, self.logins = RateLimit(50, 100, patience=4), RateLimit(0.1, 6)
        self.pictures = RateLimit(1000, 2000)
        """Of live pictures, which wait for the next one: several viewers may share an address."""
        self._connected: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._streams = threading.BoundedSemaphore(STREAMS)
        super().__init__(address, handler)
        self._thread = threading.Thread(
            target=self.serve_forever, args=(0.1,), name="page", daemon=True
        )
        self._thread.start()

    def server_bind(self) -> None:
        """Bind without a question to a name server, which HTTPServer asks."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; the handshake of TLS is done in its own thread."""
        accepted, address = super().get_request()
        if self.tls is not None:
            accepted = self.tls.wrap_socket(
                accepted, server_side=True, do_handshake_on_connect=False
            )
        return accepted, address

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether there is room for another connection of this address."""
        address = client_address[0]
        with self._lock:
            if self._connected.total() >= CONNECTIONS or self._connected[address] >= OF_ONE:
                return False
            self._connected[address] += 1
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection, and count it."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._connected[client_address[0]] -= 1
                self._connected += Counter()  # forget addresses without connections

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that broke, and one line of any other error."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            log.error(f"page: {error!r}")

    @contextmanager
    def stream(self) -> Iterator[None]:
        """Take one of the places for connections that last."""
        if not self._streams.acquire(blocking=False):
            raise RefusedRequest(429, "too many viewers")
        try:
            yield
        finally:
            self._streams.release()

    def end(self) -> None:
        """Stop serving; connections end soon after."""
        self.shutdown()
        self._thread.join()
        self.server_close()


def tls_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Return what encrypts connections; ConfigError if the files cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(
            f"page: {shown(certificate)} and its key cannot be used: {error}",
            remedy="certificate and key: two PEM files that belong together",
            code="station/page-tls",
        ) from error
    return context
