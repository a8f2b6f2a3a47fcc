import asyncio
import json
import math
import os
import shutil
import subprocess
import threading
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest

from edgeseg.errors import ConfigError
from edgeseg.station.config import OutputConfig
from edgeseg.station.inspection import Code, Inspection
from edgeseg.station.outputs.kinds import open_output
from tests.kit.plc import Line
from tests.kit.ports import free_port
from tests.kit.stations import until

pytest.importorskip("asyncua", reason="pip install 'edgeseg[opcua]'")
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.uaerrors import UaStatusCodeError

from edgeseg.station.outputs.opcua_security import self_signed

URI = "urn:tests:client"
SCRIPT = Path(__file__).parents[2] / "kit" / "opcua_client.js"


class Served:
    """A server, and its clients."""

    def __init__(self, folder, **settings):
        self.port = free_port()
        (folder / "opcua.password").write_text("secret\n")
        self.line = Line(folder)
        config = OutputConfig(
            kind="opcua", settings={"port": self.port, "answer_s": 600.0, **settings}
        )
        self.output = open_output(config, self.line.context)
        self.key, self.certificate = self_signed(folder / "client", URI, "localhost")

    def open(self):
        self.output.open()
        self.line.show = self.output.show
        self.line.change()
        return self

    @asynccontextmanager
    async def client(self, user="plc", password="secret", encrypted=True):
        client = Client(f"opc.tcp://127.0.0.1:{self.port}")
        client.application_uri = URI
        if encrypted:
            await client.set_security(
                SecurityPolicyBasic256Sha256,
                str(self.certificate),
                str(self.key),
                mode=ua.MessageSecurityMode.SignAndEncrypt,
            )
        if user:
            client.set_user(user)
            client.set_password(password)
        async with client:
            yield client

    def read(self, *names, camera="top", **options):
        async def work():
            async with self.client(**options) as client:
                nodes = [client.get_node(f"ns=2;s={camera}.{name}") for name in names]
                return dict(zip(names, await client.read_values(nodes), strict=True))

        return asyncio.run(work())

    def call(self, *methods, camera="top", **options):
        """Call methods, `(name, argument, ...)`; return the name of each status."""

        async def work():
            found = []
            async with self.client(**options) as client:
                node = client.get_node(f"ns=2;s={camera}")
                for name, *arguments in methods:
                    try:
                        await node.call_method(f"2:{name}", *arguments)
                        found.append("Good")
                    except UaStatusCodeError as error:
                        found.append(type(error).__name__)
            return found

        return asyncio.run(work())


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A machine that has other work is no station that is silent."""
    monkeypatch.setattr("edgeseg.station.outputs.signals.STALE", 600.0)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("opcua")
    served = Served(folder, user="plc", password_file="opcua.password").open()
    yield served
    served.output.close()


@pytest.fixture
def line(served):
    """The line of the server, as new: the journal begins again."""
    fresh = Line(served.line.context.folder)
    served.line.state = fresh.state
    served.line._ids, served.line._triggers = fresh._ids, fresh._triggers
    served.line.commands.clear()
    served.line.change()
    return served.line


def uint(value):
    return ua.Variant(value, ua.VariantType.UInt32)


def test_a_good_part_only_is_ok(served, line):
    assert served.read("OK", "Code", camera="side") == {"OK": False, "Code": Code.STARTING}
    line.judge(score=1.5, part="A-7", trigger=9, recipe="caps", decided=1_800_000_000.25)
    names = "OK Code Reason Part Recipe Score DecidedAt TriggerNumber Index Record ActiveRecipe"
    found = served.read(*names.split(), "Alive", "Ready")
    record = Inspection.from_json(found.pop("Record"))
    assert (record.id, record.part, record.score) == (1, "A-7", 1.5)
    assert found == {
        "OK": True,
        "Code": 0,
        "Reason": "",
        "Part": "A-7",
        "Recipe": "caps",
        "Score": 1.5,
        "DecidedAt": datetime.fromtimestamp(1_800_000_000.25, timezone.utc),
        "TriggerNumber": 9,
        "Index": 1,
        "ActiveRecipe": "plates",
        "Alive": True,
        "Ready": True,
    }
    line.judge(code=Code.UNKNOWN, reason="contrast")
    found = served.read("OK", "Code", "Reason", "Score", "Index")
    assert math.isnan(found.pop("Score"))
    assert found == {"OK": False, "Code": 10, "Reason": "contrast", "Index": 2}


def test_a_station_that_is_stopped_or_silent_is_not_ok(served, line, monkeypatch):
    line.judge()
    line.stop("door open")
    assert served.read("OK", "Code", "Ready") == {"OK": False, "Code": 20, "Ready": False}
    line.judge()
    assert served.read("OK") == {"OK": True}
    monkeypatch.setattr("edgeseg.station.outputs.signals.STALE", 0.05)
    silent = {"OK": False, "Code": 22, "Alive": False}
    assert until(lambda: served.read("OK", "Code", "Alive") == silent)


def subscribe(served, work, complete, *, queue, interval=500.0, node="top.Index"):
    """Return what a subscription was told, without the first value, which it had before.

    complete: tells of all values whether no other one is awaited.
    """

    async def run():
        told = []

        class Handler:
            def datachange_notification(self, node, value, data):
                told.append(value)

        async with served.client() as client:
            subscription = await client.create_subscription(interval, Handler())
            await subscription.subscribe_data_change(
                client.get_node(f"ns=2;s={node}"), queuesize=queue
            )
            while not told:
                await asyncio.sleep(0.01)
            await asyncio.to_thread(work)
            await asyncio.to_thread(until, lambda: complete(told))
        return told[1:]

    return asyncio.run(run())


@pytest.mark.parametrize("queue", [1, 100])
def test_a_queue_of_one_misses_verdicts_and_one_of_a_hundred_does_not(served, line, queue):
    """Forty verdicts within one publishing interval."""

    def judge():
        for _ in range(40):
            line.judge()

    found = subscribe(served, judge, lambda told: told[-1] == 40, queue=queue)
    if queue == 1:
        assert len(found) < 40
        assert found[-1] == 40, "the newest is always told"
    else:
        assert found == list(range(1, 41))


def test_verdicts_that_came_between_two_states_are_told_one_by_one(served, line):
    def judge():
        line.show, show = lambda state: None, line.show
        for code in (Code.OK, Code.ANOMALOUS, Code.OK):
            line.judge(code=code)
        line.show = show
        line.change()

    all_of_them = lambda told: len(told) == 4  # noqa: E731
    records = subscribe(served, judge, all_of_them, queue=100, interval=50.0, node="top.Record")
    assert [json.loads(each)["code"] for each in records] == [0, 1, 0]


def test_no_read_is_torn_while_verdicts_are_written(served, line):
    over = threading.Event()

    def write():
        number = 0
        while not over.is_set():
            number += 1
            line.judge(part=str(number), score=float(number))

    async def read():
        async with served.client() as client:
            names = ("Part", "Score", "Index")
            nodes = [client.get_node(f"ns=2;s=top.{name}") for name in names]
            return [await client.read_values(nodes) for _ in range(150)]

    writer = threading.Thread(target=write)
    writer.start()
    found = asyncio.run(read())
    over.set()
    writer.join()
    found = [each for each in found if each[2]]
    assert len({index for *_, index in found}) > 10
    assert all(float(part) == score == index for part, score, index in found)


@pytest.mark.parametrize(
    "who, status",
    [
        ({"user": None}, "BadIdentityTokenRejected"),
        ({"password": "wrong"}, "BadUserAccessDenied"),
        ({"user": "admin", "password": ""}, "BadUserAccessDenied"),
        ({"encrypted": False}, "UaError"),
    ],
)
def test_only_the_user_with_an_encrypted_connection_is_let_in(served, who, status):
    with pytest.raises(ua.UaError) as caught:
        served.read("OK", **who)
    assert type(caught.value).__name__ == status


@pytest.mark.parametrize("name", ["OK", "Code", "Record", "Heartbeat"])
def test_a_client_writes_no_verdict(served, line, name):
    async def write():
        async with served.client() as client:
            node = client.get_node(f"ns=2;s=top.{name}")
            await node.write_value(await node.read_data_value())

    with pytest.raises(ua.uaerrors.BadUserAccessDenied):
        asyncio.run(write())


def test_methods_become_commands(served, line):
    found = served.call(
        ("SetRecipe", "caps"), ("SetPart", "A-7"), ("Stop", "door"), ("Stop", ""), ("Start",)
    )
    assert found == ["Good"] * 5
    assert line.commands == [
        {"command": "recipe", "camera": "top", "by": "opcua", "recipe": "caps"},
        {"command": "part", "camera": "top", "by": "opcua", "part": "A-7"},
        {"command": "stop", "by": "opcua", "reason": "door"},
        {"command": "stop", "by": "opcua", "reason": "stopped by OPC UA"},
        {"command": "start", "by": "opcua"},
    ]


def test_wrong_arguments_are_refused(served, line):
    wrong = ("SetRecipe", "nope"), ("SetRecipe", 3), ("SetPart", "x" * 201), ("Acknowledge", "1")
    assert served.call(*wrong) == ["BadInvalidArgument"] * 4
    assert served.call(("SetRecipe",), ("Start", "now")) == [
        "BadArgumentsMissing",
        "BadTooManyArguments",
    ]
    assert line.commands == []


def test_the_handshake_of_a_trigger(served, line):
    names = ("Ready", "Busy", "Done", "Result")
    assert served.call(("Trigger", "77"), ("Trigger", "78")) == ["Good", "BadInvalidState"]
    assert line.commands[-1]["part"] == "77"
    number = line.answer()
    assert served.read(*names)["Busy"] is True
    line.judge(code=Code.ANOMALOUS, trigger=number, part="77")
    assert served.read(*names) == {"Ready": True, "Busy": False, "Done": True, "Result": 1}
    assert served.call(("Release",)) == ["Good"]
    assert until(lambda: served.read("Done", "Result") == {"Done": False, "Result": 1})


def test_what_was_acknowledged_waits_no_more(served, line):
    line.judge()
    line.judge()
    count = served.read("Count")["Count"]
    assert served.call(("Acknowledge", uint(count - 1)), ("Acknowledge", uint(count + 1))) == [
        "Good",
        "BadInvalidArgument",
    ]
    assert until(lambda: served.read("Waiting") == {"Waiting": 1})


def test_everybody_reads_where_that_is_allowed_and_subscribers_are_told_of_the_end(tmp_path):
    served = Served(tmp_path, anonymous=True, unencrypted=True).open()
    served.line.judge()
    everybody = {"user": None, "encrypted": False}
    assert served.read("OK", **everybody) == {"OK": True}
    assert served.call(("Stop", "fun"), **everybody) == ["BadUserAccessDenied"]
    assert served.line.commands == []
    served.client = lambda: Served.client(served, **everybody)
    stopped = lambda told: told[-1] == Code.LINE_STOPPED  # noqa: E731
    close = served.output.close
    found = subscribe(served, close, stopped, queue=10, interval=20.0, node="top.Code")
    assert found == [Code.LINE_STOPPED]


@pytest.mark.parametrize("settings", [{}, {"user": "plc"}, {"password_file": "opcua.password"}])
def test_a_server_without_a_user_is_refused_unless_everybody_may_read(tmp_path, settings):
    with pytest.raises(ConfigError, match="no user with a password_file"):
        Served(tmp_path, **settings)


def test_the_certificate_is_made_once_and_its_key_is_private(tmp_path):
    key, certificate = self_signed(tmp_path / "own", "urn:a", "bench")
    assert key.stat().st_mode & 0o777 == 0o600
    before = certificate.read_bytes(), key.read_bytes()
    self_signed(tmp_path / "own", "urn:a", "bench")
    assert before == (certificate.read_bytes(), key.read_bytes())
    self_signed(tmp_path / "own", "urn:b", "bench")
    assert before[0] != certificate.read_bytes(), "the certificate names the server"
    certificate.write_bytes(b"cut")
    self_signed(tmp_path / "own", "urn:b", "bench")
    assert len(certificate.read_bytes()) > 500


def test_node_opcua_reads_calls_and_subscribes(served, line, tmp_path):
    """A client that shares no code with the server."""
    packages = os.environ.get("NODE_OPCUA", "")
    if shutil.which("node") is None or not Path(packages, "node_modules").is_dir():
        pytest.skip("node-opcua is not installed: npm install node-opcua-client in $NODE_OPCUA")
    script = tmp_path / "client.js"
    script.write_text(SCRIPT.read_text())
    process = subprocess.Popen(
        ["node", str(script), f"opc.tcp://127.0.0.1:{served.port}", "plc", "secret", "30"],
        env={
            **os.environ,
            "NODE_PATH": str(Path(packages) / "node_modules"),
            "HOME": str(tmp_path),
            "XDG_CONFIG_HOME": str(tmp_path),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert "subscribed\n" in iter(process.stdout.readline, "")
        for _ in range(30):
            line.judge()
        out, _ = process.communicate(timeout=60)
    found = json.loads(out.splitlines()[-1])
    assert found["indexes"] == list(range(1, 31))
    assert found["write"].startswith("BadUserAccessDenied") or "NotWritable" in found["write"]
    assert found["recipe"].startswith("Good")
    assert found["wrong"].startswith("BadInvalidArgument")
    assert line.commands[-1]["recipe"] == "caps"
