"""Against a real broker: TLS, passwords, frozen, killed, refusing; and one that lies."""

import gc
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.errors import ConfigError
from edgeseg.station.config import OutputConfig
from edgeseg.station.cursors import FILE as CURSORS
from edgeseg.station.cursors import Cursors
from edgeseg.station.inspection import Code
from edgeseg.station.journal import FILE, Journal
from edgeseg.station.outputs.base import Lamp, StationState
from edgeseg.station.outputs.mqtt.connection import BrokerConnection
from edgeseg.station.workers import Delivery
from tests.kit.certificates import write_certificates
from tests.kit.errors import fails
from tests.kit.mosquitto import Listener, Mosquitto
from tests.kit.outputs import make_context, opened
from tests.kit.stations import inspection, until

PASSWORD = "geheim=#1"
RECORDS = [inspection(n, id=n) for n in range(1, 101)]
COUNT = 3000


@pytest.fixture
def broker(tmp_path):
    with Mosquitto(tmp_path / "broker") as broker:
        yield broker


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return write_certificates(tmp_path_factory.mktemp("tls"), "127.0.0.1")


def mqtt(tmp_path, port, *, state=StationState, **settings):
    pytest.importorskip("paho.mqtt.client")
    context = make_context(tmp_path, state=state)
    return opened(context, "mqtt", host="127.0.0.1", port=port, **settings)


def ids(listener):
    return [document["id"] for document in listener.documents("/top/verdict")]


@contextmanager
def connected(*given, **settings):
    with mqtt(*given, **settings) as output:
        output.open()
        output.check()
        yield output


def test_records_come_in_order_and_the_status_is_kept(tmp_path, broker):
    with Listener(broker, "edgeseg/test/#") as listener:
        with connected(tmp_path, broker.port) as output:
            assert output.send(RECORDS) == 100
            assert until(lambda: len(listener.documents("/top/verdict")) == 100)
            assert ids(listener) == list(range(1, 101))
            with Listener(broker, "edgeseg/test/status") as late:
                assert until(lambda: late.got)
            _, status, retained = late.got[0]
            assert retained
            assert (status["state"], status["alive"]) == ("online", False)
            assert not status["cameras"]["top"]["ok"]
            assert status["cameras"]["top"]["code"] == Code.STARTING
        assert until(lambda: listener.documents("/status")[-1]["state"] == "offline")
        last = listener.documents("/status")[-1]
    assert last["cameras"]["top"] == {
        **{"ok": False, "code": Code.STALE, "reason": "the station has ended"},
        **{"state": "", "recipe": ""},
    }


def test_good_parts_are_left_out_and_acknowledged(tmp_path, broker):
    codes = {3: Code.ANOMALOUS, 4: Code.UNKNOWN, 90: Code.ANOMALOUS}
    mixed = [inspection(n, id=n, code=codes.get(n, Code.OK)) for n in range(1, 101)]
    with Listener(broker, "edgeseg/test/#") as listener:
        with connected(tmp_path, broker.port, not_ok_only=True) as output:
            assert output.send(mixed[:2]) == 2
            assert output.send(mixed[2:]) == 100
            assert until(lambda: len(ids(listener)) == 3)
            assert ids(listener) == [3, 4, 90]
            output._connection.lose("cut")
            with pytest.raises(OSError, match="cut"):  # also where there is nothing to send
                output.send(mixed[:2])


