"""A tracked training, read back by TensorBoard."""

import csv
import shutil
from dataclasses import replace

import pytest

from edgeseg.errors import Interrupted
from edgeseg.tracking.tensorboard import EVENTS
from edgeseg.tracking.tracking import Tracking
from edgeseg.training.keep import Keeper
from edgeseg.training.train import train
from tests.kit.trackers import read_events

pytest.importorskip("tensorboardX")


@pytest.fixture(scope="module")
def tracked(plates, quick, tmp_path_factory):
    """A finished run that was tracked."""
    run = tmp_path_factory.mktemp("runs") / "tracked"
    tracked_training(plates, quick, run)
    return run


def losses(run):
    with (run / "train.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def tracked_training(dataset, config, run, **options):
    with Tracking(["tensorboard"]) as tracking:
        train(dataset, config, run, tracking=tracking, **options)


def test_tensorboard_reads_settings_losses_and_maps(tracked):
    found = read_events(tracked / EVENTS)
    scalars = found["scalars"]
    student, head = scalars["student/loss"], scalars["head/loss"]
    assert [step for step, _ in student + head] == [0, 1, 2, 3, 4, 5], "the head comes after"
    assert [value for _, value in student + head] == pytest.approx(losses(tracked), rel=1e-4)
    assert scalars["student/learning_rate"][0][1] == pytest.approx(1e-3)
    assert all(0 <= value for _, value in scalars["held-out_map/inside"])
    assert "| seed | 0 |" in found["texts"]["settings/text_summary"]
    assert [step for step, *_ in found["images"]["preview"]] == [0]
    assert [step for step, *_ in found["images"]["held-out_maps"]] == [0, 1, 2, 3, 4, 5]
    _, width, height = found["images"]["held-out_maps"][0]
    assert (width, height) == (2 * 160, 3 * 160), "two held-out images; image, mask and map"


def test_tracking_does_not_change_the_weights(tracked, plates, quick, tmp_path):
    """Though the maps are computed between the steps."""
    train(plates, quick, tmp_path / "plain")
    found, expected = (run / "model.safetensors" for run in (tracked, tmp_path / "plain"))
    assert found.read_bytes() == expected.read_bytes()


def test_a_resumed_training_has_each_step_once(plates, quick, tmp_path, monkeypatch):
    run, config = tmp_path / "run", replace(quick, save_every=2)
    save = Keeper.save

    def save_and_die(self, *state):
        save(self, *state)
        raise Interrupted("power failure", remedy="again")

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "save", save_and_die)
        with pytest.raises(Interrupted):
            tracked_training(plates, config, run)
    tracked_training(plates, config, run, resume=True)
    scalars = read_events(run / EVENTS)["scalars"]
    assert [step for step, _ in scalars["student/loss"]] == [0, 1, 2]


def test_a_replaced_run_has_the_events_of_the_new_training(tracked, plates, quick, tmp_path):
    run = shutil.copytree(tracked, tmp_path / "run")
    before = {path.name for path in (run / EVENTS).iterdir()}
    tracked_training(plates, replace(quick, seed=1), run, overwrite=True)
    assert not before & {path.name for path in (run / EVENTS).iterdir()}
    assert "| seed | 1 |" in read_events(run / EVENTS)["texts"]["settings/text_summary"]
    train(plates, quick, run, overwrite=True)
    assert not (run / EVENTS).exists(), "its losses are not those of the run"
