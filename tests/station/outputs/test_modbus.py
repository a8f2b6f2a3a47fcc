import math
import shutil
import socket
import struct
import subprocess
import threading

import pytest

from edgeseg.station.config import OutputConfig
from edgeseg.station.inspection import Code
from edgeseg.station.outputs.kinds import open_output
from edgeseg.station.outputs.modbus import part_number
from tests.kit.plc import Line
from tests.kit.ports import free_port
from tests.kit.stations import until

pytest.importorskip("pymodbus", reason="pip install 'edgeseg[modbus]'")

OK, NOT_OK, READY, BUSY, DONE, RESULT_OK, HEARTBEAT, ALIVE, WAITING = (1 << n for n in range(9))
MANY = 1_500


class Client:
    """A Modbus client of a socket and nothing else."""

    def __init__(self, port, unit=1):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=120)
        self.unit = unit

    def ask(self, function, data):
        """Send a request; return the data of the answer, or the number of an exception."""
        self._socket.sendall(struct.pack(">HHHBB", 7, 0, len(data) + 2, self.unit, function) + data)
        number, protocol, length, unit, answered = struct.unpack(">HHHBB", self._receive(8))
        assert (number, protocol, unit, answered & 0x7F) == (7, 0, self.unit, function)
        found = self._receive(length - 2)
        return found[0] if answered & 0x80 else found

    def read(self, address=0, count=26, function=3):
        found = self.ask(function, struct.pack(">HH", address, count))
        return found if isinstance(found, int) else list(struct.unpack(f">{count}H", found[1:]))

    def write(self, address, *values):
        """Return 0, or the exception."""
        data = struct.pack(f">HHB{len(values)}H", address, len(values), 2 * len(values), *values)
        found = self.ask(16, data)
        return found if isinstance(found, int) else 0

    def close(self):
        self._socket.close()

    def _receive(self, count):
        found = b""
        while len(found) < count:
            more = self._socket.recv(count - len(found))
            assert more, "the server has closed the connection"
            found += more
        return found


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A machine that has other work is no station that is silent."""
    monkeypatch.setattr("edgeseg.station.outputs.signals.STALE", 600.0)


@pytest.fixture
def line(tmp_path):
    return Line(tmp_path)


@pytest.fixture
def port():
    return free_port()


def served(line, port, **settings):
    config = OutputConfig(
        kind="modbus", name="plc", settings={"port": port, "answer_s": 600.0, **settings}
    )
    output = open_output(config, line.context)
    output.open()
    line.show = output.show
    return output


@pytest.fixture
def output(line, port):
    with served(line, port) as output:
        yield output


@pytest.fixture
def plc(output, port):
    client = Client(port)
    yield client
    client.close()


def told(registers):
    """The status block by names."""
    packed = struct.pack(">20H", *registers[:20])
    names = "bits code count waiting index score part trigger recipe active result beat"
    values = struct.unpack(">HHHHIfIIHHHHIHH", packed)
    return dict(zip([*names.split(), "seconds", "ms", "version"], values, strict=True))


def test_the_line_sees_not_ok_until_a_good_part_was_judged(line, plc):
    found = told(plc.read())
    assert found["bits"] & (OK | NOT_OK | READY | ALIVE) == NOT_OK
    assert (found["code"], found["index"], found["result"]) == (Code.STARTING, 0, 0xFFFF)
    assert math.isnan(found["score"])
    line.change()
    assert told(plc.read())["bits"] & (OK | NOT_OK | READY | ALIVE) == NOT_OK | READY | ALIVE
    line.judge(code=Code.UNKNOWN, score=0.25)
    assert told(plc.read())["bits"] & (OK | NOT_OK) == NOT_OK


def test_a_verdict_is_in_the_registers_of_its_camera(line, plc, port):
    line.change()
    line.judge(
        score=1.5, part="305419896", trigger=9, recipe="caps", decided=1_800_000_000.25, sequence=3
    )
    found = told(plc.read())
    assert found["bits"] & (OK | NOT_OK | WAITING) == OK | WAITING
    del found["bits"], found["beat"]
    assert found == {
        "code": 0,
        "count": 1,
        "waiting": 1,
        "index": 1,
        "score": 1.5,
        "part": 0x12345678,
        "trigger": 9,
        "recipe": 2,
        "active": 1,
        "result": 0xFFFF,
        "seconds": 1_800_000_000,
        "ms": 250,
        "version": 1,
    }
    assert plc.read(8, 2) == [0x1234, 0x5678], "the high word first"
    assert plc.read(8, 2, function=4) == plc.read(8, 2)
    side = Client(port, unit=2)
    assert told(side.read())["code"] == Code.STARTING
    side.close()


def test_a_read_has_the_newest_verdict_before_it_is_shown(line, plc):
    line.judge()
    show, line.show = line.show, lambda state: None
    line.judge(code=Code.ANOMALOUS)
    found = told(plc.read())
    assert (found["code"], found["count"], found["index"]) == (Code.ANOMALOUS, 1, 2)
    show(line.state)
    assert told(plc.read())["count"] == 1


def test_bits_are_discrete_inputs_too(line, plc):
    line.change()
    line.judge()
    (found,) = struct.unpack("<H", plc.ask(2, struct.pack(">HH", 0, 16))[1:])
    assert found == plc.read(0, 1)[0]


def test_a_station_that_is_stopped_or_silent_is_not_ok(line, plc, monkeypatch):
    line.change()
    line.judge()
    line.stop("door open")
    assert told(plc.read())["code"] == Code.LINE_STOPPED
    monkeypatch.setattr("edgeseg.station.outputs.signals.STALE", 0.05)
    line.judge()
    assert until(lambda: told(plc.read())["code"] == Code.STALE)
    assert told(plc.read())["bits"] & (OK | READY | ALIVE) == 0


def test_an_output_that_ends_closes_the_connection(line, port):
    output = served(line, port)
    client = Client(port)
    line.change()
    line.judge()
    output.close()
    with pytest.raises((AssertionError, ConnectionError)):
        client.read()
    client.close()


def test_the_handshake_of_a_trigger(line, plc):
    line.change()
    assert plc.write(20, 1, 0, 0, 0x12, 0x3456) == 0
    assert [each["command"] for each in line.commands] == ["part", "trigger"]
    assert line.commands[-1]["part"] == str(0x123456)
    assert told(plc.read())["bits"] & (READY | BUSY | DONE) == BUSY
    number = line.answer()
    line.judge(code=Code.ANOMALOUS, trigger=number, part=str(0x123456))
    found = told(plc.read())
    assert found["bits"] & (READY | BUSY | DONE | RESULT_OK) == READY | DONE
    assert (found["result"], found["part"], found["trigger"]) == (1, 0x123456, number)
    assert plc.write(20, 1) == 0, "the same again is no trigger"
    assert len(line.commands) == 2
    assert plc.write(20, 0) == 0
    assert told(plc.read())["bits"] & DONE == 0
    assert plc.write(20, 1) == 0
    assert plc.write(20, 0) == 0
    assert plc.write(20, 1) == 6, "busy: one trigger at a time"
    line.answer()
    line.judge(trigger=number + 1)
    assert told(plc.read())["bits"] & (DONE | RESULT_OK) == DONE | RESULT_OK


def test_a_coil_triggers_too(line, plc):
    line.change()
    assert plc.ask(5, struct.pack(">HH", 20 * 16, 0xFF00)) == struct.pack(">HH", 320, 0xFF00)
    assert line.commands[-1]["command"] == "trigger"


def test_recipes_parts_and_the_line_change_once(line, plc):
    for _ in range(2):  # as PLCs do that write all registers in every cycle
        assert plc.write(20, 0, 0, 2, 0, 77, 1) == 0
    assert line.commands == [
        {"command": "recipe", "camera": "top", "by": "modbus", "recipe": "caps"},
        {"command": "part", "camera": "top", "by": "modbus", "part": "77"},
        {"command": "stop", "by": "modbus", "reason": "stopped by Modbus"},
    ]
    assert plc.write(25, 2) == 0
    assert line.commands[-1] == {"command": "start", "by": "modbus"}
    assert plc.read(20, 6) == [0, 0, 2, 0, 77, 2]


def test_what_was_acknowledged_waits_no_more(line, plc):
    line.change()
    for _ in range(3):
        line.judge()
    assert plc.write(21, 2) == 0
    assert told(plc.read())["waiting"] == 1
    assert plc.write(20, 1, 9) == 3, "a count that was not there: nothing of the write is taken"
    assert told(plc.read())["waiting"] == 1
    assert line.commands == []


@pytest.mark.parametrize("address, values", [(22, [3]), (25, [3])])
def test_a_wrong_value_is_refused(line, plc, address, values):
    assert plc.write(address, *values) == 3
    assert line.commands == []


def test_registers_that_are_told_or_not_there_cannot_be_written(line, plc):
    assert plc.write(0, 1) == 2
    assert plc.write(19, 1, 1) == 2
    assert plc.write(26, 1) == 2
    assert plc.read(0, 27) == 2
    assert told(plc.read())["version"] == 1


def test_a_server_that_is_not_writable_is_read_only(line, port):
    with served(line, port, writable=False):
        client = Client(port)
        assert client.write(20, 1) == 2
        assert line.commands == []
        client.close()


def test_units_that_are_no_camera_are_answered_with_an_exception(output, line, port):
    other = Client(port, unit=7)
    assert other.read() == 11
    other.close()


def test_one_camera_answers_to_every_unit(tmp_path, port):
    line = Line(tmp_path, cameras=("top",))
    with served(line, port):
        client = Client(port, unit=255)
        assert told(client.read())["code"] == Code.STARTING
        client.close()


def test_no_read_is_torn_while_verdicts_are_written(line, plc):
    """Part, trigger, score and index of a verdict say the same, whenever they are read."""
    line.change()
    over = threading.Event()

    def write():
        number = 0
        while not over.is_set():
            number += 1
            line.judge(part=str(number), trigger=number, score=float(number))

    writer = threading.Thread(target=write)
    writer.start()
    reads = [told(plc.read()) for _ in range(MANY)]
    over.set()
    writer.join()
    seen = [each for each in reads if each["index"]]
    assert {each["index"] for each in seen} > {seen[0]["index"], seen[-1]["index"]}
    for each in seen:
        assert each["part"] == each["trigger"] == each["score"] == each["index"]


def test_garbage_ends_nothing_but_its_own_connection(line, plc, port):
    for data in (b"\0" * 300, b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 7, bytes(range(256))):
        with socket.create_connection(("127.0.0.1", port)) as bad:
            bad.sendall(data)
    assert told(plc.read())["version"] == 1


@pytest.mark.parametrize(
    "part, number", [("", 0), ("17", 17), ("A-17", 0), ("4294967295", 2**32 - 1), ("4294967296", 0)]
)
def test_part_numbers(part, number):
    assert part_number(part) == number


def test_mbpoll_reads_and_writes(line, output, port):
    """libmodbus, which is no part of this program or its packages."""
    if shutil.which("mbpoll") is None:
        pytest.skip("mbpoll is not installed: apt-get install mbpoll")
    line.change()
    line.judge(score=1.684, code=Code.ANOMALOUS)

    def mbpoll(*options, values=()):
        command = ["mbpoll", "-m", "tcp", "-p", str(port), "-0", "-1", "-q", *options]
        done = subprocess.run(
            [*command, "127.0.0.1", *values], capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "1.684" in mbpoll("-t", "4:float", "-B", "-r", "6", "-c", "1")
    assert "[1]: \t1" in mbpoll("-t", "3", "-r", "1", "-c", "1")
    mbpoll("-t", "4", "-r", "21", values=("1",))
    assert "[3]: \t0" in mbpoll("-t", "4", "-r", "3", "-c", "1")
