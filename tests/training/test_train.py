"""`train`: the two phases, resuming, and the files of a run."""

import csv
import json
import os
import shutil
import signal
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from edgeseg.data.images import read_image
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.errors import ConfigError, DataError, Interrupted, ModelError, WriteError
from edgeseg.files import sha256
from edgeseg.model.dskd import DSKD
from edgeseg.recipes import TrainConfig
from edgeseg.training import prepare
from edgeseg.training import train as train_module
from edgeseg.training.batches import Batches
from edgeseg.training.checkpoint import load_run
from edgeseg.training.folder import RESUME, read_facts
from edgeseg.training.plan import Costs, TrainPlan
from edgeseg.training.prepare import split_samples
from edgeseg.training.train import train
from tests.kit.errors import fails

pytestmark = pytest.mark.usefixtures("usual_signals")

HANGUP = getattr(signal, "SIGHUP", signal.SIGTERM)  # Windows has none


@pytest.fixture(scope="module")
def finished(plates, quick, tmp_path_factory):
    """One finished run, and its configuration."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(plates, quick, run)
    return run, quick


def interrupt_at(monkeypatch, phase, step, number):
    """Send a signal to this process when the batch of a step is made."""
    make = Batches.make

    def make_and_kill(self, made_phase, made_step):
        if (made_phase, made_step) == (phase, step):
            os.kill(os.getpid(), number)
        return make(self, made_phase, made_step)

    monkeypatch.setattr(Batches, "make", make_and_kill)


def assert_same_weights(run, other):
    """Compare the weights of two finished runs, bit for bit."""
    one, two = (load_file(each / "model.safetensors") for each in (run, other))
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=0, atol=0, msg=name)


def test_train_writes_weights_card_history_and_images(finished, plates):
    run, config = finished
    detector, card = load_run(run)
    assert not detector.training
    assert card.config["teacher"] == config.teacher and card.config["seed"] == 0
    assert card.frame_size == (192, 256)
    assert (len(card.split["train"]), len(card.split["holdout"])) == (6, 2)
    for name, digest in (card.split["train"] | card.split["holdout"]).items():
        assert sha256(plates.root / name) == digest
    assert torch.__version__.startswith(card.versions["torch"])
    with (run / "train.csv").open() as file:
        rows = [(row["phase"], int(row["step"])) for row in csv.DictReader(file)]
    assert rows == [(p, s) for p in ("student", "head") for s in range(3)]
    for picture in ("preview.png", "curves.png"):
        assert read_image(run / picture).std() > 10
    assert not (run / RESUME).exists()
    assert not list(run.glob("*.part*"))


def test_each_phase_trains_only_its_own_weights(finished, plates, quick, tmp_path):
    run, _ = finished
    student_only = tmp_path / "student"
    train(plates, replace(quick, head_steps=0), student_only)
    whole, half = (load_file(r / "model.safetensors") for r in (run, student_only))
    moved = {name.split(".")[0] for name in whole if not torch.equal(whole[name], half[name])}
    assert moved == {"head"}


@pytest.mark.parametrize("phase, number", [(0, signal.SIGINT), (1, HANGUP)])
def test_a_stopped_and_resumed_run_ends_with_the_same_weights(
    finished, plates, tmp_path, monkeypatch, said, phase, number
):
    whole, config = finished
    run = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        interrupt_at(patch, phase, 1, number)
        with pytest.raises(Interrupted) as caught:
            train(plates, config, run)
    assert "--resume" in caught.value.remedy
    assert (run / RESUME).exists() and not (run / "card.json").exists()
    done = [*[3] * phase, read_facts(run).step, 0][:2]
    costs = Costs(side=64, batch=2, steps={"student": 60.0, "head": 600.0}, before=0.0, after=0.0)
    plan = TrainPlan(costs=costs, steps={"student": 3, "head": 3}, spent=0.0)
    train(plates, config, run, resume=True, plan=plan)
    left = (3 - done[0]) + 10 * (3 - done[1])
    assert any(f"about {left:.1f} min are left" in line for line in said)
    assert_same_weights(whole, run)
    rows = [(run_ / "train.csv").read_text().splitlines() for run_ in (whole, run)]
    assert [r.split(",")[:3] for r in rows[0]] == [r.split(",")[:3] for r in rows[1]]


def test_a_stop_after_the_last_step_keeps_what_was_trained(finished, plates, tmp_path, monkeypatch):
    whole, config = finished
    run = tmp_path / "stopped"

    def stop(*words, **settings):
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(train_module, "fit_input_check", stop)
        with pytest.raises(Interrupted) as caught:
            train(plates, config, run)
    assert "--resume" in caught.value.remedy
    assert not (run / "card.json").exists()
    train(plates, config, run, resume=True)
    assert_same_weights(whole, run)


def test_a_stopped_dskd_resumes_with_optimizer_and_ema(plates, quick_dskd, tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    quick_dskd = replace(quick_dskd, ema_decay=0.5)
    card = train(plates, quick_dskd, whole)
    with monkeypatch.context() as patch:
        interrupt_at(patch, 0, 1, signal.SIGINT)
        with pytest.raises(Interrupted):
            train(plates, quick_dskd, stopped)
    train(plates, quick_dskd, stopped, resume=True)
    assert_same_weights(whole, stopped)
    assert (card.model, card.steps) == ("dskd", {"student": 3})
    assert (card.config["optimizer"], card.config["head"]) == ("adam", False)
    assert type(load_run(whole)[0]) is DSKD


def test_train_ends_with_the_ema_of_the_weights(plates, quick_dskd, tmp_path):
    last, mean = tmp_path / "last", tmp_path / "mean"
    train(plates, quick_dskd, last)
    train(plates, replace(quick_dskd, ema_decay=0.9), mean)
    one, two = (load_file(r / "model.safetensors") for r in (last, mean))
    changed = {name for name in one if not torch.equal(one[name], two[name])}
    assert changed and all(name.startswith("student.") for name in changed)


def test_train_stpm_has_one_phase_and_no_head(plates, tmp_path):
    config = TrainConfig(
        model="stpm",
        teacher="efficientnet_lite0",
        image_size=64,
        batch=2,
        student_steps=2,
        student_rate=1e-3,
        device="cpu",
    )
    card = train(plates, config, tmp_path / "run")
    assert (card.model, card.steps) == ("stpm", {"student": 2})
    assert (card.config["head"], card.config["denoising"]) == (False, False)
    tensors = load_file(tmp_path / "run" / "model.safetensors")
    assert not [name for name in tensors if name.startswith("head.")]
    detector, _ = load_run(tmp_path / "run")
    assert detector(torch.rand(1, 3, 64, 64)).shape == (1, 1, 64, 64)


def test_standard_features_are_saved_with_the_run(plates, quick, tmp_path):
    train(plates, replace(quick, features="standard", head_steps=0), tmp_path / "run")
    detector, _ = load_run(tmp_path / "run")
    for norm, width in zip(detector.teacher.norms, detector.teacher.channels, strict=True):
        assert norm.running_var.shape == (width,)
        assert (norm.running_var != 1).all()


def stop_first_step(monkeypatch, plates, config, run):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 0, 0, signal.SIGINT)
        with pytest.raises(Interrupted):
            train(plates, config, run)


def test_an_unfinished_run_is_neither_begun_again_nor_resumed_with_anything_else(
    plates, quick, tmp_path, monkeypatch
):
    run = tmp_path / "stopped"
    stop_first_step(monkeypatch, plates, quick, run)
    kept = {path.name: path.read_bytes() for path in run.iterdir()}
    with fails(ConfigError, "train/unfinished"):
        train(plates, quick, run)
    with fails(ConfigError, "train/settings-changed") as caught:
        train(plates, replace(quick, focal_gamma=2.0), run, resume=True)
    assert "focal_gamma (4.0 -> 2.0)" in caught.value.problem
    more = replace(plates, train=(*plates.train, plates.test[-1]))
    with fails(DataError, "train/images-changed") as caught:
        train(more, quick, run, resume=True)
    assert "1 new: test/" in caught.value.problem
    assert {path.name: path.read_bytes() for path in run.iterdir()} == kept
    (run / RESUME).write_bytes(b"torn")
    with fails(ModelError, "model/damaged-weights"):
        train(plates, quick, run, resume=True)


def test_weights_that_could_not_be_written_are_stored_by_resume(
    finished, plates, tmp_path, monkeypatch
):
    def full(run, detector):
        raise WriteError("No space left on device", remedy="free disk space")

    whole, config = finished
    run = tmp_path / "full"
    with monkeypatch.context() as patch:
        patch.setattr("edgeseg.training.keep.save_weights", full)
        with pytest.raises(WriteError):
            train(plates, config, run)
    monkeypatch.setattr(Batches, "make", lambda *_: pytest.fail("trained again"))
    card = train(plates, config, run, resume=True)
    assert card.weights_sha256 == load_run(whole)[1].weights_sha256
    assert not (run / RESUME).exists()


def test_train_replaces_a_run_only_if_it_is_asked_to(plates, quick, tmp_path):
    nothing = replace(quick, student_steps=0, head_steps=0)
    run = tmp_path / "run"
    first = train(plates, nothing, run, preview=False)
    with fails(ConfigError, "train/run-exists") as caught:
        train(plates, nothing, run)
    assert "--name" in caught.value.remedy and "rm " not in caught.value.remedy
    with fails(ModelError, "train/nothing-to-resume"):
        train(plates, nothing, run, resume=True)
    second = train(plates, replace(nothing, seed=1), run, overwrite=True, preview=False)
    assert first.weights_sha256 != second.weights_sha256
    assert load_run(run)[1] == second
    assert {path.name for path in run.iterdir()} == {
        *("card.json", "model.safetensors", "train.csv", "curves.png")
    }


def test_train_does_not_write_into_its_data(plates, quick):
    with fails(ConfigError, "output/is-input"):
        train(plates, quick, plates.root, overwrite=True)


def test_a_stop_while_the_images_are_read_leaves_nothing(plates, quick, tmp_path, monkeypatch):
    read = prepare.read_image

    def read_and_stop(path, *rest):
        signal.raise_signal(signal.SIGTERM)
        return read(path, *rest)

    monkeypatch.setattr(prepare, "read_image", read_and_stop)
    with pytest.raises(Interrupted):
        train(plates, quick, tmp_path / "runs" / "new")
    assert not (tmp_path / "runs" / "new").exists()


def test_a_damaged_held_out_image_is_found_before_the_first_step(
    plates, quick, tmp_path, monkeypatch
):
    held = split_samples(plates, quick)[1][-1]
    torn = tmp_path / "torn.png"
    torn.write_bytes(held.path.read_bytes()[:-40])
    swapped = tuple(replace(s, path=torn) if s == held else s for s in plates.train)
    monkeypatch.setattr(Batches, "make", lambda *_: pytest.fail("trained"))
    with fails(DataError, "data/damaged-image") as caught:
        train(replace(plates, train=swapped), quick, tmp_path / "run")
    assert "torn.png" in caught.value.problem


def test_train_stops_at_a_nan_loss(plates, quick, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "edgeseg.training.phases.cosine_loss", lambda t, s: s[0].sum() * float("nan")
    )
    with fails(ModelError, "train/diverged") as caught:
        train(plates, quick, tmp_path / "run")
    assert "--student-rate" in caught.value.remedy


def test_load_run_refuses_weights_that_do_not_match_the_card(finished, tmp_path):
    run = finished[0]
    for name in ("card.json", "model.safetensors"):
        (tmp_path / name).write_bytes((run / name).read_bytes())
    with (tmp_path / "model.safetensors").open("ab") as file:
        file.write(b"x")
    with fails(ModelError, "model/weights-changed"):
        load_run(tmp_path)
    card = json.loads((run / "card.json").read_text())
    del card["weights_sha256"]
    (tmp_path / "card.json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="weights_sha256"):
        load_run(tmp_path)


@pytest.fixture(scope="module")
def defective(tmp_path_factory):
    """Plates with two images of each type of defect; the masks of one type are missing."""
    root = tmp_path_factory.mktemp("set") / "plates"
    write_parts(root, train=8, good=1, bad=2)
    shutil.rmtree(root / "ground_truth" / "chip")
    return open_dataset(root)


def test_defects_train_the_head_alone_and_are_in_the_card(
    defective, quick_dskd, tmp_path, monkeypatch
):
    config = replace(quick_dskd, head=True, head_steps=3)
    plain, known = tmp_path / "plain", tmp_path / "known"
    train(defective, config, plain)
    config = replace(config, use_defects=True)
    card = train(defective, config, known)
    for name, digest in card.split["defects"].items():
        assert sha256(defective.root / name) == digest
        assert card.defects[digest] == name.split("/")[1]
    assert sorted(card.defects.values()) == ["chip", "plugged", "scratch", "stain"]
    kept = {"train", "holdout"}
    assert {k: v for k, v in card.split.items() if k in kept} == load_run(plain)[1].split
    one, two = (load_file(r / "model.safetensors") for r in (plain, known))
    moved = {name.split(".")[0] for name in one if not torch.equal(one[name], two[name])}
    assert moved == {"head"}
    stopped = tmp_path / "stopped"
    with monkeypatch.context() as patch:
        interrupt_at(patch, 1, 1, signal.SIGINT)
        with pytest.raises(Interrupted):
            train(defective, config, stopped)
    train(defective, config, stopped, resume=True)
    three = load_file(stopped / "model.safetensors")
    assert all(torch.equal(three[name], tensor) for name, tensor in two.items())


def test_defects_are_asked_for_before_anything_is_written(plates, quick, tmp_path):
    good = replace(plates, test=tuple(s for s in plates.test if s.good))
    with fails(DataError, "data/no-defects"):
        train(good, replace(quick, use_defects=True), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with fails(ConfigError, "config/defects-without-head"):
        TrainConfig(model="dskd", use_defects=True)
