"""The client against a real registry, and against servers that break every rule."""

import hashlib
import json
import shutil
import subprocess
import time
from types import SimpleNamespace

import pytest

from edgeseg.errors import RegistryError, WriteError
from edgeseg.fleet import registry as module
from edgeseg.fleet.artifact import MODEL, Artifact, read_artifact
from edgeseg.fleet.registry import MANIFEST, Blob, blob_of, digest_of
from tests.kit.certificates import write_certificates
from tests.kit.errors import fails
from tests.kit.registry import PASSWORD, USER, DockerRegistry, Peer, client

DATA = bytes(range(256)) * 4096  # 1 MiB
BLOB = blob_of(DATA, "application/octet-stream", "data.bin")


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """A registry with TLS and a password, and what opens it."""
    folder = tmp_path_factory.mktemp("closed")
    tls = write_certificates(folder / "tls", "127.0.0.1")
    (folder / "password").write_text(f"{PASSWORD}\n")
    opens = {"ca": str(tls / "ca.pem"), "user": USER, "password_file": str(folder / "password")}
    with DockerRegistry(folder, tls=tls, password=True) as found:
        yield found, opens


def test_what_was_pushed_is_pulled_through_tls_and_a_password(tmp_path, closed, monkeypatch):
    registry, opens = closed
    monkeypatch.setattr(module, "CHUNK", 300_000)  # four requests
    pushes = client(registry.host, **opens)
    assert pushes.send(BLOB, DATA) and pushes.sent == len(DATA)
    again = client(registry.host, **opens)
    assert not again.send(BLOB, DATA) and again.sent == 0
    manifest = Artifact(MODEL, BLOB, (BLOB,)).to_bytes()
    digest = pushes.put_manifest(manifest, "stable")
    pulls = client(registry.host, push=False, **opens)
    assert pulls.manifest("stable") == pulls.manifest(digest) == (manifest, digest)
    assert (pulls.digest_of("stable"), pulls.digest_of("none")) == (digest, None)
    path = tmp_path / "data.bin"
    assert pulls.fetch(BLOB, path) and path.read_bytes() == DATA
    assert not pulls.fetch(BLOB, path)
    path.write_bytes(DATA[:-1] + b"x")
    assert pulls.fetch(BLOB, path) and path.read_bytes() == DATA


def test_who_is_not_let_in_is_told_so(tmp_path, closed, monkeypatch):
    registry, opens = closed
    (tmp_path / "wrong").write_text("wrong")
    for access in (
        {"ca": opens["ca"]},
        opens | {"password_file": str(tmp_path / "wrong")},
    ):
        with fails(RegistryError, "registry/refused") as error:
            client(registry.host, **access).manifest("stable")
        assert "wrong" not in str(error.value)
    monkeypatch.setattr(module.time, "sleep", lambda seconds: 1 / 0)  # a second try ends alike
    with fails(RegistryError, "registry/unreachable"):
        opens = opens | {"ca": str(write_certificates(tmp_path / "other") / "ca.pem")}
        client(registry.host, **opens, patience_s=3600.0).manifest("stable")


def test_skopeo_reads_what_was_pushed(tmp_path, registry):
    if shutil.which("skopeo") is None:
        pytest.skip("no skopeo: apt-get install skopeo")
    pushes = client(registry.host, "line/skopeo:stable")
    pushes.send(BLOB, DATA)
    pushes.put_manifest(Artifact(MODEL, BLOB, (BLOB,), {"k": "v"}).to_bytes(), "stable")
    name = f"docker://{registry.host}/line/skopeo:stable"
    command = ["skopeo", "copy", "--src-tls-verify=false", name, f"dir:{tmp_path}/copy"]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "copy" / BLOB.digest.removeprefix("sha256:")).read_bytes() == DATA
    document = json.loads((tmp_path / "copy/manifest.json").read_text())
    assert (document["artifactType"], document["annotations"]) == (MODEL, {"k": "v"})


def test_a_bit_flipped_on_the_disk_of_the_registry_is_refused(tmp_path, registry):
    pushes = client(registry.host, "line/flipped:stable")
    data = DATA + b"flipped"
    blob = blob_of(data, "application/octet-stream", "data.bin")
    pushes.send(blob, data)
    registry.flip(blob.digest)
    path = tmp_path / "data.bin"
    path.write_bytes(b"what was there")
    with fails(RegistryError, "registry/digest"):
        pushes.fetch(blob, path)
    assert path.read_bytes() == b"what was there"
    assert [each.name for each in tmp_path.iterdir()] == ["data.bin"]


