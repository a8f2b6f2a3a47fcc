"""A PLC at a whole station: its processes, its camera, its model."""

import os
import signal
import sys

import pytest

from edgeseg.station.inspection import Code
from tests.kit.ports import free_port
from tests.kit.stations import child, running, until, write_station
from tests.station.outputs.test_modbus import ALIVE, DONE, READY, RESULT_OK, Client, told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a station needs Linux")


def connected(port):
    try:
        return Client(port)
    except OSError:
        return None


def test_triggers_are_answered_and_a_silent_station_is_not_ok(tmp_path):
    port = free_port()
    camera = {"source": "test://64x48@30", "mode": "triggered", "trigger": "software"}
    camera["deadline_ms"] = 60_000.0
    rest = f'[[output]]\nkind = "modbus"\nport = {port}\nanswer_s = 60.0\n[page]\naddress = ""\n'
    recipes = ("plates", "caps")
    file = write_station(tmp_path, cameras={"top": camera}, recipes=recipes, rest=rest)
    with running(file) as process:
        plc = until(lambda: connected(port))

        def becomes(bits):
            return until(lambda: (found := told(plc.read()))["bits"] & bits and found)

        assert becomes(READY)["code"] == Code.STARTING
        for number in range(1, 6):
            assert plc.write(20, 1, 0, 0, 0, 100 + number) == 0
            found = becomes(DONE)
            assert (found["part"], found["trigger"]) == (100 + number, number)
            assert found["result"] == found["code"] in (Code.OK, Code.ANOMALOUS)
            assert bool(found["bits"] & RESULT_OK) == (found["code"] == Code.OK)
            assert plc.write(20, 0) == 0
        assert found["count"] == 5
        assert plc.write(22, 2) == 0
        assert until(lambda: told(plc.read())["active"] == 2)
        assert plc.write(20, 1) == 0
        assert becomes(DONE)["recipe"] == 2
        assert plc.write(20, 0) == 0
        inspector = child(process, "inspector")
        os.kill(inspector, signal.SIGSTOP)
        assert until(lambda: told(plc.read())["code"] == Code.STALE)
        assert plc.write(20, 1) == 0
        found = becomes(DONE)
        assert (found["result"], found["bits"] & (ALIVE | READY)) == (Code.STALE, 0)
        assert plc.write(20, 0) == 0
        os.kill(inspector, signal.SIGCONT)
        assert becomes(READY)
        plc.close()
