"""The retained status of a station, and how Home Assistant finds it."""

import json
import time
from typing import Any

from edgeseg import __version__
from edgeseg.station.inspection import Code
from edgeseg.station.outputs.base import OutputContext, StationState
from edgeseg.station.outputs.mqtt.connection import Message

OFFLINE, ONLINE = "offline", "online"
ENDED, LOST = "the station has ended", "the station does not answer"


def online(context: OutputContext, state: StationState) -> dict[str, Any]:
    """Return what is true now: a camera is OK if its newest part was good, and the line runs."""
    told = state.status.get("cameras")
    cameras = told if isinstance(told, dict) else {}
    found = {}
    for name in context.cameras:
        lamp, more = state.lamps.get(name), cameras.get(name, {})
        found[name] = {
            "ok": bool(lamp and lamp.ok),
            "code": int(lamp.code if lamp else Code.STARTING),
            "reason": lamp.reason if lamp else "",
            "state": more.get("state", ""),
            "recipe": more.get("recipe", ""),
        }
    return {
        "state": ONLINE,
        "alive": state.alive,
        "stopped": str(state.status.get("stopped") or ""),
        "cameras": found,
    }


def offline(context: OutputContext, reason: str) -> dict[str, Any]:
    """Return the last will, and what is published at an orderly end: nothing is OK."""
    lamp = {"ok": False, "code": int(Code.STALE), "reason": reason, "state": "", "recipe": ""}
    cameras = dict.fromkeys(context.cameras, lamp)
    return {"state": OFFLINE, "alive": False, "stopped": "", "cameras": cameras}


def status_message(
    context: OutputContext, root: str, document: dict[str, Any], beat: int, heartbeat_s: float
) -> Message:
    """Return the retained message; the will has beat 0, and the time at which it was made."""
    whole = {
        "station": context.station,
        "device": context.device,
        "time": round(time.time(), 3),
        "beat": beat,
        "heartbeat_s": heartbeat_s,
    } | document
    return Message(f"{root}/status", json.dumps(whole, separators=(",", ":")), retain=True)


def discovery_messages(
    context: OutputContext, root: str, prefix: str, *, commands: bool
) -> list[Message]:
    """Return the retained descriptions of what Home Assistant shows: for each camera, and buttons.

    https://www.home-assistant.io/integrations/mqtt: a topic PREFIX/KIND/NODE/OBJECT/config each.
    """
    node = f"edgeseg-{context.station}-{context.device}".replace(".", "-")
    status = f"{root}/status"
    common = {
        "availability_topic": status,
        "availability_template": "{{ value_json.state }}",
        "qos": 1,
        "device": {
            "identifiers": [node],
            "name": f"edgeseg {context.station}",
            "manufacturer": "edgeseg",
            "sw_version": __version__,
        },
    }
    found: list[tuple[str, str, dict[str, Any]]] = []
    for name in context.cameras:
        of = f"value_json.cameras['{name}']"
        problem = {
            "name": f"{name} not OK",
            "device_class": "problem",
            "state_topic": status,
            "value_template": f"{{{{ 'OFF' if {of}.ok else 'ON' }}}}",
            "json_attributes_topic": status,
            "json_attributes_template": f"{{{{ {of} | tojson }}}}",
        }
        found.append(("binary_sensor", f"{name}-not-ok", problem))
        for field in ("verdict", "score"):
            sensor = {
                "name": f"{name} {field}",
                "state_topic": f"{root}/{name}/verdict",
                "value_template": f"{{{{ value_json.{field} | default('') }}}}",
            }
            found.append(("sensor", f"{name}-{field}", sensor))
        if commands:
            chosen = {"command": "recipe", "camera": name, "recipe": "{{ value }}"}
            select = {
                "name": f"{name} recipe",
                "state_topic": status,
                "value_template": f"{{{{ {of}.recipe }}}}",
                "options": list(context.recipes),
                "command_topic": f"{root}/command",
                "command_template": json.dumps(chosen),
            }
            found.append(("select", f"{name}-recipe", select))
    for word in ("stop", "start") if commands else ():
        press = json.dumps({"command": word})
        button = {"name": word, "command_topic": f"{root}/command", "payload_press": press}
        found.append(("button", word, button))
    return [
        Message(
            f"{prefix}/{kind}/{node}/{thing}/config",
            json.dumps({"unique_id": f"{node}-{thing}"} | document | common),
            retain=True,
        )
        for kind, thing, document in found
    ]
