"""`train_and_evaluate`: a real training of a table, interrupted, resumed and shared by two runs."""

import json
import os
import signal

import pytest

from edgeseg.cards import CARD, WEIGHTS
from edgeseg.errors import Interrupted
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce import runs as table_runs
from edgeseg.reproduce.runs import TableRun, open_trainings, train_and_evaluate
from edgeseg.training.batches import Batches
from edgeseg.training.folder import RESUME
from edgeseg.training.history import HISTORY


@pytest.fixture
def training(categories, tiny, tmp_path):
    """Two runs that differ in T and share a training."""
    runs = [
        TableRun(
            category="plates",
            row=f"T = {top}",
            config=TrainConfig(**tiny, head_steps=2, holdout=0.25, top=top),
            data=categories / "plates",
            folder=tmp_path / "destseg-s1" / "plates" / f"t-{top}-s0",
        )
        for top in (5, 50)
    ]
    (found,) = open_trainings(runs)
    assert found.runs == tuple(runs)
    return found


def test_train_and_evaluate_resumes_and_completes_the_cards(training, monkeypatch):
    first, second = training.runs
    make, made = Batches.make, []

    def make_and_stop(self, phase, step):
        made.append((phase, step))
        if made == [(0, 0), (0, 1)]:
            os.kill(os.getpid(), signal.SIGTERM)
        return make(self, phase, step)

    monkeypatch.setattr(Batches, "make", make_and_stop)
    with pytest.raises(Interrupted):
        train_and_evaluate(training)
    assert (first.folder / RESUME).is_file() and not first.finished
    stopped = len(made)

    train_and_evaluate(training)
    assert (0, 0) not in made[stopped:] and made[-1] == (1, 1)
    assert first.finished and second.finished
    assert (second.folder / WEIGHTS).samefile(first.folder / WEIGHTS)
    for run in training.runs:
        card, evaluation = run.card, json.loads((run.folder / "evaluation.json").read_text())
        assert card.config["top"] == run.config.top
        assert card.threshold is not None
        assert set(card.metrics) == {
            *("image_auroc", "pixel_auroc", "pixel_ap", "aupro", "iap", "iap90")
        }
        assert card.metrics == {name: evaluation[name] for name in card.metrics}
        assert list(card.seconds) == ["student", "head"]
        assert all(seconds > 0 for seconds in card.seconds.values())


def test_what_a_kill_left_without_a_checkpoint_is_begun_anew(training):
    """A short training has none when it writes its weights."""
    first, second = training.runs
    first.folder.mkdir(parents=True)
    (first.folder / HISTORY).touch()
    (first.folder / WEIGHTS).write_bytes(b"half")
    train_and_evaluate(training)
    assert first.finished and second.finished


def test_train_and_evaluate_does_not_repeat_finished_work(training, monkeypatch):
    train_and_evaluate(training)
    cards = [(run.folder / CARD).stat().st_mtime_ns for run in training.runs]
    monkeypatch.setattr(table_runs, "train", None)
    monkeypatch.setattr(table_runs, "evaluate", None)
    train_and_evaluate(training)
    assert [(run.folder / CARD).stat().st_mtime_ns for run in training.runs] == cards
