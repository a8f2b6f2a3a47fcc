"""A real HTTP server on a loopback port whose behavior a test chooses for each request."""

import socket
import ssl
import threading
from collections import namedtuple
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Request = namedtuple("Request", "path headers connection")


class HttpPeer:
    """`answers`: what it does with the requests to come, the last one for ever.

    A status, a status and headers, or a function of the handler and the body.
    """

    def __init__(self, tls=None, port=0):
        self.answers, self.requests, self.connections = [200], [], 0
        self._open = []
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler(), False)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._server.allow_reuse_address = True
        self._server.server_bind()
        self._server.server_activate()
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(tls / "127.0.0.1.pem", tls / "127.0.0.1.key")
            context.load_verify_locations(tls / "ca.pem")
            context.verify_mode = ssl.CERT_OPTIONAL
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._server.handle_error = lambda *_: None
        self.port = self._server.server_address[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}/edgeseg?line=3"

    @property
    def lines(self):
        """The lines of all bodies, in order."""
        return [line for _, body in self.requests for line in body.decode().splitlines()]

    @contextmanager
    def serving(self):
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            thread.join()

    def _handler(peer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                peer.connections += 1
                peer._open.append(self.connection)

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                peer.requests.append((Request(self.path, self.headers, self.connection), body))
                answer = peer.answers.pop(0) if len(peer.answers) > 1 else peer.answers[0]
                if callable(answer):
                    answer(self, body)
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                size = {} if status == 204 else {"Content-Length": "2"}
                for name, value in (size | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(b"ok" if size else b"")

            def log_message(self, *words):
                pass

        return Handler