def test_the_status_follows_the_state_and_beats(tmp_path, broker):
    states = [StationState({"top": Lamp(True, Code.OK, "", inspection(1))}, alive=True)]
    with Listener(broker, "edgeseg/test/status") as listener:
        with connected(tmp_path, broker.port, state=lambda: states[-1], heartbeat_s=0.3):
            assert until(lambda: len(listener.got) >= 3)
            first = [document["beat"] for document in listener.documents("/status")][:3]
            assert first == [1, 2, 3]
            assert listener.got[0][1]["cameras"]["top"]["ok"]
            lamp = Lamp(False, Code.LINE_STOPPED, "line stopped: door", inspection(1))
            status = {"stopped": "door", "cameras": {"top": {"state": "running", "recipe": "a"}}}
            states.append(StationState({"top": lamp}, alive=True, status=status))
            assert until(lambda: listener.got[-1][1]["stopped"] == "door")
            assert listener.got[-1][1]["cameras"]["top"] == {
                **{"ok": False, "code": 20, "reason": "line stopped: door"},
                **{"state": "running", "recipe": "a"},
            }


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_tls_user_and_password(tmp_path, certificates, caplog):
    users = [("line", PASSWORD), ("reader", "other")]
    ca = str(certificates / "ca.pem")
    (tmp_path / "password.txt").write_text(f"{PASSWORD}\n")
    (tmp_path / "wrong.txt").write_text("geheim=#2\n")
    common = {"tls": True, "ca": ca, "user": "line"}
    said = []  # of refusals, where paho leaves the socket to Python, which warns of it

    def refusal(port, **settings):
        with mqtt(tmp_path, port, **settings) as output:
            with pytest.raises(OSError) as caught:
                output.open()
        said.append(f"{caught.value!r} {caught.value} {output.settings!r}")
        return str(caught.value)

    with Mosquitto(tmp_path / "broker", users=users, tls=certificates) as broker:
        listener = Listener(broker, "#", user="reader", password="other", tls=certificates)
        with listener:
            with connected(tmp_path, broker.port, **common, password_file="password.txt") as output:
                assert output.send(RECORDS) == 100
                assert until(lambda: len(listener.documents("verdict")) == 100)
        assert "Not authorized" in refusal(broker.port, **common, password_file="wrong.txt")
        assert "Not authorized" in refusal(broker.port, **common)
        assert "CERTIFICATE_VERIFY_FAILED" in refusal(broker.port, tls=True, user="line")
        assert refusal(broker.port, user="line", ack_s=1.0)  # plain text to a TLS port
        with connected(tmp_path, broker.port, **common, password_file="password.txt") as output:
            said.append(repr(output.settings.broker(output.context)))
    assert "geheim" not in "".join(said) + caplog.text
    gc.collect()


def test_a_certificate_instead_of_a_password(tmp_path, certificates):
    ca = str(certificates / "ca.pem")
    mine = {
        "certificate": str(certificates / "client.pem"),
        "key": str(certificates / "client.key"),
    }
    options = ("require_certificate true", "use_identity_as_username true")
    with Mosquitto(tmp_path / "broker", *options, tls=certificates) as broker:
        with connected(tmp_path, broker.port, tls=True, ca=ca, **mine) as output:
            assert output.send(RECORDS) == 100
        with fails(ConfigError, "station/certificate"):
            mqtt(tmp_path, broker.port, tls=True, ca="none.pem").open()


def test_an_exception_in_a_callback_ends_nothing(tmp_path, broker, monkeypatch):
    """paho would end its thread without a word."""
    called = []

    def raises(*given):
        called.append(given)
        raise RuntimeError("in a callback")

    monkeypatch.setattr(BrokerConnection, "_on_message", raises)
    with Listener(broker, "none") as listener:
        with connected(tmp_path, broker.port, commands=True) as output:
            listener.publish("edgeseg/test/command", {"command": "stop"})
            assert until(lambda: called)
            assert output.send(RECORDS) == 100


def test_an_exception_in_the_thread_of_the_status_opens_the_connection_again(tmp_path, broker):
    states = [StationState()]
    with connected(tmp_path, broker.port, state=lambda: states.pop()) as output:
        assert until(lambda: output._connection.problem)
        with pytest.raises(OSError) as caught:
            output.check()
        assert "pop" in str(caught.value)


