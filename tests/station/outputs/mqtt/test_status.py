import json

import pytest

from edgeseg.station.inspection import Code
from edgeseg.station.outputs.base import Lamp, StationState
from edgeseg.station.outputs.mqtt.status import discovery_messages, offline, online
from tests.kit.mosquitto import Listener, Mosquitto
from tests.kit.outputs import make_context, opened
from tests.kit.stations import until


def test_a_camera_that_nobody_has_heard_of_is_not_ok(tmp_path):
    context = make_context(tmp_path, cameras=("top", "side"))
    state = StationState({"top": Lamp(True, Code.OK, "")}, alive=True, status={"cameras": 3})
    found = online(context, state)["cameras"]
    assert found["top"]["ok"] and not found["side"]["ok"]
    assert found["side"]["code"] == Code.STARTING
    assert not any(each["ok"] for each in offline(context, "gone")["cameras"].values())


def test_discovery_describes_each_camera_and_what_can_be_commanded(tmp_path):
    context = make_context(tmp_path, cameras=("top", "side"), recipes=("a", "b"))
    few = discovery_messages(context, "plant/3", "homeassistant", commands=False)
    many = discovery_messages(context, "plant/3", "homeassistant", commands=True)
    assert (len(few), len(many)) == (6, 10)
    documents = {each.topic: json.loads(each.payload) for each in many}
    assert len({each["unique_id"] for each in documents.values()}) == 10
    assert all(each.retain for each in many)
    node = "homeassistant/{}/edgeseg-test-bench/{}/config"
    verdict = documents[node.format("sensor", "top-verdict")]
    assert verdict["state_topic"] == "plant/3/top/verdict"
    assert verdict["availability_topic"] == "plant/3/status"
    select = documents[node.format("select", "side-recipe")]
    assert select["options"] == ["a", "b"]
    assert json.loads(select["command_template"].replace("{{ value }}", "b")) == {
        **{"command": "recipe", "camera": "side", "recipe": "b"},
    }
    button = documents[node.format("button", "stop")]
    assert json.loads(button["payload_press"]) == {"command": "stop"}


def test_the_templates_give_what_the_status_says(tmp_path):
    """As Home Assistant's template engine would: it is Jinja."""
    jinja2 = pytest.importorskip("jinja2")
    context = make_context(tmp_path)
    messages = discovery_messages(context, "r", "homeassistant", commands=True)
    documents = {each.topic.split("/")[1]: json.loads(each.payload) for each in messages[::-1]}
    cameras = {"top": {"state": "running", "recipe": "plates"}}
    state = StationState({"top": Lamp(True, Code.OK, "")}, alive=True, status={"cameras": cameras})

    def rendered(kind, status, template="value_template"):
        text = documents[kind][template]
        return jinja2.Template(text).render(value_json=json.loads(json.dumps(status)))

    now, gone = online(context, state), offline(context, "gone")
    assert rendered("binary_sensor", now) == "OFF"
    assert rendered("binary_sensor", gone) == "ON"
    assert rendered("select", now) == "plates"
    assert rendered("select", now, "availability_template") == "online"
    assert rendered("select", gone, "availability_template") == "offline"
    assert json.loads(rendered("binary_sensor", now, "json_attributes_template"))["ok"]
    assert rendered("sensor", {"verdict": "good", "score": 0.5}) in ("good", "0.5")


def test_a_broker_keeps_the_descriptions(tmp_path):
    pytest.importorskip("paho.mqtt.client")
    pytest.importorskip("paho.mqtt.client")
    with Mosquitto(tmp_path / "broker") as broker:
        settings = {"host": "127.0.0.1", "port": broker.port, "discovery": "homeassistant"}
        with opened(make_context(tmp_path), "mqtt", **settings) as output:
            output.open()
            output.check()
        with Listener(broker, "homeassistant/#") as listener:
            assert until(lambda: len(listener.got) == 3)
            assert all(retained for _, _, retained in listener.got)
