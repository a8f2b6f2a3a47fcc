"""The page over HTTP: what it answers, and whom it refuses."""

import json
import re
import socket
import time

import numpy as np
import pytest
import simplejpeg

from edgeseg.station.evidence.labels import read_labels
from edgeseg.station.page import handler
from edgeseg.station.page.server import STREAMS
from edgeseg.station.rates import RateLimit
from tests.kit.pages import Station, lost
from tests.kit.stations import inspection, until


def test_the_page_is_whole_and_asks_for_nothing_elsewhere(station):
    status, headers, body = station.ask("GET", "/")
    assert status == 200 and headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    wanted = set(re.findall(rb'(?:src|href)="(/[^"]*)"', body))
    for path in wanted:
        assert station.ask("GET", path.decode())[0] == 200
    for path in station.output.server.api._files:
        text = station.ask("GET", path)[2].decode().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text and '"//' not in text, path


def test_the_state_has_lamps_figures_and_alarms(station):
    found = station.json("/api/state")
    top, side = found["cameras"]
    assert (top["name"], top["lamp"]["ok"], top["lamp"]["part"]) == ("top", True, "P-061")
    assert (top["p99_ms"], top["verdicts"]["good"]) == (7.02, 12345)
    assert (side["lamp"]["ok"], side["lamp"]["code"]) == (False, 21)
    assert found["alarms"] == []
    lost(station)
    station.journal["trouble"] = "disk is full"

    def alarms():
        told = station.json("/api/state")["alarms"]
        return told if len(told) == 2 else None

    found = until(alarms)
    assert [each["what"] for each in found] == ["journal", "camera top"]
    assert "disk is full" in found[0]["problem"] and "the cable is out" in found[1]["problem"]


def test_a_silent_inspection_is_the_only_alarm(station):
    station.answering = False
    assert until(lambda: not station.json("/api/state")["alive"])
    found = station.json("/api/state")
    assert len(found["alarms"]) == 1
    assert [each["lamp"]["code"] for each in found["cameras"]] == [22, 22]
    status, answer = station.change("/api/command", {"command": "stop"})
    assert status == 503 and "does not answer" in answer["error"]


def test_commands_reach_the_inspection_and_its_answer_the_page(station):
    assert station.change("/api/command", {"command": "stop", "reason": "lamp"})[0] == 200
    assert station.commands[-1] == {"command": "stop", "reason": "lamp", "by": "page"}
    assert until(lambda: station.json("/api/state")["stopped"] == "lamp")
    codes = [each["lamp"]["code"] for each in station.json("/api/state")["cameras"]]
    assert codes == [20, 20]  # no lamp stays OK while the line is stopped
    assert station.change("/api/command", {"command": "start"})[0] == 200
    assert until(lambda: station.json("/api/state")["cameras"][0]["lamp"]["ok"])
    change = {"command": "recipe", "camera": "top", "recipe": "covers"}
    assert station.change("/api/command", change)[0] == 200
    assert until(lambda: station.json("/api/state")["cameras"][0]["recipe"] == "covers")
    status, answer = station.change("/api/command", change | {"recipe": "other"})
    assert (status, answer["error"]) == (409, "no such recipe")
    change = {"command": "trigger", "camera": "side", "part": "P-7"}
    assert station.change("/api/command", change) == (200, {"trigger": 7})


@pytest.mark.parametrize(
    "body",
    [
        {"command": "exec"},
        {"command": "stop", "by": "output mqtt"},
        {"command": "recipe", "recipe": 3},
        {"id": 1},
        [],
        None,
    ],
)
def test_no_other_command_is_sent(station, body):
    raw = json.dumps(body).encode()
    csrf = station.json("/api/session")["csrf"]
    assert station.ask("POST", "/api/command", raw=raw, headers={"X-Csrf-Token": csrf})[0] == 400
    assert station.commands == []


def test_scores_are_those_of_one_camera_and_recipe(station):
    found = station.json("/api/scores?camera=top&recipe=plates&last=10")
    assert found["scores"] == [0.6, 0.58, 0.57, 0.56, 0.55, 0.54, 0.53, 0.52, 0.51, 0.5]
    assert found["verdicts"] == "uaaaaaaaag"
    assert found["threshold"] == 0.5
    assert station.json("/api/scores?camera=side&recipe=plates")["scores"] == []
    assert station.json("/api/scores?camera=top&recipe=covers")["scores"] == []
    assert len(station.json("/api/scores?camera=top&recipe=plates")["scores"]) == 59