def test_a_broker_that_may_not_be_written_to_acknowledges_nothing(tmp_path):
    acl = tmp_path / "acl"
    acl.write_text("topic write edgeseg/test/status\ntopic read #\n")
    with Mosquitto(tmp_path / "broker", f"acl_file {acl}") as broker:
        with connected(tmp_path, broker.port) as output:
            with pytest.raises(OSError) as caught:
                output.send(RECORDS)
        assert "edgeseg/test/top/verdict: Not authorized" in str(caught.value)


@pytest.mark.parametrize("most", [1, 2, 100])
def test_a_broker_that_takes_few_at_once_gets_all(tmp_path, most):
    with Mosquitto(tmp_path / "broker", f"max_inflight_messages {most}") as broker:
        with Listener(broker, "+/+/top/verdict") as listener:
            with connected(tmp_path, broker.port) as output:
                assert output.send(RECORDS) == 100
                assert until(lambda: len(listener.got) == 100)


def test_a_subscriber_sees_the_will_when_the_station_is_gone(tmp_path, broker):
    with Listener(broker, "edgeseg/test/status") as listener:
        with connected(tmp_path, broker.port, heartbeat_s=100) as output:
            assert until(lambda: listener.got)
            output._attendant.end()
            socket.socket.shutdown(output._connection._client.socket(), socket.SHUT_RDWR)
            assert until(lambda: listener.got[-1][1]["state"] == "offline")
            will = listener.got[-1][1]
            assert not will["alive"] and not will["cameras"]["top"]["ok"]
            assert will["cameras"]["top"]["reason"] == "the station does not answer"
            with pytest.raises(OSError):
                output.send(RECORDS)
            with pytest.raises(OSError):
                output.check()
            output.close()
            output.open()
            assert output.send(RECORDS) == 100
            assert until(lambda: listener.got[-1][1]["state"] == "online")


def test_a_trial_does_not_disturb_a_station_that_runs(tmp_path, broker):
    with Listener(broker, "#") as listener:
        with connected(tmp_path, broker.port) as output:
            trial = replace(make_context(tmp_path), trial=True)
            settings = {"host": "127.0.0.1", "port": broker.port, "discovery": "homeassistant"}
            with opened(trial, "mqtt", **settings) as tried:
                tried.open()
            assert output.send(RECORDS) == 100
            assert until(lambda: len(ids(listener)) == 100 and listener.documents("/status"))
            assert {document["state"] for document in listener.documents("/status")} == {"online"}
        assert not listener.documents("/config")


