"""A whole station with its page: what a person does there reaches the line and the journal."""

import http.client
import json
import sys
from pathlib import Path

import pytest
import simplejpeg

from edgeseg.station.journal import FILE, JournalReader
from tests.kit.ports import free_port
from tests.kit.stations import until, write_station
from tests.station.test_supervisor import OUTPUT, child, lines, running

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a station needs Linux")


def ask(port, path, body=None, csrf=""):
    """Return status and body; status 0: nobody listens."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"Content-Type": "application/json", "X-Csrf-Token": csrf} if body else {}
        line.request("POST" if body else "GET", path, body and json.dumps(body), headers)
        reply = line.getresponse()
        return reply.status, reply.read()
    except OSError:
        return 0, b""
    finally:
        line.close()


def test_a_picture_a_recipe_and_a_stop_by_the_page(tmp_path):
    port = free_port()
    rest = f'{OUTPUT}[page]\naddress = "127.0.0.1:{port}"\nfps = 20\n'
    cameras = {"top": {"source": "test://64x48@20"}}
    file = write_station(tmp_path, cameras=cameras, recipes=("plates", "covers"), rest=rest)
    with running(file) as process:
        assert until(lambda: ask(port, "/still/top")[0] == 200)
        picture = simplejpeg.decode_jpeg(ask(port, "/still/top")[1])
        assert picture.shape == (240, 240, 3)  # frames of 16 x 16, enlarged
        csrf = json.loads(ask(port, "/api/session")[1])["csrf"]
        change = {"command": "recipe", "camera": "top", "recipe": "covers"}
        assert ask(port, "/api/command", change, csrf)[0] == 200
        assert until(lambda: lines(file)[-1]["recipe"] == "covers")
        stop = {"command": "stop", "reason": "lamp"}
        assert ask(port, "/api/command", stop, csrf)[0] == 200
        assert until(lambda: lines(file)[-1]["code"] == 20)
        assert "lamp" in lines(file)[-1]["reason"]
        assert ask(port, "/api/command", {"command": "start"}, csrf)[0] == 200
        assert until(lambda: lines(file)[-1]["code"] != 20)
        shared = next(iter(pictures_of(child(process, "inspector"))))
    assert not shared.exists()
    with JournalReader(tmp_path / "station" / FILE) as reader:
        assert reader.last >= lines(file)[-1]["id"]


def pictures_of(process):
    """Return the files of live pictures that a process has."""
    maps = Path(f"/proc/{process}/maps").read_text().splitlines()
    return {Path(line.split()[-1]) for line in maps if line.endswith("-top") and "edgeseg" in line}