def test_parts_are_shown_newest_first_and_labeled(station):
    found = station.json("/api/parts")
    ids = [each["id"] for each in found["parts"]]
    assert ids == [60, 58, 57, 56, 55, 54, 53, 52, 51, 48, 36, 24, 12] and found["next"] == 0
    assert [each["id"] for each in station.json("/api/parts?shown=unknown")["parts"]][:2] == [
        60,
        59,
    ]
    assert station.json("/api/parts?shown=anomalous")["parts"][0]["id"] == 58
    assert station.json("/api/parts?before=53")["parts"][0]["id"] == 52
    assert station.json("/api/parts?camera=side")["parts"] == []
    status, answer = station.change("/api/label", {"id": 57, "label": "defect"})
    assert (status, answer) == (200, {"counts": {"defect": 1}})
    assert 57 not in [each["id"] for each in station.json("/api/parts")["parts"]]
    (labeled,) = station.json("/api/parts?shown=labeled")["parts"]
    assert (labeled["id"], labeled["label"]) == (57, "defect")
    assert read_labels(station.folder) == {"bench/b1/57": "defect"}
    scores = station.json("/api/scores?camera=top&recipe=plates&last=5")
    assert scores["labels"] == {"2": "defect"}
    assert station.change("/api/label", {"id": 57, "label": ""})[1] == {"counts": {}}
    assert station.change("/api/label", {"id": 999, "label": "good"})[0] == 404
    assert station.change("/api/label", {"id": 57, "label": "nice"})[0] == 400


def test_older_parts_follow(tmp_path):
    with Station(tmp_path, parts=400) as station:
        seen, before = [], 0
        while True:
            found = station.json(f"/api/parts?before={before}&shown=all")
            seen += [each["id"] for each in found["parts"]]
            before = found["next"]
            if not before:
                break
    assert seen == [n for n in range(400, 0, -1) if n > 50 or n % 12 == 0]


def test_evidence_is_a_picture_of_the_part(station):
    status, headers, body = station.ask("GET", "/evidence/57/overlay")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert simplejpeg.decode_jpeg(body).shape[:2] == (180, 240)
    for path in ("56/frame", "57/map", "57/..", "57/frame.png", "57/", "x/frame", "57/frame/a"):
        assert station.ask("GET", f"/evidence/{path}")[0] in (400, 404), path
    assert station.ask("GET", "/evidence/57/frame?size=large")[0] == 200
    (station.folder / "evidence/2026-11-26/55/mask.png").write_bytes(b"no picture")
    assert station.ask("GET", "/evidence/55/overlay")[0] == 404


def test_evidence_outside_of_the_folder_is_not_shown(station, tmp_path):
    from edgeseg.station.page.evidence_pictures import kept_folder

    (tmp_path / "record.json").write_text("{}")
    for place in ("..", str(tmp_path), "evidence/../..", "\0", "x" * 5000):
        assert kept_folder(station.folder, inspection(1, evidence=place)) is None
    link = station.folder / "evidence" / "link"
    link.symlink_to(tmp_path)
    assert kept_folder(station.folder, inspection(1, evidence="evidence/link")) is None


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/page.css/../../access.py",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/site/index.html",
        "//etc/passwd",
        "/index.html",
        "/access.py",
        "/still/..%2ftop",
        "/page.css%00",
    ],
)
def test_no_path_leads_elsewhere(station, path):
    assert station.ask("GET", path)[0] == 404


def test_live_pictures_one_by_one_and_as_a_stream(station):
    status, headers, body = station.ask("GET", "/still/top")
    assert status == 200 and simplejpeg.decode_jpeg(body).shape == (180, 240, 3)
    number = int(headers["X-Number"])
    _, headers, _ = station.ask("GET", f"/still/top?after={number}")
    assert int(headers["X-Number"]) > number
    assert station.ask("GET", "/still/other")[0] == station.ask("GET", "/live/other")[0] == 404
    with socket.create_connection(("127.0.0.1", station.port), 10) as line:
        line.sendall(f"GET /live/top HTTP/1.1\r\nHost: 127.0.0.1:{station.port}\r\n\r\n".encode())
        found = b""
        while found.count(b"--edgeseg-picture") < 3:
            found += line.recv(1 << 16)
    first = found.split(b"--edgeseg-picture")[1].partition(b"\r\n\r\n")[2]
    assert simplejpeg.decode_jpeg(first.rstrip(b"\r\n")).shape == (180, 240, 3)


def test_without_a_viewer_nobody_asks_for_pictures(station):
    assert station.ask("GET", "/still/top")[0] == 200
    assert station.memory.wanted(time.monotonic_ns())
    assert until(lambda: not station.memory.wanted(time.monotonic_ns()))


