import json
import socket
import threading
import time

import pytest

from edgeseg.errors import ConfigError
from edgeseg.station.config import OutputConfig
from edgeseg.station.cursors import FILE as CURSORS
from edgeseg.station.cursors import Cursors
from edgeseg.station.journal import FILE, Journal
from edgeseg.station.workers import Delivery
from tests.kit.certificates import write_certificates
from tests.kit.errors import fails
from tests.kit.http_peer import HttpPeer
from tests.kit.outputs import make_context, opened
from tests.kit.ports import free_port
from tests.kit.stations import inspection, until

TOKEN = "s3cret-token"
RECORDS = [inspection(n, id=n) for n in range(1, 8)]


@pytest.fixture
def peer():
    with HttpPeer().serving() as peer:
        yield peer


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return write_certificates(tmp_path_factory.mktemp("tls"), "127.0.0.1")


def webhook(tmp_path, url, **settings):
    output = opened(make_context(tmp_path), "webhook", url=url, **settings)
    output.open()
    return output


def ids(peer):
    return [json.loads(line)["id"] for line in peer.lines]


def test_a_batch_is_one_request_of_json_lines(tmp_path, peer):
    with webhook(tmp_path, peer.url) as output:
        assert output.send(RECORDS) == 7
        assert output.send(RECORDS[:1]) == 1
    (request, body), _ = peer.requests
    assert request.path == "/edgeseg?line=3"
    assert request.headers["Content-Type"] == "application/x-ndjson"
    assert "Authorization" not in request.headers
    assert body.endswith(b"\n")
    assert json.loads(body.splitlines()[0])["key"] == "bench/b1/1"
    assert ids(peer) == [1, 2, 3, 4, 5, 6, 7, 1]
    assert peer.connections == 1


def test_a_request_for_each_record(tmp_path, peer):
    peer.answers = [200, 204, 201, 500, 200]
    with webhook(tmp_path, peer.url, body="record") as output:
        assert output.send(RECORDS) == 3, "what was taken before the failure"
        assert output.send(RECORDS[3:]) == 7
    assert ids(peer) == [1, 2, 3, 4, 4, 5, 6, 7]
    request, body = peer.requests[0]
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Idempotency-Key"] == json.loads(body)["key"]


