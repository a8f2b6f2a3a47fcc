import json
import time

import pytest

from edgeseg.errors import WriteError
from edgeseg.station.page.access import (
    FILE,
    Access,
    KnownHosts,
    Tokens,
    is_loopback,
    is_same_origin,
    kept_tokens,
)
from tests.kit.errors import fails

TOKENS = Tokens(view="v" * 20, operate="o" * 20)


def test_tokens_are_made_once_and_only_their_owner_reads_them(tmp_path):
    found, new = kept_tokens(tmp_path)
    assert new and len(found.view) > 24 and found.view != found.operate
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    (tmp_path / FILE).chmod(0o644)
    assert kept_tokens(tmp_path) == (found, False)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "text", ["", "[]", '{"view": "a"}', json.dumps({"view": "same" * 9, "operate": "same" * 9})]
)
def test_a_damaged_file_is_named_and_kept(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with fails(WriteError, "station/tokens"):
        kept_tokens(tmp_path)
    assert (tmp_path / FILE).read_text() == text


def test_a_token_gives_its_role():
    access = Access(TOKENS)
    assert access.role(TOKENS.view) == "view"
    assert access.role(TOKENS.operate) == "operate"
    for wrong in ("", "v" * 19, "v" * 21, "é", "\udcff"):
        assert access.role(wrong) is None
    assert access.visitor(f"Bearer {TOKENS.view}", "").role == "view"
    assert access.visitor(f"Basic {TOKENS.view}", "").role is None


def test_a_session_is_valid_until_its_end_and_only_as_it_was_given(monkeypatch):
    access = Access(TOKENS, "c")
    session = access.session("view")
    visitor = access.visitor("", f"other=1; c={session}")
    assert visitor.role == "view" and len(visitor.csrf) == 64
    role, until, rest = session.split(".", 2)
    for wrong in (
        f"operate.{until}.{rest}",
        f"{role}.{int(until) + 1}.{rest}",
        session[:-1],
        session + "0",
        "view.1.2",
        "view",
        "..",
        "",
        "view.٣.x.y",
    ):
        assert access.visitor("", f"c={wrong}").role is None
    assert Access(Tokens("x" * 20, "y" * 20), "c").visitor("", f"c={session}").role is None
    monkeypatch.setattr(time, "time", lambda: int(until) + 1)
    assert access.visitor("", f"c={session}").role is None


def test_without_tokens_everybody_operates():
    access = Access(None)
    assert access.open and access.visitor("", "").role == "operate"
    assert access.visitor("", "").csrf


def test_only_this_machine_is_loopback():
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert is_loopback(host)
    for host in ("0.0.0.0", "::", "192.168.1.5", "station-1", "127.0.0.1.example.com"):
        assert not is_loopback(host)


def test_a_foreign_name_is_not_known():
    local = KnownHosts("127.0.0.1", ("panel.plant",))
    for good in ("127.0.0.1:8765", "localhost", "LOCALHOST:1", "[::1]:80", "panel.plant:443"):
        assert local.knows(good), good
    for bad in (
        "",
        "evil.example",
        "evil.example:8765",
        "192.168.1.5:80",
        "127.0.0.1:x",
        "[",
        "::",
    ):
        assert not local.knows(bad), bad
    other = KnownHosts("0.0.0.0", ())
    assert other.knows("192.168.1.5:8765") and other.knows("[fe80::1]:80")
    assert not other.knows("evil.example:8765")


def test_another_page_is_another_origin():
    host = "127.0.0.1:80"
    assert is_same_origin({}, host, tls=False)
    assert is_same_origin({"Origin": "http://127.0.0.1:80"}, host, tls=False)
    assert is_same_origin({"Sec-Fetch-Site": "same-origin"}, host, tls=False)
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1:80"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert not is_same_origin(headers, host, tls=False)
