"""A page with all that it shows: journal, evidence, pictures, and an inspector that answers."""

import http.client
import json
import threading
from contextlib import ExitStack
from dataclasses import replace

import numpy as np

from edgeseg.station.config import read_station
from edgeseg.station.evidence.kept import KeptRecord, digests, encoded, write_kept
from edgeseg.station.gateway import Gateway
from edgeseg.station.inspection import Code
from edgeseg.station.journal import FILE, Journal
from edgeseg.station.link import Link, pair
from edgeseg.station.page.picture_memory import PictureMemory
from tests.kit.stations import inspection, until, write_station

CAMERAS = {
    "top": {"source": "test://64x48@5"},
    "side": {"source": "test://64x48@5", "mode": "triggered"},
}
RECIPES = ("plates", "covers")
PAGE = '[page]\naddress = "127.0.0.1:0"\n'
PARTS = 60


def scratched(shade=0, side=(180, 240)):
    """A picture of a part with a scratch."""
    rows, columns = np.mgrid[: side[0], : side[1]]
    image = np.full((*side, 3), 60 + shade % 90, np.uint8)
    round_part = (rows - side[0] / 2) ** 2 + (columns - side[1] / 2) ** 2 < (side[0] * 0.4) ** 2
    image[round_part] = 150 + shade % 90
    image[side[0] // 3 : side[0] // 3 + 4, side[1] // 4 : side[1] // 2] = (0, 120, 240)
    return image


def journal_of(path, parts=PARTS):
    """Write inspections whose scores are 0.01, 0.02, ...: beyond 0.5 they are anomalous."""
    with Journal(path / FILE) as journal:
        for number in range(1, parts + 1):
            score = number / 100
            code = Code.ANOMALOUS if score > 0.5 else Code.OK
            changes = {"code": code, "score": score, "threshold": 0.5, "part": f"P-{number:03}"}
            if number % 12 == 0:
                changes |= {"code": Code.UNKNOWN, "reason": "too dark"}
            if number == 59:
                changes |= {"code": Code.DROPPED, "reason": "dropped", "score": None}
            elif number % 2 and changes["code"]:
                changes["evidence"] = f"evidence/2026-11-26/{number}"
                keep(path / changes["evidence"], inspection(number, **changes), scratched(number))
            journal.append(inspection(number, decided=1.7957e9 + number, **changes))


def keep(place, found, image):
    """Write a kept frame, whose scratch is anomalous."""
    height, width = image.shape[:2]
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : height // 3 + 4, width // 4 : width // 2] = 255
    heat = np.zeros((height // 4, width // 4), np.float32)
    heat[height // 12 : height // 12 + 2, width // 16 : width // 8] = found.score
    files = encoded(image, "bgr", mask, heat)
    record = KeptRecord(
        inspection=found,
        verdict=found.verdict,
        threshold=0.5,
        recipe={},
        model="plates",
        weights_sha256="00",
        card_sha256="00",
        frame_format="bgr",
        frame_shape=(height, width, 3),
        map_shape=heat.shape,
        picture=(height, width),
        shown=(0, 0, height, width),
        content=(0, 0, *heat.shape),
        files=digests(files),
    )
    write_kept(place, files, record)


class Station:
    """A gateway with a page, and the other end of its link."""

    def __init__(self, folder, page=PAGE, parts=PARTS):
        self.config = read_station(
            write_station(folder, cameras=CAMERAS, recipes=RECIPES, rest=page)
        )
        self.folder = self.config.folder
        journal_of(self.folder, parts)
        self.commands, self.stopped, self.answering = [], "", True
        self.recipes = {name: "plates" for name in CAMERAS}
        self.changes = {}
        """Of the status of a camera: (name, field) -> value."""
        self.picture = None
        """Of camera top; None: a part with a scratch."""
        self.journal = {"trouble": "", "lost": 0, "written": parts}
        self._answers, self._ended, self._shade = [], False, 0

    def __enter__(self):
        with ExitStack() as stack:
            ours, theirs = pair()
            self._link = stack.enter_context(Link(ours))
            link = stack.enter_context(Link(theirs))
            gateway = stack.enter_context(Gateway(self.config, link))
            self.memory = stack.enter_context(PictureMemory(self.folder, "top"))
            stack.callback(self.memory.remove)
            (self.worker,) = gateway._workers
            for work in (lambda: gateway.step(0.02), self._inspect):
                thread = threading.Thread(target=self._repeat, args=(work,), daemon=True)
                thread.start()
                stack.callback(thread.join)
            stack.callback(setattr, self, "_ended", True)
            self._stack = stack.pop_all()
        self.tell(inspection(PARTS + 1, id=PARTS + 1, score=0.31, threshold=0.5, part="P-061"))
        assert until(lambda: self.output.server is not None)
        self.port = self.output.server.server_port
        self.url = f"http://127.0.0.1:{self.port}/"
        assert until(lambda: self.output.site._state.status)
        return self

    def __exit__(self, *raised):
        self._stack.close()

    @property
    def output(self):
        return self.worker._output

    def tell(self, found):
        """Tell the gateway of a verdict."""
        self._link.send({"inspection": found.document()})

    def ask(self, method, path, body=None, headers=(), raw=None):
        """Return status, headers and body of a request."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            data = raw if body is None else json.dumps(body).encode()
            given = {"Content-Type": "application/json"} if data is not None else {}
            line.request(method, path, data, {**given, **dict(headers)})
            reply = line.getresponse()
            return reply.status, reply.headers, reply.read()
        finally:
            line.close()

    def json(self, path):
        """Return the document of a path."""
        status, _, body = self.ask("GET", path)
        assert status == 200, body
        return json.loads(body)

    def change(self, path, body, **headers):
        """Make a change as the page does; return status and document."""
        csrf = self.json("/api/session")["csrf"]
        given = {"X-Csrf-Token": csrf} | {k.replace("_", "-"): v for k, v in headers.items()}
        status, _, found = self.ask("POST", path, body, given)
        return status, json.loads(found)

    def _repeat(self, work):
        while not self._ended:
            work()

    def _inspect(self):
        """Answer as the inspector does."""
        message = self._link.receive(0.05)
        while message is not None:
            if "command" in message and self.answering:
                self._command(message)
            message = self._link.receive(0)
        if self._shade % 3 == 0:
            shown = scratched(self._shade % 60) if self.picture is None else self.picture
            self.memory.write(shown)
        self._shade += 1
        if self.answering:
            self._link.send({"status": self._status()})

    def _command(self, message):
        self.commands.append({k: v for k, v in message.items() if k != "id"})
        answer = {"id": message["id"], "error": ""}
        if message["command"] == "stop":
            self.stopped = message.get("reason", "stopped by page")
        elif message["command"] == "start":
            self.stopped = ""
        elif message["command"] == "recipe" and message.get("recipe") in RECIPES:
            self.recipes[message.get("camera", "top")] = message["recipe"]
        elif message["command"] == "recipe":
            answer["error"] = "no such recipe"
        else:
            answer["trigger"] = 7
        self._answers = [*self._answers[-19:], answer]

    def _status(self):
        cameras = {}
        for name, camera in CAMERAS.items():
            known = {
                "state": "running",
                "mode": camera.get("mode", "live"),
                "trigger": "software",
                "problem": "",
                "recipe": self.recipes[name],
                "verdicts": {"good": 12345, "anomalous": 67, "unknown": 8},
                "codes": {"0": 12345, "1": 67, "10": 5, "11": 3},
                "driver_drops": 0,
                "p50_ms": 4.51,
                "p99_ms": 7.02,
            }
            changed = {field: v for (camera, field), v in self.changes.items() if camera == name}
            cameras[name] = known | changed
        return {
            "boot": "b1",
            "stopped": self.stopped,
            "journal": self.journal,
            "answers": self._answers,
            "cameras": cameras,
        }


def lost(station, name="top"):
    """Lose a camera."""
    station.changes |= {(name, "state"): "lost", (name, "problem"): "the cable is out"}
    found = inspection(PARTS + 2, id=PARTS + 2, code=Code.CAMERA_LOST, reason="camera lost")
    station.tell(replace(found, camera=name))
