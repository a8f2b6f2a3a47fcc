"""Signatures: what a key has said, and everything that only looks like it."""

import shutil
import subprocess

import pytest

from edgeseg.errors import ConfigError, RegistryError
from edgeseg.fleet import signature as module
from edgeseg.fleet.config import PullConfig
from edgeseg.fleet.pull import pull
from edgeseg.fleet.signature import sign, verify
from tests.kit.errors import fails
from tests.kit.followed import Followed, follow, keep_frames, release
from tests.kit.registry import client

pytest.importorskip("cryptography")


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two pairs of keys, by openssl."""
    if shutil.which("openssl") is None:
        pytest.skip("no keys without openssl: apt-get install openssl")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("plant", "other"):
        key, public = folder / f"{name}.key", folder / f"{name}.pub"
        make = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(key)]
        subprocess.run(make, check=True, capture_output=True)
        show = ["openssl", "pkey", "-in", str(key), "-pubout", "-out", str(public)]
        subprocess.run(show, check=True, capture_output=True)
    return folder


def opened(place):
    host, _, name = place.partition("/")
    return client(host, name)


def test_a_signature_is_of_one_key_one_tag_and_one_repository(tmp_path, place, keys):
    digest = release(tmp_path / "m", place, sign=keys / "plant.key")
    registry = opened(place)
    assert verify(registry, digest, "stable", keys / "plant.pub") > 1_700_000_000
    data, _ = registry.manifest("stable")
    registry.put_manifest(data, "candidate")
    for tag, key in (("candidate", "plant"), ("stable", "other")):
        with fails(RegistryError, "registry/signature"):
            verify(registry, digest, tag, keys / f"{key}.pub")
    tag = module._tag(digest, "stable")
    (stolen, _), other = registry.manifest(tag), opened(place.replace("bottle", "cap"))
    release(tmp_path / "m", place.replace("bottle", "cap"))
    layer = module.read_artifact(stolen, module.SIGNATURE).only(module.SIGNED)
    other.send(layer, registry.read(layer))
    other.send(module.blob_of(b"{}", "x"), b"{}")
    other.put_manifest(stolen, tag)
    with fails(RegistryError, "registry/signature") as error:
        verify(other, digest, "stable", keys / "plant.pub")
    assert "something else" in error.value.problem


def test_what_nobody_has_signed_is_not_pulled(tmp_path, place, keys):
    release(tmp_path / "m", place)
    with fails(RegistryError, "registry/signature"):
        pull(place, PullConfig(to=tmp_path / "to", key=keys / "plant.pub", retry=0))
    assert not (tmp_path / "to").exists()


def test_a_signature_is_looked_for_under_a_tag(tmp_path, place, keys):
    digest = release(tmp_path / "m", place, sign=keys / "plant.key")
    config = PullConfig(key=keys / "plant.pub", to=tmp_path / "to", retry=0)
    assert pull(f"{place}@{digest}", config).digest == digest
    with fails(ConfigError, "registry/no-tag"):
        pull(f"{place.removesuffix(':stable')}@{digest}", config)


def test_a_station_refuses_an_older_signature(tmp_path, place, keys, monkeypatch):
    fleet = f'key = "{keys}/plant.pub"\n'
    file = follow(tmp_path / "station", place, fleet=fleet)
    keep_frames(file)
    followed = Followed(file)
    release(tmp_path / "m", place, limit=0.72)
    assert "[registry/signature]" in followed.look().problem
    old = release(tmp_path / "m", place, limit=0.72, sign=keys / "plant.key")
    assert followed.look().running == old
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now + 100)
    new = release(tmp_path / "m", place, limit=0.71, number=2, sign=keys / "plant.key")
    assert followed.look().running == new
    registry = opened(place)
    registry.put_manifest(registry.manifest(old)[0], "stable")  # by somebody without the key
    assert "older than that of a model that was kept" in followed.look().problem
    assert followed.limit == 0.71
    monkeypatch.setattr(module.time, "time", lambda: now + 200)
    release(tmp_path / "m", place, limit=0.72, sign=keys / "plant.key")  # by who has it
    assert (followed.look().problem, followed.limit) == ("", 0.72)


def test_a_clock_that_is_behind_locks_no_station_out(tmp_path, place, keys, monkeypatch, said):
    file = follow(tmp_path / "station", place, fleet=f'key = "{keys}/plant.pub"\n')
    keep_frames(file)
    followed, now = Followed(file), module.time.time()
    for number, clock in enumerate((now + 1000, now, now)):
        monkeypatch.setattr(module.time, "time", lambda clock=clock: clock)
        new = release(tmp_path / "m", place, limit=0.72, number=number, sign=keys / "plant.key")
        assert followed.look().running == new
    assert any("was signed 1000 s after the time of this machine" in line for line in said)


def test_a_model_that_cannot_be_signed_takes_no_tag(tmp_path, place, keys):
    digest = release(tmp_path / "m", place, sign=keys / "plant.key")
    with fails(ConfigError, "registry/key"):
        release(tmp_path / "m", place, number=2, sign=keys / "plant.pub")
    assert opened(place).digest_of("stable") == digest


@pytest.mark.parametrize("content", ["", "no key", None])
def test_what_is_no_key_is_named(tmp_path, place, content):
    path = tmp_path / "key"
    if content is not None:
        path.write_text(content)
    with fails(ConfigError, "registry/key"):
        sign(opened(place), "sha256:0", 0, "stable", path)
    with fails(ConfigError, "registry/key"):
        module.public_key(path)
