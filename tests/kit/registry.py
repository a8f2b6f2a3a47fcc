"""A real OCI registry on a loopback port, and one whose behavior a test chooses."""

import shutil
import socket
import subprocess
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edgeseg.fleet.access import RegistryAccess
from edgeseg.fleet.registry import Registry
from edgeseg.station.following.reference import parse_reference
from tests.kit.ports import free_port
from tests.kit.stations import until

PROGRAM = shutil.which("docker-registry")
USER, PASSWORD = "line", "s3cret"
HTPASSWD = "line:$2y$04$odDRdcIefFvXbGUbDcpJBuSAlo88IjukgkeLd.qKyAZQ6EPD5qt1y\n"
CONFIG = """
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: FOLDER/data}}
http: {addr: "127.0.0.1:PORT", relativeurls: false}
"""


class DockerRegistry:
    """Debian's registry; tls: the folder of its certificates; password: whether it asks for one."""

    def __init__(self, folder, *, tls=None, password=False):
        if PROGRAM is None:
            pytest.skip("no registry: apt-get install docker-registry")
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.folder, self.host = folder, f"127.0.0.1:{self.port}"
        text = CONFIG.replace("FOLDER", str(folder)).replace("PORT", str(self.port))
        if tls is not None:
            names = [str(tls / f"127.0.0.1.{end}") for end in ("pem", "key")]
            certificate = "{{certificate: {}, key: {}}}".format(*names)
            text = text.replace("relativeurls", f"tls: {certificate}, relativeurls")
        if password:
            (folder / "htpasswd").write_text(HTPASSWD)
            text += f"auth: {{htpasswd: {{realm: line, path: {folder}/htpasswd}}}}\n"
        self._file = folder / "config.yml"
        self._file.write_text(text)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *raised):
        self.stop()

    def start(self):
        with (self.folder / "log").open("ab") as log:
            command = [PROGRAM, "serve", str(self._file)]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        assert until(self._answers), (self.folder / "log").read_text()

    def stop(self):
        self._process.kill()
        self._process.wait()

    def blob(self, digest):
        """The file of a blob."""
        digits = digest.removeprefix("sha256:")
        place = f"data/docker/registry/v2/blobs/sha256/{digits[:2]}/{digits}/data"
        return self.folder / place

    def flip(self, digest):
        """Flip a bit of a blob, in the middle."""
        path = self.blob(digest)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def _answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


def client(host, name="line/bottle:stable", *, push=True, **access):
    """A client that does not ask again, but waits for a machine that has other work."""
    access = {"timeout_s": 120.0, "patience_s": 0.0} | access
    return Registry(parse_reference(f"{host}/{name}"), RegistryAccess(**access), push=push)


class Peer:
    """A server that answers by a function of the handler; `asked`: method, path, password."""

    def __init__(self, answer=None):
        self.asked, self.answer, self.challenges = [], answer, False
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads, self._server.block_on_close = True, False
        self._server.handle_error = lambda *_: None
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *raised):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(peer):
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self):
                with suppress(OSError):
                    super().handle_one_request()

            def any(self):
                length = int(self.headers.get("Content-Length") or 0)
                self.body = self.rfile.read(length)
                password = self.headers.get("Authorization")
                peer.asked.append((self.command, self.path, password))
                if self.path == "/v2/" and not peer.challenges:
                    return self.send(200)
                return peer.answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = any

            def send(self, status, body=b"", size=None, **headers):
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if size is None else size))
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *words):
                pass

        return Handler
