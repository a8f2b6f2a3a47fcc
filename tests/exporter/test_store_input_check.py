"""An input check for a run that has none, without a training."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from edgeseg.cards import CARD, InputLimit, ModelCard, read_card, write_card
from edgeseg.data.parts import write_parts
from edgeseg.errors import ConfigError, DataError, WriteError
from edgeseg.exporter import store_input_check as module
from edgeseg.exporter.store_input_check import store_input_check
from edgeseg.files import sha256
from edgeseg.loading import open_run
from edgeseg.model.detectors import build_detector
from edgeseg.model.input_check import COLUMNS
from edgeseg.model.teacher import Teacher
from edgeseg.recipes import TrainConfig
from edgeseg.training.checkpoint import save_weights
from edgeseg.training.folder import publish, training_folder
from tests.kit.cards import make_run_card
from tests.kit.errors import fails


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return write_parts(tmp_path_factory.mktemp("set") / "plates", train=12, good=1, bad=1)


@pytest.fixture
def run(photos, tmp_path):
    """A run of 0.2, whose card has no check; random weights."""
    config = TrainConfig(teacher="efficientnet_lite0", student_width=8, head_width=8, image_size=64)
    settings = config.to_json()
    torch.manual_seed(0)
    detector = build_detector("destseg", Teacher(config.teacher), settings, (64, 64))
    names = sorted(path.relative_to(photos).as_posix() for path in photos.glob("train/good/*"))
    digests = {name: sha256(photos / name) for name in names}
    split = {"train": dict(list(digests.items())[2:]), "holdout": dict(list(digests.items())[:2])}
    folder = tmp_path / "runs" / "plates"
    folder.mkdir(parents=True)
    card = make_run_card(name="plates", config=settings, split=split, threshold=0.5)
    write_card(folder / CARD, replace(card, weights_sha256=save_weights(folder, detector)))
    return folder


def test_a_run_gets_a_check_and_nothing_else_changes(run, photos):
    before, weights = read_card(run / CARD, ModelCard), load_file(run / "model.safetensors")
    store_input_check(run, photos)
    after, now = read_card(run / CARD, ModelCard), load_file(run / "model.safetensors")
    assert tuple(limit.name for limit in after.input_check) == COLUMNS
    assert after.input_note["images"] == 12
    changed = {"weights_sha256", "input_check", "input_note"}
    assert replace(after, **{name: getattr(before, name) for name in changed}) == before
    assert all(torch.equal(now[name], tensor) for name, tensor in weights.items())
    with open_run(run) as backend:
        assert backend.new_slot().input_check.shape == (1, len(COLUMNS))


def test_a_run_with_a_check_is_left_as_it_is(run, photos, said):
    check = (InputLimit(name="brightness", low=0.1, high=0.9),)
    write_card(run / CARD, replace(read_card(run / CARD, ModelCard), input_check=check))
    first = (run / CARD).read_bytes()
    store_input_check(run, photos)
    assert (run / CARD).read_bytes() == first and "already" in said[-1]


def test_other_or_too_few_images_are_refused(run, photos, tmp_path):
    with fails(DataError, "data/not-the-same"):
        store_input_check(run, write_parts(tmp_path / "other", train=12, good=1, bad=1, seed=5))
    imported = replace(read_card(run / CARD, ModelCard), split={})
    write_card(run / CARD, imported)
    with fails(DataError, "threshold/no-images"):
        store_input_check(run, photos / "test" / "good")


def test_a_card_that_cannot_be_written_leaves_the_run_as_it_was(run, photos, monkeypatch):
    def full(*_):
        raise WriteError("disk full", remedy="free disk space")

    monkeypatch.setattr(module, "write_card", full)
    monkeypatch.setattr("edgeseg.model.fit_check.DRAWN", 1)
    with pytest.raises(WriteError):
        store_input_check(run, photos)
    open_run(run).close()  # the weights are those of the card


def test_stopped_while_it_replaces_the_run_it_is_completed_by_resume(run, photos, monkeypatch):
    monkeypatch.setattr("edgeseg.training.folder.publish", stop)
    with pytest.raises(KeyboardInterrupt):
        store_input_check(run, photos)
    monkeypatch.undo()
    open_run(run).close()
    with fails(ConfigError, "train/unfinished"):
        store_input_check(run, photos)
    with training_folder(run, resume=True, overwrite=False) as folder:
        publish(folder, run)
    assert read_card(run / CARD, ModelCard).input_check
    open_run(run).close()


def stop(*_):
    raise KeyboardInterrupt