def blob_server(*answers):
    """A server whose answers to GET of a blob are functions of the handler, the last for ever."""
    left = list(answers)
    return Peer(lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler))


def drops_in_the_middle(handler):
    handler.send(200, DATA[: len(DATA) // 2], len(DATA))
    handler.close_connection = True


def goes_on(handler):
    start = int(handler.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    where = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
    handler.send(206, DATA[start:], Content_Range=where)


def test_a_broken_transfer_goes_on_where_it_ended(tmp_path):
    with blob_server(lambda h: h.send(503), drops_in_the_middle, goes_on) as peer:
        pulls = client(peer.host, patience_s=120.0)
        pulls.fetch(BLOB, tmp_path / "data.bin")
        assert pulls.received == len(DATA)
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_a_byte_at_a_time_is_no_progress(tmp_path, monkeypatch):
    now, asked = [0.0], []

    def sleep(seconds):
        now[0] += seconds

    def one_byte(handler):
        start = len(asked)
        asked.append(start)
        if start == 200:
            return goes_on(handler)
        where = f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"
        handler.send(206 if start else 200, DATA[start : start + 1], len(DATA) - start,
                     Content_Range=where)  # fmt: skip
        handler.close_connection = True

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    with blob_server(one_byte) as peer, fails(RegistryError, "registry/unreachable"):
        client(peer.host, patience_s=5.0).fetch(BLOB, tmp_path / "data.bin")


def test_a_server_without_ranges_begins_again(tmp_path):
    with blob_server(drops_in_the_middle, lambda h: h.send(200, DATA)) as peer:
        client(peer.host, patience_s=120.0).fetch(BLOB, tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == DATA


def endless(handler):
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(DATA)


def drips(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(DATA)))
    handler.end_headers()
    while True:
        handler.wfile.write(b"x")
        time.sleep(0.02)


HOSTILE = {
    "other content": (lambda h: h.send(200, DATA[::-1]), "registry/digest"),
    "endless": (endless, "registry/digest"),
    "longer": (lambda h: h.send(200, DATA + b"x"), "registry/digest"),
    "shorter": (lambda h: h.send(200, DATA[:-1]), "registry/digest"),
    "gone": (lambda h: h.send(404), "registry/not-found"),
    "broken": (lambda h: h.send(500), "registry/unreachable"),
    "a teapot": (lambda h: h.send(418), "registry/answer"),
    "a wrong range": (lambda h: h.send(206, DATA, Content_Range="bytes 5-9/10"), "registry/answer"),
    "round and round": (lambda h: h.send(307, Location=h.path), "registry/answer"),
    "to nowhere": (lambda h: h.send(307, Location="http:///x"), "registry/answer"),
    "to another protocol": (lambda h: h.send(307, Location="file:///x"), "registry/answer"),
    "to no port": (lambda h: h.send(307, Location="http://a.test:99999/"), "registry/answer"),
    "to half an address": (lambda h: h.send(307, Location="http://[::1"), "registry/answer"),
    "to other letters": (lambda h: h.send(307, Location="/\xe9"), "registry/answer"),
    "without protection": (lambda h: h.send(307, Location="http://a.test/"), "registry/plain-http"),
    "hangs up": (lambda h: h.connection.close(), "registry/unreachable"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_server_does_no_harm(tmp_path, kind):
    answer, code = HOSTILE[kind]
    with blob_server(answer) as peer, fails(RegistryError, code):
        client(peer.host).fetch(BLOB, tmp_path / "data.bin")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("slow", [drips, lambda h: time.sleep(1)], ids=["drips", "hangs"])
def test_a_server_that_never_ends_is_left(tmp_path, slow, monkeypatch):
    monkeypatch.setattr(module, "SLOWEST", 1 << 30)
    with blob_server(slow) as peer, fails(RegistryError, "registry/unreachable"):
        client(peer.host, timeout_s=0.3).fetch(BLOB, tmp_path / "data.bin")
    assert not list(tmp_path.iterdir())


def test_a_host_whose_name_is_none_is_not_reached():
    with fails(RegistryError, "registry/unreachable"):
        client("registry..test").manifest("stable")


def test_a_chunked_answer_that_breaks_after_its_last_byte_is_complete(tmp_path):
    def breaks(handler):
        assert "Range" not in handler.headers
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(DATA), DATA))
        handler.close_connection = True

    with blob_server(breaks) as peer:
        client(peer.host, patience_s=120.0).fetch(BLOB, tmp_path / "data.bin")
    assert (tmp_path / "data.bin").read_bytes() == DATA


def test_a_file_that_vanishes_is_not_the_fault_of_the_registry(tmp_path):
    with Peer(lambda h: h.send(404)) as peer, pytest.raises(FileNotFoundError):
        client(peer.host, patience_s=60.0).send(BLOB, tmp_path / "gone")


def test_another_host_gets_no_password(tmp_path, monkeypatch):
    (tmp_path / "password").write_text("secret")
    with Peer(lambda h: h.send(200, DATA)) as other:
        location = f"http://{other.host}/elsewhere"
        with blob_server(lambda h: h.send(307, Location=location)) as peer:
            opens = {"user": "line", "password_file": str(tmp_path / "password")}
            client(peer.host, **opens).fetch(BLOB, tmp_path / "data.bin")
        assert all(password for _, _, password in peer.asked)
        assert other.asked == [("GET", "/elsewhere", None)]


@pytest.mark.parametrize("place", ["http://elsewhere.test/upload", "http://[::1", "/\xe9"])
def test_an_upload_goes_nowhere_else(place):
    def answer(handler):
        if handler.command == "HEAD":
            return handler.send(404)
        return handler.send(202, Location=place)

    with Peer(answer) as peer, fails(RegistryError, "registry/answer"):
        client(peer.host).send(BLOB, DATA)
    assert [method for method, *_ in peer.asked if method == "PUT"] == []


def test_an_upload_that_broke_after_a_long_time_is_sent_again(monkeypatch):
    """The patience begins when something fails, not when the upload begins."""
    now, puts = [1000.0], []
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: None)
    monkeypatch.setattr(module, "time", clock)

    def answer(handler):
        if handler.command == "HEAD":
            return handler.send(404)
        if handler.command == "POST":
            return handler.send(202, Location="/upload")
        puts.append(len(handler.body))
        now[0] += 3600.0
        return handler.send(201) if len(puts) > 1 else handler.connection.close()

    with Peer(answer) as peer:
        assert client(peer.host, patience_s=120.0).send(BLOB, DATA)
    assert puts == [len(DATA)] * 2


MANIFESTS = {
    "another type": {"Content_Type": "text/html"},
    "a wrong digest": {"Content_Type": MANIFEST, "Docker_Content_Digest": digest_of(b"x")},
}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_manifest_is_checked(kind):
    code = "registry/digest" if kind == "a wrong digest" else "registry/answer"
    with Peer(lambda h: h.send(200, b"{}", **MANIFESTS[kind])) as peer:
        with fails(RegistryError, code):
            client(peer.host).manifest("stable")
    with Peer(lambda h: h.send(200, b" " * (2 << 20), Content_Type=MANIFEST)) as peer:
        with fails(RegistryError, "registry/answer"):
            client(peer.host).manifest("stable")
    with Peer(lambda h: h.send(200, b"{}", Content_Type=MANIFEST)) as peer:
        with fails(RegistryError, "registry/digest"):
            client(peer.host).manifest(digest_of(b"x"))


def test_a_full_disk_is_an_error_of_this_disk(tmp_path, monkeypatch):
    def full(*words):
        raise OSError(28, "No space left on device")

    with Peer(lambda h: h.send(200, DATA)) as peer:
        pulls = client(peer.host, patience_s=60.0)
        monkeypatch.setattr(hashlib, "sha256", lambda: type("Full", (), {"update": full})())
        with fails(WriteError, "write/failed"):
            pulls.fetch(BLOB, tmp_path / "data.bin")
    assert not list(tmp_path.iterdir())


def test_a_large_document_is_not_read_into_memory():
    with Peer() as peer, fails(RegistryError, "registry/answer"):
        client(peer.host).read(Blob("x", digest_of(b"x"), 1 << 40))
    assert peer.asked == []


def test_what_was_stored_is_read_as_an_artifact(registry):
    pushes = client(registry.host, "line/artifact:stable")
    pushes.send(BLOB, DATA)
    made = Artifact(MODEL, BLOB, (BLOB,), {"k": "v"}, (digest_of(b"x"), 1))
    pushes.put_manifest(made.to_bytes(), "stable")
    data, _ = pushes.manifest("stable")
    found = read_artifact(data, MODEL)
    assert found.layers == made.layers and found.subject == made.subject
