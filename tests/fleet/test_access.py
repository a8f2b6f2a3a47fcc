"""Passwords and tokens: where they come from, and who gets them."""

import base64
import json

import pytest

from edgeseg.errors import ConfigError, RegistryError
from edgeseg.fleet.access import Entrance, RegistryAccess, _akin
from edgeseg.fleet.registry import MANIFEST
from edgeseg.station.following.reference import parse_reference
from tests.kit.errors import fails
from tests.kit.registry import Peer, client

BASIC = "Basic " + base64.b64encode(b"line:s3cret").decode()


@pytest.fixture(autouse=True)
def no_docker(tmp_path, monkeypatch):
    """An empty folder of Docker's settings."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    return tmp_path / "docker"


def stable(handler):
    handler.send(200, b"{}", Content_Type=MANIFEST)


@pytest.mark.parametrize("source", ["file", "environment", "docker", "none"])
def test_the_password_is_sent_with_the_first_request(tmp_path, no_docker, monkeypatch, source):
    (tmp_path / "password").write_text("s3cret\n")
    monkeypatch.setenv("REGISTRY_PASSWORD", "s3cret")
    settings = {
        "file": {"user": "line", "password_file": str(tmp_path / "password")},
        "environment": {"user": "line", "password_env": "REGISTRY_PASSWORD"},
    }
    with Peer(stable) as peer:
        if source == "docker":
            no_docker.mkdir()
            auths = {peer.host: {"auth": BASIC.removeprefix("Basic ")}}
            (no_docker / "config.json").write_text(json.dumps({"auths": auths}))
        client(peer.host, **settings.get(source, {})).manifest("stable")
    expected = None if source == "none" else BASIC
    assert [password for *_, password in peer.asked] == [expected] * 2


def token_server(realm=None, **token):
    """A registry that wants a token, and is its own token service."""

    def answer(handler):
        if handler.path.startswith("/token"):
            return handler.send(200, json.dumps({"token": "t1", **token}).encode())
        if handler.headers.get("Authorization") == "Bearer t1":
            return stable(handler)
        where = realm or f"http://{peer.host}/token"
        return handler.send(401, WWW_Authenticate=f'Bearer realm="{where}",service="hall"')

    peer = Peer(answer)
    peer.challenges = True
    return peer


def test_a_token_is_asked_for_before_anything_is_sent(tmp_path):
    (tmp_path / "password").write_text("s3cret")
    with token_server() as peer:
        access = {"user": "line", "password_file": str(tmp_path / "password")}
        assert client(peer.host, **access).manifest("stable") is not None
    token, manifest = peer.asked[1:]
    assert token[1] == "/token?scope=repository%3Aline%2Fbottle%3Apull%2Cpush&service=hall"
    assert (token[2], manifest[2]) == (BASIC, "Bearer t1")


def test_a_token_that_ends_is_replaced():
    with token_server(expires_in=0) as peer:
        pulls = client(peer.host)
        pulls._entrance.header()
        pulls._entrance._until = 1e-9
        pulls.manifest("stable")
    assert sum(path.startswith("/token") for _, path, _ in peer.asked) == 2


def test_a_token_for_longer_than_any_clock_has_numbers_is_a_token():
    with token_server(expires_in=10**400) as peer:
        assert client(peer.host).manifest("stable") is not None


@pytest.mark.parametrize(
    ("realm", "code"),
    [
        ("http://elsewhere.test/token", "token-host"),
        ("https://[::1]/t", "token-host"),
        ("nonsense", "answer"),
        ("http://[::1", "answer"),
        ("http://127.0.0.1:99999/t", "answer"),
        ("http://127.0.0.1@elsewhere.test/t", "answer"),
    ],
)
def test_a_service_of_another_domain_gets_no_password(realm, code):
    with token_server(realm) as peer, fails(RegistryError, f"registry/{code}"):
        client(peer.host).manifest("stable")


@pytest.mark.parametrize(
    ("host", "registry", "akin"),
    [
        ("registry.plant.test", "registry.plant.test", True),
        ("auth.plant.test", "registry.plant.test", True),
        ("other.test", "plant.test", False),  # a domain of one word is nobody's
        ("gitlab.plant.test", "registry.gitlab.plant.test", True),  # as GitLab is set up
        ("plant.test", "registry.gitlab.plant.test", False),
        ("evilgitlab.plant.test", "registry.gitlab.plant.test", False),
        ("10.0.0.2", "10.0.0.1", False),
    ],
)
def test_a_token_service_is_of_the_registrys_domain(host, registry, akin):
    assert _akin(host, registry) is akin


@pytest.mark.parametrize("path", ["/v2/", "/token"])
def test_a_registry_that_is_busy_is_asked_again(path):
    with token_server() as peer:
        answer, left = peer.answer, [503, 429]

        def busy(handler):
            if handler.path.startswith(path) and left and handler.path[:7] != "/v2/lin":
                return handler.send(left.pop())
            return answer(handler)

        peer.answer = busy
        assert client(peer.host, patience_s=120.0).manifest("stable") is not None
    assert left == []


@pytest.mark.parametrize("token", [{"token": 1}, {"token": "a b"}, {"token": "x\r\nEvil: 1"}])
def test_a_token_that_is_none_is_refused(token):
    with token_server(**token) as peer, fails(RegistryError, "registry/answer"):
        client(peer.host).manifest("stable")


def test_http_needs_this_machine_or_an_explicit_setting():
    def root(host, **settings):
        return Entrance(parse_reference(f"{host}/a:b"), RegistryAccess(**settings)).root.geturl()

    assert root("127.0.0.1:5000") == "http://127.0.0.1:5000"
    assert root("registry.test") == "https://registry.test"
    assert root("registry.test", plain_http=True) == "http://registry.test"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"user": "line"}, "registry/password"),
        ({"user": "a:b", "password_env": "HOME"}, "registry/password"),
        ({"user": "line", "password_file": "none"}, "station/secret"),
        ({"ca": "none.pem"}, "station/certificate"),
    ],
)
def test_what_cannot_be_used_is_named(settings, code):
    with fails(ConfigError, code) as error:
        client("registry.test", **settings)
    assert not {"station's", "password_file"} & set(error.value.remedy.split())  # no station here


def test_a_user_without_a_home_has_no_settings_of_docker(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("DOCKER_CONFIG")
    monkeypatch.setattr("pathlib.Path.home", homeless)
    with Peer(stable) as peer:
        assert client(peer.host).manifest("stable") is not None


def test_settings_of_docker_that_cannot_be_read_are_named(no_docker):
    no_docker.mkdir()
    (no_docker / "config.json").write_text("{")
    with fails(ConfigError, "registry/password"):
        client("registry.test")
