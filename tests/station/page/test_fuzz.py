"""Requests that no browser sends: each is answered or cut off, and none breaks the page.

python -m tests.station.page.test_fuzz 10000    more of them than CI sends
"""

import random
import socket
import sys
import tempfile
from collections import Counter
from pathlib import Path

from edgeseg.station.rates import RateLimit
from tests.kit.logs import logged
from tests.kit.pages import Station

PATHS = (
    *("/", "/page.js", "/api/session", "/api/state", "/api/scores", "/api/parts", "/api/label"),
    *("/api/command", "/api/login", "/api/logout", "/still/top", "/evidence/57/frame", "/live/x"),
)
METHODS = (
    *("GET",) * 9,
    *("POST",) * 9,
    *("PUT", "HEAD", "OPTIONS", "DELETE", "get", "\x00", "A" * 99),
)
QUERIES = (
    *("camera=top&recipe=plates&last=5", "before=3", "after=1", "shown=all", "size=large", "a=b"),
    *("last=-1", "last=99999999999999999999", "before=1e9", "before=%00", "shown[]=1", "&&&=&=&"),
    *("camera='; drop table inspection; --", "camera=%ff%fe", "last=\u0663", "x" * 500),
)
BODIES = (
    *('{"id": 57, "label": "good"}', '{"command": "start"}', '{"token": "x"}', "{}", "[]", "null"),
    *('{"id": 1e400, "label": "good"}', '{"id": -1, "label": ""}', "[" * 3000, '"\ud800"', "{"),
    *('{"id": 9007199254740993, "label": "good"}', '{"command": {"a": []}}', "\x00", "NaN"),
    *('{"id": 57, "id": 58, "label": "good"}', '{"command": "recipe", "camera": "\\u0000"}'),
)
HEADERS = (
    *("Origin: null", "Cookie: edgeseg=view.1.2.3", "Cookie: =;;=", "Authorization: Bearer x"),
    *("Authorization: Bearer \xff", "Transfer-Encoding: chunked", "Expect: 100-continue"),
    *("Content-Length: -1", "Content-Length: 99999999999999999999", "Content-Length: 3"),
    *("Content-Type: text/html", "Host: evil.example", "X-Csrf-Token: \xe9", "A: " + "b" * 9000),
    *(": nothing", "Sec-Fetch-Site: cross-site", "Connection: keep-alive", "Upgrade: websocket"),
)


def request(random, port, csrf):
    """Return a request, a little or altogether wrong."""
    path = random.choice(PATHS)
    if random.random() < 0.3:
        path += "?" + random.choice(QUERIES)
    if random.random() < 0.15:
        place = random.randrange(len(path))
        path = (
            path[:place] + random.choice(("/..", "%2f", "//", "\x7f", "é", "#", "%")) + path[place:]
        )
    body = random.choice(BODIES).encode("utf-8", "surrogatepass") if random.random() < 0.5 else b""
    lines = [f"{random.choice(METHODS)} {path} HTTP/1.{random.choice('1' * 20 + '0x')}"]
    lines += [f"Host: 127.0.0.1:{port}"] * (random.random() < 0.95)
    lines += [f"X-Csrf-Token: {csrf}", "Content-Type: application/json"] * (random.random() < 0.7)
    lines += [f"Content-Length: {len(body)}"] * (random.random() < 0.8)
    lines += random.sample(HEADERS, random.choice((0, 0, 1, 2)))
    data = "\r\n".join([*lines, "Connection: close", "", ""]).encode("utf-8", "replace") + body
    if random.random() < 0.15:  # bytes of any kind
        cut = bytearray(data)
        for _ in range(random.randrange(1, 9)):
            cut[random.randrange(len(cut))] = random.randrange(256)
        data = bytes(cut)
    return data[: random.randrange(len(data))] if random.random() < 0.05 else data


def fuzz(station, count, seed):
    """Send requests; return how often each status came."""
    chance, found = random.Random(seed), Counter()
    server = station.output.server
    server.rate, server.logins = RateLimit(1e9, 1e9), RateLimit(1e9, 1e9)
    csrf = station.json("/api/session")["csrf"]
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", station.port), 10) as line:
            answer = b""
            try:
                line.sendall(request(chance, station.port, csrf))
                line.shutdown(socket.SHUT_WR)
                while block := line.recv(1 << 16):
                    answer += block
            except OSError:  # it was cut off with bytes unread
                pass
        first = answer.split(b"\r\n", 1)[0].split()
        plain = len(first) < 2 or not first[0].startswith(b"HTTP/1")
        found["no status" if plain else first[1].decode()] += 1
        assert b"Traceback" not in answer
    return found


def test_no_request_breaks_the_page(station, monkeypatch, capfd):
    monkeypatch.setattr("edgeseg.station.page.api.STILL_SECONDS", 0.01)
    monkeypatch.setattr("edgeseg.station.page.api.ANSWER_SECONDS", 0.2)
    with logged() as lines:
        found = fuzz(station, 600, seed=18)
    assert not [status for status in found if status.startswith("5") and status != "503"], found
    assert found["200"] > 15 and found["400"] > 15
    assert lines == [] and "Traceback" not in "".join(capfd.readouterr())
    assert station.json("/api/state")["alive"]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Station(Path(folder)) as opened:
        with logged() as said:
            print(sorted(fuzz(opened, int(sys.argv[1]), seed=1).items()), said)
