"""What the page's addresses answer; handler.py has checked before who asks.

GET  /api/session                       role, and what a change must bring
POST /api/login     {token}             a cookie
GET  /api/state     /api/events         the state, once or as server-sent events
GET  /api/scores?camera=&recipe=&last=  for the histogram
GET  /api/parts?shown=&camera=&before=  for the gallery
POST /api/label     {id, label}
POST /api/command   {command, ...}      recipe, start, stop, trigger; see inspector.py
GET  /still/CAMERA?after=N              the next picture; /live/CAMERA: all, as MJPEG
GET  /evidence/ID/NAME?size=            a picture of a part
"""

import json
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import parse_qsl

from edgeseg.errors import EdgesegError
from edgeseg.schema import Invalid, bounded, build, parse
from edgeseg.station.page import parts
from edgeseg.station.page.access import Visitor
from edgeseg.station.page.evidence_pictures import NAMES, SIDE, THUMB, kept_folder, picture
from edgeseg.station.page.site_state import SiteState

STILL_SECONDS = 2.0  # that a viewer waits for the next picture
ANSWER_SECONDS = 2.0  # for a command
TEXT = 200  # characters of a part's number
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
STATIC = {
    f"/{name}": name
    for name in (
        *("page.css", "icon.svg"),
        *("page.js", "client.js", "cameras.js", "threshold.js", "review.js"),
    )
} | {"/": "index.html"}


class RefusedRequest(Exception):
    """An answer that is no success, with its reason for people."""

    def __init__(self, status: int, problem: str) -> None:
        super().__init__(problem)
        self.status = status


@dataclass(frozen=True)
class PageRequest:
    """A request whose sender is known."""

    path: str
    query: str
    body: bytes
    visitor: Visitor

    def fields(self, kind: type[Any]) -> Any:
        """Return the query as a dataclass; RefusedRequest for anything else."""
        try:
            given = parse_qsl(self.query, keep_blank_values=True, max_num_fields=8)
            return build(kind, dict(given))
        except ValueError as error:
            raise RefusedRequest(400, str(error)) from error

    def document(self, kind: type[Any]) -> Any:
        """Return the body as a dataclass; RefusedRequest for anything else."""
        try:
            return build(kind, parse(self.body), "body")
        except (Invalid, ValueError) as error:
            raise RefusedRequest(400, str(error)) from error


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    body: bytes
    kind: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Any, status: int = 200, cookie: str = "") -> "Reply":
        """Return a document as JSON."""
        headers = {"Set-Cookie": cookie} if cookie else {}
        body = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        return cls(body, status=status, headers=headers)


@dataclass(frozen=True)
class ScoresQuery:
    """Of /api/scores."""

    camera: str
    recipe: str
    last: str = "500"


@dataclass(frozen=True)
class PartsQuery:
    """Of /api/parts."""

    shown: parts.Shown = "review"
    camera: str = ""
    before: str = "0"


@dataclass(frozen=True)
class StillQuery:
    """Of /still."""

    after: str = "0"


@dataclass(frozen=True)
class EvidenceQuery:
    """Of /evidence."""

    size: Literal["small", "large"] = "small"


@dataclass(frozen=True, kw_only=True)
class LabelBody:
    """Of /api/label; label empty: nobody has said it."""

    id: int = bounded(1, 1 << 53)
    label: Literal["good", "defect", "unclear", ""]


@dataclass(frozen=True, kw_only=True)
class CommandBody:
    """Of /api/command."""

    command: Literal["recipe", "start", "stop", "trigger"]
    camera: str = ""
    recipe: str = ""
    part: str = ""
    reason: str = ""


class PageApi:
    """The answers; called by many threads."""

    def __init__(self, site: SiteState) -> None:
        self._site = site
        self._files = {
            path: files("edgeseg.station.page").joinpath("static", name).read_bytes()
            for path, name in STATIC.items()
        }
        self.views: Mapping[str, Callable[[PageRequest], Reply]] = {
            "/api/state": self._state,
            "/api/scores": self._scores,
            "/api/parts": self._parts,
        }
        self.changes: Mapping[str, Callable[[PageRequest], Reply]] = {
            "/api/label": self._label,
            "/api/command": self._command,
        }

    def static(self, path: str) -> Reply | None:
        """Return a file of the page, which has nothing of the station."""
        data = self._files.get(path)
        if data is None:
            return None
        return Reply(data, TYPES[STATIC[path].rpartition(".")[2]])

    def view(self, asked: PageRequest) -> Reply:
        """Answer a question."""
        known = self.views.get(asked.path)
        if known is not None:
            return known(asked)
        head, _, rest = asked.path[1:].partition("/")
        if head == "still":
            return self._still(asked, rest)
        if head == "evidence":
            return self._evidence(asked, rest)
        raise RefusedRequest(404, "not found")

    def change(self, asked: PageRequest) -> Reply:
        """Do what somebody asks for."""
        known = self.changes.get(asked.path)
        if known is None:
            raise RefusedRequest(404, "not found")
        return known(asked)

    def _state(self, asked: PageRequest) -> Reply:
        return Reply(self._site.document())

    def _scores(self, asked: PageRequest) -> Reply:
        query = asked.fields(ScoresQuery)
        last = min(max(_number(query.last), 1), parts.MOST)
        site = self._site
        found = parts.scores(site.folder, site.labels, query.camera, query.recipe, last)
        return Reply.of(found)

    def _parts(self, asked: PageRequest) -> Reply:
        query, site = asked.fields(PartsQuery), self._site
        before = _number(query.before)
        return Reply.of(parts.parts(site.folder, site.labels, query.shown, query.camera, before))

    def _label(self, asked: PageRequest) -> Reply:
        body = asked.document(LabelBody)
        found = parts.one(self._site.folder, body.id)
        if found is None:
            raise RefusedRequest(404, "the record is not there any more")
        self._site.labels.set(found, body.label or None)
        return Reply.of({"counts": self._site.labels.counts()})

    def _command(self, asked: PageRequest) -> Reply:
        body = asked.document(CommandBody)
        message = {key: value[:TEXT] for key, value in vars(body).items() if value}
        message |= {"by": "page", "id": f"page-{secrets.token_hex(8)}"}
        answer = self._site.ask(message, ANSWER_SECONDS)
        if answer is None:
            raise RefusedRequest(503, "the inspection does not answer")
        if answer.get("error"):
            raise RefusedRequest(409, str(answer["error"]))
        return Reply.of({"trigger": answer.get("trigger")})

    def _still(self, asked: PageRequest, camera: str) -> Reply:
        query = asked.fields(StillQuery)
        try:
            found = self._site.live.after(camera, _number(query.after), STILL_SECONDS)
        except KeyError as error:
            raise RefusedRequest(404, "no such camera") from error
        if found is None:
            return Reply(b"", status=204)
        return Reply(found.data, "image/jpeg", headers={"X-Number": str(found.number)})

    def _evidence(self, asked: PageRequest, rest: str) -> Reply:
        place, _, name = rest.partition("/")
        longest = THUMB if asked.fields(EvidenceQuery).size == "small" else SIDE
        record = parts.one(self._site.folder, _number(place))
        kept = kept_folder(self._site.folder, record) if record else None
        if kept is None or name not in NAMES:
            raise RefusedRequest(404, "no such picture")
        try:
            data = picture(kept, name, longest)
        except EdgesegError as error:
            raise RefusedRequest(404, "the picture cannot be read") from error
        return Reply(data, "image/jpeg")


def _number(text: str) -> int:
    if not re.fullmatch("[0-9]{1,15}", text):
        raise RefusedRequest(400, "expected a number")
    return int(text)