@pytest.mark.parametrize("status", [100, 199, 300, 301, 304, 307, 400, 401, 404, 409, 500, 503])
def test_only_2xx_acknowledges(tmp_path, peer, status):
    peer.answers = [(status, {"Location": peer.url, "Content-Length": "2"})]
    if status == 100:
        peer.answers = [lambda handler, body: handler.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")]
    with webhook(tmp_path, peer.url, timeout_s=0.3 if status == 100 else 120) as output:
        with pytest.raises(OSError) as caught:
            output.send(RECORDS)
    assert "127.0.0.1" in str(caught.value)
    if status != 100:
        assert str(status) in str(caught.value)


def says(data, *, close=True):
    def answer(handler, body):
        handler.wfile.write(data)
        handler.close_connection = close

    return answer


def drips(handler, body):
    with_size = b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
    handler.wfile.write(with_size)
    try:
        while True:
            handler.wfile.write(b".")
            time.sleep(0.05)
    except OSError:
        pass
    handler.close_connection = True


@pytest.mark.parametrize(
    "lie",
    [
        says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"),
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
        says(b"200 OK\r\n\r\n"),
        says(b"\x00\xff" * 500),
        says(b"HTTP/1.1 abc OK\r\n\r\n"),
        says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n"),
        says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n"),
        says(b""),
        says(b"", close=False),
        drips,
    ],
)
def test_a_server_that_lies_or_hangs_acknowledges_nothing(tmp_path, peer, lie):
    peer.answers = [lie, 200]
    with webhook(tmp_path, peer.url, timeout_s=0.4) as output, pytest.raises(OSError):
        output.send(RECORDS)
    with webhook(tmp_path, peer.url) as output:
        assert output.send(RECORDS) == 7


def test_an_answer_without_an_end_is_not_read(tmp_path, peer):
    def endless(handler, body):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                handler.wfile.write(b"x" * 100_000)
        except OSError:
            handler.close_connection = True

    peer.answers = [endless, 200]
    with webhook(tmp_path, peer.url) as output:
        assert output.send(RECORDS[:3]) == 3
        assert output.send(RECORDS[3:]) == 7


def test_a_connection_that_the_server_has_closed_is_opened_again(tmp_path, peer):
    def closes(handler, body):
        handler.send_response(200)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        handler.close_connection = True  # without having said so

    peer.answers = [closes]
    with webhook(tmp_path, peer.url) as output:
        for record in RECORDS:
            assert output.send([record]) == record.id
            time.sleep(0.02)
    assert list(dict.fromkeys(ids(peer))) == [1, 2, 3, 4, 5, 6, 7]


def test_a_batch_that_is_too_large_becomes_smaller(tmp_path, peer):
    def few(handler, body):
        taken = len(body.splitlines()) <= 2
        handler.send_response(200 if taken else 413)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    peer.answers = [few]
    with webhook(tmp_path, peer.url) as output:
        for _ in range(2):
            with pytest.raises(OSError):
                output.send(RECORDS)
        assert output.send(RECORDS) == 7


def test_it_waits_as_long_as_it_is_asked_to(tmp_path, peer):
    peer.answers = [(503, {"Retry-After": "100"}), (429, {"Retry-After": "soon"}), 200]
    with webhook(tmp_path, peer.url) as output:
        with pytest.raises(OSError):
            output.send(RECORDS)
        with pytest.raises(OSError) as caught:
            output.open()
        assert "asked to wait" in str(caught.value)
        output._not_before = 0.0
        output.open()
        with pytest.raises(OSError):
            output.send(RECORDS)
        output.open()
        assert output.send(RECORDS) == 7


def test_nobody_listens(tmp_path):
    port = free_port()
    with pytest.raises(ConnectionError) as caught:
        webhook(tmp_path, f"http://127.0.0.1:{port}/")
    assert f"127.0.0.1:{port}" in str(caught.value)


def test_a_token_comes_from_a_file_or_the_environment(tmp_path, peer, monkeypatch, caplog):
    (tmp_path / "token.txt").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("LINE_TOKEN", TOKEN)
    echo = says(f"HTTP/1.1 401 {TOKEN}\r\nContent-Length: 12\r\n\r\n{TOKEN}".encode())
    said = []
    for source in ({"token_file": "token.txt"}, {"token_env": "LINE_TOKEN"}):
        peer.answers = [200, echo, says(f"{TOKEN}\r\n\r\n".encode())]
        with webhook(tmp_path, peer.url, **source) as output:
            output.send(RECORDS)
            assert peer.requests[-1][0].headers["Authorization"] == f"Bearer {TOKEN}"
            for _ in range(2):
                with pytest.raises(OSError) as caught:
                    output.send(RECORDS)
                said += [str(caught.value), repr(caught.value)]
                output.close()
            said.append(repr(output.settings))
    assert TOKEN not in "".join(said) + caplog.text


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ({"token_file": "none.txt"}, None),
        ({"token_file": "t"}, ""),
        ({"token_file": "t"}, "two words"),
        ({"token_file": "t"}, "a\nX-Evil: 1"),
        ({"token_file": "t"}, "übel"),
        ({"token_env": "EDGESEG_TEST_NONE"}, None),
        ({"token_file": "t", "token_env": "EDGESEG_TEST_NONE"}, "xyzzy"),
    ],
)
def test_a_token_that_cannot_be_used_is_refused_and_not_shown(tmp_path, peer, source, text):
    if text is not None:
        (tmp_path / "t").write_text(text)
    with fails(ConfigError, "station/secret") as caught:
        webhook(tmp_path, peer.url, **source)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "host/path",
        "ftp://host/",
        "http://",
        "http://host:0/",
        "http://host:99999/",
        "http://user:geheim@host/",
        "http://host/#x",
        "http://ho st/",
        "http://host/\r\nX: 1",
        "http:///path",
    ],
)
def test_an_address_that_cannot_be_used_is_refused(tmp_path, url):
    with fails(ConfigError, "station/url") as caught:
        opened(make_context(tmp_path), "webhook", url=url)
    assert "geheim" not in str(caught.value)


