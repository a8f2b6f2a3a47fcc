"""A failed write loses no trained state: it is tried again, kept elsewhere, and brought back."""

import shlex
import tempfile

import pytest
from torch import nn

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.errors import WriteError
from edgeseg.files import sha256
from edgeseg.training.folder import RESUME, read_facts
from edgeseg.training.history import HISTORY, History
from edgeseg.training.keep import Keeper, store
from tests.kit.cards import make_run_card
from tests.kit.checkpoints import make_facts
from tests.kit.errors import fails


@pytest.fixture
def keeper(tmp_path, monkeypatch):
    """Keeps a linear layer; its reserve exists."""
    run = tmp_path / "runs" / "screws"
    run.mkdir(parents=True)
    (run / "reserve").write_bytes(bytes(100))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    history = History(run / HISTORY, (0, 0))
    history.add("student", 0, 0.5, 0.1, 0.1)
    return Keeper(run, run, run / "reserve", make_facts(), history, nn.Linear(3, 2))


@pytest.fixture
def blocked(keeper):
    """The same with a file in place of the run's folder, as one that cannot be written."""
    for path in keeper.run.iterdir():
        path.unlink()
    keeper.run.rmdir()
    keeper.run.write_text("in the way")
    keeper.reserve = keeper.run.with_name("reserve")
    return keeper


def test_a_checkpoint_that_cannot_be_written_is_logged_and_the_training_goes_on(blocked, said):
    blocked.save(0, 7, None)
    (line,) = said
    assert "step 7 was not saved" in line


def test_a_checkpoint_says_where_the_training_is(keeper):
    keeper.save(1, 7, None)
    facts = read_facts(keeper.folder)
    assert (facts.phase, facts.step, facts.split) == (1, 7, make_facts().split)
    assert (keeper.folder / HISTORY).is_file() and keeper.reserve.exists()


def test_a_stop_that_cannot_be_saved_is_kept_outside_and_the_remedy_brings_it_back(blocked):
    with fails(WriteError, "train/kept-outside") as caught:
        blocked.keep(1, 7)
    lines = [line.strip() for line in caught.value.remedy.splitlines()]
    move, resume = lines[-2:]
    words = shlex.split(move)
    assert words[0] == "mv" and words[2] == str(blocked.folder / RESUME)
    assert resume.startswith("edgeseg train --resume --name screws")
    facts = read_facts(type(blocked.run)(words[1]).parent)
    assert (facts.phase, facts.step) == (1, 7)


def test_without_any_room_the_error_says_what_is_left(blocked, tmp_path):
    (tmp_path / "tmp").rmdir()
    with pytest.raises(WriteError) as caught:
        blocked.keep(1, 7)
    assert "lost" in caught.value.problem


def test_store_gives_up_the_reserve_and_writes_weights_then_card(keeper):
    card = make_run_card()
    store(keeper, card, 2)
    found = read_card(keeper.folder / CARD, ModelCard)
    assert found.weights_sha256 == sha256(keeper.folder / "model.safetensors")
    assert not keeper.reserve.exists()


def test_weights_that_cannot_be_written_are_kept_as_a_checkpoint_with_nothing_left_to_train(
    keeper, monkeypatch
):
    def full(run, detector):
        raise WriteError("cannot write the weights: No space left on device", remedy="df -h .")

    monkeypatch.setattr("edgeseg.training.keep.save_weights", full)
    with pytest.raises(WriteError) as caught:
        store(keeper, make_run_card(), 2)
    assert "edgeseg train --resume --name screws" in caught.value.remedy
    facts = read_facts(keeper.folder)
    assert (facts.phase, facts.step) == (2, 0)
    assert not (keeper.folder / CARD).exists()