def test_of_two_stations_with_one_name_the_first_is_cut_off(tmp_path, broker):
    with connected(tmp_path, broker.port) as first, connected(tmp_path, broker.port):
        with pytest.raises(OSError):
            first.send(RECORDS)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x00",
        b"\x20\x03\x00\x00",
        b"\x20\x03\x00\x87\x00",
        b"\x20\x03\x00\x00\x00" + b"\x40\xff\xff\xff\xff" * 3,
        b"\x20\x03\x00\x00\x00" + b"\x40\x02\x00\x09" * 9,  # of messages that nobody sent
        b"\x20\x03\x00\x00\x00" + b"\x30\x02\xff\xff",
    ],
)
def test_a_broker_that_lies_acknowledges_nothing(tmp_path, answer):
    """Also where paho's thread ends of an exception: nothing counts without its PUBACK."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            peer, _ = server.accept()
            with peer:
                peer.recv(4096)
                peer.sendall(answer)
                over.wait(10)

        output = mqtt(tmp_path, server.getsockname()[1], ack_s=0.4)
        over = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            with pytest.raises(OSError):
                output.open()
                output.send(RECORDS)
            output.close()
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"ca": "ca.pem"}, "station/config"),
        ({"password_env": "X"}, "station/config"),
        ({"topic": "a/+"}, "station/config"),
        ({"topic": "/a"}, "station/config"),
        ({"discovery": "#"}, "station/config"),
        ({"port": 0}, "station/config"),
        ({"keepalive_s": 0}, "station/config"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, settings, code):
    with fails(ConfigError, code):
        mqtt(tmp_path, **{"port": 1, **settings})


def test_a_password_in_clear_text_is_warned_of(tmp_path, monkeypatch, caplog):
    pytest.importorskip("paho.mqtt.client")
    pytest.importorskip("paho.mqtt.client")
    monkeypatch.setenv("BROKER_PASSWORD", PASSWORD)
    output = opened(
        make_context(tmp_path), "mqtt", host="broker", user="u", password_env="BROKER_PASSWORD"
    )
    output.settings.broker(output.context)
    assert "clear text" in caplog.text and PASSWORD not in caplog.text


def test_no_record_is_lost_while_the_broker_is_frozen_killed_and_back(tmp_path, monkeypatch):
    """What a killed broker had acknowledged and not passed on is its own: it is idle before."""
    monkeypatch.setattr("edgeseg.station.workers.FIRST_PAUSE", 0.05)
    monkeypatch.setattr("edgeseg.station.workers.LONGEST_PAUSE", 0.1)
    listening = threading.Event()
    listening.set()
    with Mosquitto(tmp_path / "broker") as broker, Journal(tmp_path / FILE) as journal:
        output = mqtt(tmp_path, broker.port, ack_s=0.5)
        connect = output.open
        output.open = lambda: listening.wait(120) and connect()
        cursors = Cursors(tmp_path / CURSORS, last=0)
        worker = Delivery(OutputConfig(kind="mqtt", name="m"), output, tmp_path / FILE, cursors)
        journal.tell(stored=lambda stored: worker.wake())
        with cursors:
            with Listener(broker, "edgeseg/test/top/verdict") as listener:
                worker.start()
                append(journal, 1, COUNT // 4)
                assert until(lambda: len(listener.got) > COUNT // 8)
                broker.freeze()
                append(journal, COUNT // 4, COUNT // 2)
                assert until(lambda: worker.failures)
                broker.thaw()
                assert until(lambda: ids(listener)[-1] == worker.cursor == COUNT // 2 - 1)
                broker.freeze()
                append(journal, COUNT // 2, 3 * COUNT // 4)
                time.sleep(0.1)  # some are in flight
                listening.clear()
                broker.kill()
                assert until(lambda: worker.problem)
                seen = ids(listener)
            append(journal, 3 * COUNT // 4, COUNT + 1)
            broker.start()
            with Listener(broker, "edgeseg/test/top/verdict") as listener:
                listening.set()
                assert until(lambda: worker.cursor == COUNT)
                assert until(lambda: ids(listener)[-1:] == [COUNT])
                seen += ids(listener)
            worker.stop(2.0)
    assert list(dict.fromkeys(seen)) == list(range(1, COUNT + 1))


def append(journal, first, end):
    for number in range(first, end):
        journal.append(inspection(number))


def test_a_frozen_broker_is_given_up_in_time(tmp_path, broker):
    with connected(tmp_path, broker.port, ack_s=2.0) as output:
        broker.freeze()
        with pytest.raises(OSError) as caught:
            output.send(RECORDS)
        output.close()
        with pytest.raises(OSError):
            output.open()
        assert "did not acknowledge in 2 s" in str(caught.value)
        broker.thaw()
    with connected(tmp_path, broker.port) as output:
        assert output.send(RECORDS) == 100


def test_a_connection_that_has_ended_keeps_no_file(tmp_path, broker):
    def files():
        return len(list(Path("/proc/self/fd").iterdir()))

    output = mqtt(tmp_path, broker.port)
    with output:
        output.open()
    gc.collect()
    before = files()
    gc.disable()
    try:
        for _ in range(3):
            output.open()
            output.close()
        assert until(lambda: files() <= before)
    finally:
        gc.enable()
