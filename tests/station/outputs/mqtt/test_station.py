"""A whole station with a real broker: commands, a killed gateway, and an orderly end."""

import os
import signal
import sys

import pytest

from tests.kit.mosquitto import Listener, Mosquitto
from tests.kit.stations import child, running, until, write_station

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a station needs Linux")
OUTPUT = """
[[output]]
kind = "mqtt"
host = "127.0.0.1"
port = {port}
commands = true
heartbeat_s = 0.3
"""


def test_a_station_is_commanded_killed_and_ended(tmp_path):
    pytest.importorskip("paho.mqtt.client")
    with Mosquitto(tmp_path / "broker") as broker, Listener(broker, "edgeseg/test/#") as listener:
        file = write_station(
            tmp_path,
            cameras={"top": {"source": "test://64x48@20"}},
            recipes=("plates", "second"),
            rest=OUTPUT.format(port=broker.port),
        )

        def ask(**command):
            number = len(listener.documents("/answer")) + 1
            listener.publish("edgeseg/test/command", {"id": number} | command)
            assert until(lambda: len(listener.documents("/answer")) == number)
            answer = listener.documents("/answer")[-1]
            assert answer["id"] == number
            return answer["error"]

        def verdict(field):
            return listener.documents("/top/verdict")[-1].get(field)

        def status():
            return listener.documents("/status")[-1]

        with running(file) as process:
            assert until(lambda: len(listener.documents("/top/verdict")) > 10)
            assert ask(command="recipe", recipe="second") == ""
            assert until(lambda: verdict("recipe") == "second")
            assert until(lambda: status()["cameras"]["top"]["recipe"] == "second")
            assert "no recipe 'third'" in ask(command="recipe", recipe="third")
            assert "takes no triggers" in ask(command="trigger", camera="top")
            assert ask(command="stop", reason="door open") == ""
            assert until(lambda: verdict("code") == 20 and not verdict("ok"))
            assert until(lambda: status()["stopped"] == "door open")
            assert not status()["cameras"]["top"]["ok"]
            assert ask(command="start") == ""
            assert until(lambda: verdict("code") != 20 and not status()["stopped"])

            os.kill(child(process, "gateway"), signal.SIGKILL)
            assert until(lambda: status()["state"] == "offline")
            assert status()["cameras"]["top"]["code"] == 22
            assert until(lambda: status()["state"] == "online")
            before = verdict("id")
            assert until(lambda: verdict("id") > before + 10)
        assert until(lambda: status()["state"] == "offline")
        assert status()["cameras"]["top"]["reason"] == "the station has ended"
    once = list(dict.fromkeys(each["id"] for each in listener.documents("/top/verdict")))
    assert once == list(range(1, len(once) + 1))