def test_a_camera_without_pictures_answers_in_time(station, monkeypatch):
    monkeypatch.setattr("edgeseg.station.page.api.STILL_SECONDS", 0.05)
    assert station.ask("GET", "/still/side")[::2] == (204, b"")


def streams(station):
    """Return how many connections last, of those that are allowed."""
    return STREAMS - station.output.server._streams._value


def test_a_viewer_that_never_reads_holds_nobody_up_and_is_cut_off(station, monkeypatch):
    monkeypatch.setattr(handler.PageHandler, "timeout", 0.5)
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.connect(("127.0.0.1", station.port))
        line.sendall(f"GET /live/top HTTP/1.1\r\nHost: 127.0.0.1:{station.port}\r\n\r\n".encode())
        assert until(lambda: streams(station) == 1)
        noise = np.random.default_rng(1).integers(0, 255, (700, 700, 3), np.uint8)
        station.picture = noise  # fills the buffers of the connection soon
        number = 0
        for _ in range(5):
            status, headers, _ = station.ask("GET", f"/still/top?after={number}")
            assert status == 200
            number = int(headers["X-Number"])
        assert until(lambda: streams(station) == 0)


def test_a_viewer_of_a_camera_without_pictures_who_leaves_is_forgotten(station, monkeypatch):
    monkeypatch.setattr(handler, "STILL_SECONDS", 0.05)
    with socket.create_connection(("127.0.0.1", station.port), 10) as line:
        line.sendall(f"GET /live/side HTTP/1.1\r\nHost: 127.0.0.1:{station.port}\r\n\r\n".encode())
        assert line.recv(1 << 16).startswith(b"HTTP/1.1 200")
        assert streams(station) == 1
    assert until(lambda: streams(station) == 0)


def test_states_come_as_events(station):
    with socket.create_connection(("127.0.0.1", station.port), 10) as line:
        line.sendall(f"GET /api/events HTTP/1.1\r\nHost: localhost:{station.port}\r\n\r\n".encode())
        found = b""
        while found.count(b"data: ") < 2:
            found += line.recv(1 << 16)
    first = json.loads(found.split(b"data: ")[1].partition(b"\n\n")[0])
    assert first["station"] == "test"


def test_a_damaged_journal_is_named_and_the_page_goes_on(station):
    (station.folder / "journal.sqlite3").write_bytes(b"no database" * 1000)
    status, _, body = station.ask("GET", "/api/parts")
    assert status == 503 and b"journal" in body
    assert station.json("/api/state")["alive"]


def test_another_page_can_change_nothing(station):
    body = {"command": "stop"}
    csrf = station.json("/api/session")["csrf"]
    good = {"X-Csrf-Token": csrf}
    for headers in (
        {},
        {"X-Csrf-Token": "x"},
        good | {"Origin": "http://evil.example"},
        good | {"Sec-Fetch-Site": "cross-site"},
    ):
        assert station.ask("POST", "/api/command", body, headers)[0] == 403
    assert station.ask("GET", "/api/session", headers={"Sec-Fetch-Site": "cross-site"})[0] == 403
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        found = station.ask("POST", "/api/command", body, good | {"Content-Type": kind})
        assert found[0] == 415
    for host in ("evil.example", f"evil.example:{station.port}", "192.168.7.7"):
        assert station.ask("GET", "/api/state", headers={"Host": host})[0] == 421
    assert station.commands == []


def test_requests_are_bounded(station, monkeypatch):
    csrf = {"X-Csrf-Token": station.json("/api/session")["csrf"]}
    assert station.ask("POST", "/api/label", raw=b" " * 5000, headers=csrf)[0] == 413
    assert station.ask("GET", "/" + "a" * 2000)[0] == 404
    assert station.ask("GET", "/" + "a" * 70000)[0] == 414
    assert station.ask("DELETE", "/api/label")[0] == 405
    station.output.server.rate = RateLimit(0.01, 5)
    assert [station.ask("GET", "/api/session")[0] for _ in range(7)] == [200] * 5 + [429] * 2


def test_a_connection_that_sends_nothing_ends(station, monkeypatch):
    monkeypatch.setattr(handler.PageHandler, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", station.port), 10) as line:
        line.sendall(b"GET / HT")
        assert line.recv(10) == b""


def test_one_address_has_a_limited_number_of_connections(station, monkeypatch):
    monkeypatch.setattr("edgeseg.station.page.server.OF_ONE", 5)
    lines = [socket.create_connection(("127.0.0.1", station.port), 10) for _ in range(8)]
    try:
        assert lines[-1].recv(10) == b""
    finally:
        for line in lines:
            line.close()
    assert until(lambda: not station.output.server._connected)
    assert station.ask("GET", "/")[0] == 200
