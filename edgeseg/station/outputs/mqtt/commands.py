"""Commands that come by MQTT, and their answers.

    ROOT/command    {"id": "7", "command": "recipe", "recipe": "bottle", "camera": "top"}
    ROOT/answer     {"id": "7", "command": "recipe", "error": ""}

The commands are those of inspector.py. `id` is the sender's own and may be left out. Whoever sends
them is `mqtt`, or `mqtt NAME` with `"by": NAME`: a stop by another way cannot be taken back.
"""

import json
import secrets
import time
from dataclasses import dataclass
from typing import Any

from edgeseg.schema import parse
from edgeseg.station.outputs.base import OutputContext
from edgeseg.station.outputs.mqtt.connection import Message

NAMES = ("recipe", "trigger", "part", "stop", "start")
TEXTS = ("recipe", "camera", "part", "reason")  # what a command may have
MOST = 4096  # bytes of a command
LONGEST = 100  # characters of an id and a name
PATIENCE = 5.0  # seconds that the inspector has for its answer


@dataclass(frozen=True)
class _Waiting:
    """A command without an answer yet."""

    id: Any
    command: str
    until: float


class Commands:
    """Passes commands on, and finds their answers in the status; for one thread."""

    def __init__(self, context: OutputContext, root: str) -> None:
        self._context, self._topic = context, f"{root}/answer"
        self._prefix = secrets.token_hex(4)
        self._count = 0
        self._waiting: dict[str, _Waiting] = {}

    @property
    def waits(self) -> bool:
        """Whether an answer is expected."""
        return bool(self._waiting)

    def take(self, payload: bytes) -> list[Message]:
        """Take a command; return the answer to one that is none."""
        try:
            if len(payload) > MOST:
                raise ValueError(f"{len(payload)} bytes (expected at most {MOST})")
            document = parse(payload)
            if not isinstance(document, dict):
                raise ValueError("no object")
        except ValueError as error:
            return [self._answer(None, "", f"no command: {error}")]
        name, given = document.get("command"), document.get("id")
        if not isinstance(given, str | int | None) or len(str(given)) > LONGEST:
            return [self._answer(None, "", f"id is no text of at most {LONGEST} characters")]
        if name not in NAMES:
            return [self._answer(given, "", f"unknown command (expected {', '.join(NAMES)})")]
        texts = {field: document[field] for field in (*TEXTS, "by") if field in document}
        wrong = [k for k, v in texts.items() if not (isinstance(v, str) and v.isprintable())]
        if wrong:
            return [self._answer(given, name, f"{', '.join(wrong)}: no printable text")]
        self._count += 1
        key = f"{self._prefix}-{self._count}"
        texts["by"] = f"mqtt {texts.get('by', '')[:LONGEST]}".strip()
        self._waiting[key] = _Waiting(given, name, time.monotonic() + PATIENCE)
        self._context.command({"command": name, "id": key, **texts})
        return []

    def answers(self) -> list[Message]:
        """Return the answers that are there, also to commands whose answer is late."""
        told = self._context.state().status.get("answers")
        found = []
        for each in told if isinstance(told, list) else ():
            waiting = self._waiting.pop(str(each.get("id")), None)
            if waiting is not None:
                more = {"trigger": each["trigger"]} if "trigger" in each else {}
                error = str(each.get("error", ""))
                found.append(self._answer(waiting.id, waiting.command, error, **more))
        now = time.monotonic()
        for key in [key for key, each in self._waiting.items() if each.until < now]:
            late = self._waiting.pop(key)
            found.append(self._answer(late.id, late.command, "the inspector does not answer"))
        return found

    def _answer(self, given: Any, command: str, error: str, **more: Any) -> Message:
        document = {"id": given, "command": command, "error": error} | more
        return Message(self._topic, json.dumps(document, separators=(",", ":")))
