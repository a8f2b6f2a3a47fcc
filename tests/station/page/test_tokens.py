"""The page for other machines: tokens, roles, TLS."""

import json
import re
import socket
import ssl
import subprocess

import pytest

from edgeseg.errors import ConfigError
from edgeseg.station.config import read_station
from edgeseg.station.outputs.base import OutputContext
from edgeseg.station.outputs.kinds import open_output
from tests.kit.errors import fails
from tests.kit.logs import logged
from tests.kit.pages import CAMERAS
from tests.kit.stations import write_station


def serving(folder, page):
    """Open the page of a station that serves other machines; TLS files lie in `folder`."""
    config = read_station(write_station(folder, cameras=CAMERAS, rest=page))
    config.folder.mkdir(exist_ok=True)
    (output,) = config.outputs
    return open_output(output, OutputContext.of(config, command=lambda message: None))


def request(port, text, context=None):
    """Send a request; return its status and the rest."""
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        line = context.wrap_socket(line) if context else line
        with line:
            line.sendall(text.encode())
            found = b""
            while block := line.recv(1 << 16):
                found += block
    return int(found.split()[1]), found.decode()


def post(path, document, port, *headers):
    body = json.dumps(document)
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 192.168.0.9:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join([*lines, "", body])


def get(path, port, *headers):
    lines = [f"GET {path} HTTP/1.1", f"Host: 192.168.0.9:{port}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""])


def test_other_machines_need_a_token_which_is_told_once(tmp_path):
    page = '[page]\naddress = "0.0.0.0:0"\n'
    with logged() as lines:
        output = serving(tmp_path, page)
    told = dict(re.findall(r"page, to (\w+): +http://\S+/#(\S+)", "\n".join(lines)))
    assert set(told) == {"operate", "look"}
    with logged() as lines:
        serving(tmp_path, page)
    assert not any(token in line for line in lines for token in told.values())
    with output:
        output.open()
        port = output.server.server_port
        assert request(port, get("/", port))[0] == 200
        for path in ("/api/state", "/still/top", "/live/top", "/api/events", "/evidence/1/frame"):
            assert request(port, get(path, port))[0] == 401
        assert (
            request(port, get("/api/state", port, f"Authorization: Bearer {told['look']}"))[0]
            == 200
        )
        assert request(port, post("/api/login", {"token": "wrong"}, port))[0] == 401
        status, answer = request(port, post("/api/login", {"token": told["look"]}, port))
        assert status == 200
        cookie = re.search("Set-Cookie: (.*)", answer)[1]
        assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
        session = f"Cookie: {cookie.partition(';')[0]}"
        found = request(port, get("/api/session", port, session))[1]
        csrf = json.loads(found.partition("\r\n\r\n")[2])
        assert csrf["role"] == "view"
        given = (session, f"X-Csrf-Token: {csrf['csrf']}")
        status, answer = request(port, post("/api/command", {"command": "stop"}, port, *given))
        assert status == 403 and "look" in answer
        assert request(port, post("/api/logout", {}, port, *given))[0] == 200
        bearer = f"Authorization: Bearer {told['operate']}"
        status, _ = request(port, post("/api/label", {"id": 1, "label": "good"}, port, bearer))
        assert status != 403
        codes = [request(port, post("/api/login", {"token": "x"}, port))[0] for _ in range(8)]
        assert codes[-1] == 429


def test_with_tls_connections_are_encrypted_and_a_silent_one_holds_nobody(tmp_path):
    made = subprocess.run(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
        "-keyout key.pem -out cert.pem -subj /CN=station".split(),
        cwd=tmp_path,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("openssl makes no certificate here")
    page = '[page]\naddress = "127.0.0.1:0"\ncertificate = "cert.pem"\nkey = "key.pem"\n'
    context = ssl.create_default_context(cafile=tmp_path / "cert.pem")
    context.check_hostname = False
    with serving(tmp_path, page) as output:
        output.open()
        port = output.server.server_port
        with socket.create_connection(("127.0.0.1", port)):  # never shakes hands
            text = get("/api/state", port).replace("192.168.0.9", "localhost")
            assert request(port, text, context)[0] == 200
    with fails(ConfigError, "station/page-tls"):
        serving(tmp_path, page.replace("key.pem", "none.pem"))
    with fails(ConfigError, "station/page-tls"):
        serving(tmp_path, '[page]\naddress = "127.0.0.1:0"\nkey = "key.pem"\n')
