import json

import pytest

from edgeseg.station.outputs.base import StationState
from edgeseg.station.outputs.mqtt import commands as module
from edgeseg.station.outputs.mqtt.commands import Commands
from tests.kit.mosquitto import Listener, Mosquitto
from tests.kit.outputs import make_context, opened
from tests.kit.stations import until


class Inspector:
    """Answers commands as the inspector does, in its status."""

    def __init__(self, tmp_path):
        self.commands, self.answers = [], []
        self.context = make_context(tmp_path, commands=self, state=self.state)

    def append(self, command):
        self.commands.append(command)
        error = "no recipe 'x'" if command.get("recipe") == "x" else ""
        more = {"trigger": 7} if command["command"] == "trigger" else {}
        self.answers.append({"id": command["id"], "error": error} | more)

    def state(self):
        return StationState(status={"answers": self.answers})


@pytest.fixture
def inspector(tmp_path):
    return Inspector(tmp_path)


def ask(inspector, document):
    """Return the answers to a command."""
    commands = Commands(inspector.context, "plant")
    payload = document if isinstance(document, bytes) else json.dumps(document).encode()
    messages = commands.take(payload) + commands.answers()
    assert not commands.waits
    return [json.loads(each.payload) for each in messages]


def test_a_command_is_passed_on_and_answered(inspector):
    given = {"id": "a1", "command": "recipe", "recipe": "plates", "camera": "top", "other": [1]}
    assert ask(inspector, given) == [{"id": "a1", "command": "recipe", "error": ""}]
    (passed,) = inspector.commands
    assert passed.pop("id") != "a1"
    assert passed == {"command": "recipe", "recipe": "plates", "camera": "top", "by": "mqtt"}


def test_an_answer_says_what_went_wrong_and_which_trigger_it_was(inspector):
    found = ask(inspector, {"command": "recipe", "recipe": "x"})
    assert found == [{"id": None, "command": "recipe", "error": "no recipe 'x'"}]
    found = ask(inspector, {"id": 3, "command": "trigger", "camera": "top", "part": "P-1"})
    assert found == [{"id": 3, "command": "trigger", "error": "", "trigger": 7}]


@pytest.mark.parametrize("by", ["output m", "operator", "page"])
def test_nobody_can_start_what_somebody_else_has_stopped(inspector, by):
    ask(inspector, {"command": "start", "by": by})
    assert inspector.commands[0]["by"] == f"mqtt {by}"


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"stop",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"command": NaN}',
        b'{"command": "stop", "command": "start"}',
        b"[" * 100_000,
        b'{"command": "stop", "reason": "' + b"x" * 5000 + b'"}',
        b'{"command": "exit"}',
        b'{"command": ["stop"]}',
        b'{"command": {"a": 1}}',
        b'{"command": "stop", "reason": 1}',
        b'{"command": "stop", "by": null}',
        b'{"command": "part", "part": "\\ud800"}',
        b'{"command": "part", "part": "a\\nb"}',
        b'{"command": "trigger", "camera": {"a": 1}}',
        b'{"command": "stop", "id": {"a": 1}}',
        b'{"command": "stop", "id": "' + b"x" * 200 + b'"}',
        b'{"command": "stop", "id": ' + b"9" * 200 + b"}",
    ],
)
def test_what_is_no_command_is_answered_and_not_passed_on(inspector, payload):
    (answer,) = ask(inspector, payload)
    assert answer["error"]
    assert not inspector.commands


def test_a_silent_inspector_is_told_of(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.0)
    commands = Commands(make_context(tmp_path, commands=[]), "plant")
    assert commands.take(b'{"id": "z", "command": "stop"}') == []
    assert commands.waits
    (answer,) = commands.answers()
    assert json.loads(answer.payload) == {
        **{"id": "z", "command": "stop"},
        **{"error": "the inspector does not answer"},
    }


def test_over_a_broker_without_those_that_it_kept(inspector, tmp_path):
    with Mosquitto(tmp_path / "broker") as broker, Listener(broker, "#") as listener:
        listener.publish("edgeseg/test/command", {"command": "stop", "id": "old"}, retain=True)
        settings = {"host": "127.0.0.1", "port": broker.port, "commands": True}
        with opened(inspector.context, "mqtt", **settings) as output:
            output.open()
            output.check()
            listener.publish("edgeseg/test/command", b"\xff")
            for name in ("stop", "start", "trigger", "part"):
                listener.publish("edgeseg/test/command", {"command": name, "id": name})
            assert until(lambda: len(listener.documents("/answer")) == 5)
            assert not output._connection.problem
        with opened(inspector.context, "mqtt", **settings | {"commands": False}) as output:
            output.open()
            output.check()
            listener.publish("edgeseg/test/command", {"command": "stop"})
            assert until(lambda: listener.documents("/status")[-1]["state"] == "online")
    asked = [each["command"] for each in inspector.commands]
    assert asked == ["stop", "start", "trigger", "part"]
    answers = [each["id"] for each in listener.documents("/answer")]
    assert answers == [None, "stop", "start", "trigger", "part"]