def test_a_token_is_not_sent_over_plain_http(tmp_path):
    with fails(ConfigError, "station/url"):
        opened(make_context(tmp_path), "webhook", url="http://host.example/", token_env="X")


def test_https_verifies_the_server(tmp_path, certificates):
    ca = str(certificates / "ca.pem")
    pair = {name: str(certificates / f"client.{end}") for name, end in PAIR}
    with HttpPeer(certificates).serving() as peer:
        with webhook(tmp_path, peer.url, ca=ca, **pair) as output:
            assert output.send(RECORDS) == 7
            assert peer.requests[0][0].connection.getpeercert()["subject"]
        with pytest.raises(ConnectionError) as caught:
            webhook(tmp_path, peer.url)
        assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value)
        with pytest.raises(ConnectionError) as caught:
            webhook(tmp_path, peer.url.replace("127.0.0.1", "localhost"), ca=ca)
        assert "localhost" in str(caught.value)
        for wrong in ({"ca": "none.pem"}, {"ca": ca, "certificate": ca}, {"ca": "text.pem"}):
            (tmp_path / "text.pem").write_text("text")
            with fails(ConfigError, "station/certificate"):
                webhook(tmp_path, peer.url, **wrong)


PAIR = (("certificate", "pem"), ("key", "key"))


def test_a_server_that_never_shakes_hands_is_given_up(tmp_path, certificates):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ConnectionError) as caught:
            webhook(
                tmp_path,
                f"https://127.0.0.1:{port}/",
                ca=str(certificates / "ca.pem"),
                timeout_s=0.2,
            )
    assert "no answer in 0.2 s" in str(caught.value)


def test_no_record_is_lost_whatever_the_server_does(tmp_path, monkeypatch):
    """It refuses, hangs, lies, is slow, is gone and comes back; all records come in order."""
    monkeypatch.setattr("edgeseg.station.workers.FIRST_PAUSE", 0.02)
    monkeypatch.setattr("edgeseg.station.workers.LONGEST_PAUSE", 0.05)
    count, taken = 600, []

    def takes(handler, body, wait=0.0):
        time.sleep(wait)
        taken.extend(json.loads(line)["id"] for line in body.splitlines())
        handler.send_response(204)
        handler.end_headers()

    def hangs(handler, body):
        threading.Event().wait(1.0)

    faults = [500, hangs, says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"), says(b"")]
    slow = lambda handler, body: takes(handler, body, 0.2)  # noqa: E731
    with Journal(tmp_path / FILE) as journal:
        for number in range(1, count):
            journal._waiting.append(journal._place(inspection(number)))
        journal.append(inspection(count))
    first = HttpPeer()
    output = opened(make_context(tmp_path), "webhook", url=first.url, timeout_s=0.3, batch=50)
    with Cursors(tmp_path / CURSORS, last=0) as cursors:
        worker = Delivery(OutputConfig(kind="webhook"), output, tmp_path / FILE, cursors)
        with first.serving():
            first.answers = [fault for each in faults for fault in (takes, each, each)] + [slow]
            worker.start()
            assert until(lambda: len(taken) >= 250)
        assert until(lambda: worker.problem)
        second = HttpPeer(port=first.port)
        second.answers = [takes]
        with second.serving():
            assert until(lambda: worker.cursor == count)
            worker.stop(2.0)
    assert list(dict.fromkeys(taken)) == list(range(1, count + 1))
    assert worker.failures >= len(faults)
