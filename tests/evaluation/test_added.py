"""`edgeseg train DATA --add DIR`: what is checked, what is trained on, and what is left alone."""

import json
import shutil
import signal
from dataclasses import replace

import cv2
import pytest
import torch
from safetensors.torch import load_file

import edgeseg
from edgeseg.cards import CARD, WEIGHTS, ModelCard, read_card
from edgeseg.data.images import read_image, write_png
from edgeseg.data.parts import write_parts
from edgeseg.errors import ConfigError, DataError, Interrupted, ModelError
from edgeseg.evaluation.added import continuation, next_name, repeats, run_to_continue
from edgeseg.files import sha256
from edgeseg.training.folder import RESUME
from tests.kit.errors import fails
from tests.training.test_train import interrupt_at

pytestmark = pytest.mark.usefixtures("usual_signals")

QUICK = {
    "model": "dskd",
    "head": True,
    "teacher": "efficientnet_lite0",
    "student_width": 8,
    "head_width": 8,
    "image_size": 64,
    "batch": 2,
    "student_steps": 10,
    "student_rate": 1e-4,
    "head_steps": 5,
    "holdout": 0.25,
    "device": "cpu",
    "use_defects": True,
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(data, runs): a finished run of eight plates in `runs/cap`."""
    root = tmp_path_factory.mktemp("set")
    data = write_parts(root / "cap", train=8, good=1, bad=2)
    edgeseg.train(data, runs_dir=root / "runs", preview=False, **QUICK)
    return data, root / "runs"


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """Eight other plates."""
    root = tmp_path_factory.mktemp("new")
    return write_parts(root, train=8, good=0, bad=0, seed=9) / "train" / "good"


def plan(trained, new, **changes):
    data, runs = trained
    card = replace(read_card(runs / "cap" / CARD, ModelCard), **changes)
    return continuation(runs / "cap", card, data, new)


def test_a_run_is_continued_under_a_new_name(trained, new):
    data, runs = trained
    before = {path.name: path.read_bytes() for path in (runs / "cap").iterdir()}
    run = edgeseg.train(data, runs_dir=runs, add=new, preview=False)
    assert run == runs / "cap-2"
    assert {path.name: path.read_bytes() for path in (runs / "cap").iterdir()} == before
    old, card = (read_card(r / CARD, ModelCard) for r in (runs / "cap", run))
    assert card.steps == {"student": 2, "head": 1}, "a fifth"
    for part in ("train", "holdout"):
        assert old.split[part].items() < card.split[part].items()
    assert (len(card.split["train"]), len(card.split["holdout"])) == (12, 4)
    assert card.split["defects"] == old.split["defects"] and card.defects == old.defects
    for digests in card.split.values():
        for name, digest in digests.items():
            assert sha256(data / name) == digest
    assert card.continues["run"] == "cap" and card.continues["added"] == 8
    assert card.threshold_note["images"] == 4
    first, second = (load_file(r / WEIGHTS) for r in (runs / "cap", run))
    moved = {name.split(".")[0] for name in first if not torch.equal(first[name], second[name])}
    assert moved == {"student", "head"}
    weights = [name for name in first if name.startswith("student") and name.endswith("weight")]
    apart = max(float((first[name] - second[name]).abs().max()) for name in weights)
    assert apart < 0.01, "it began with the weights of the run"
    again = edgeseg.train(
        data, runs_dir=runs, add=shifted(new, runs.parent / "more"), continue_run="cap-2"
    )
    card = read_card(again / CARD, ModelCard)
    assert (again.name, card.steps) == ("cap-3", {"student": 2, "head": 1})
    assert len(card.split["train"]) == 18


def shifted(folder, out):
    """Write the images of a folder, one gray level brighter."""
    for path in folder.iterdir():
        write_png(out / path.name, cv2.add(read_image(path), 1))
    return out


def test_false_rejects_come_several_times(trained, new):
    every = plan(trained, new, image_threshold=-1.0)
    assert every.origin.facts["rejected"] == 8
    none = plan(trained, new, image_threshold=1e9, input_check=())
    assert none.origin.facts["rejected"] == 0
    assert [len(p.dataset.held) for p in (every, none)] == [4, 4]
    assert len(none.dataset.train) == 12
    assert (repeats(1000, 10), repeats(1000, 40), repeats(1000, 500), repeats(5, 0)) == (5, 2, 1, 1)


def test_a_stopped_continuation_resumes(trained, new, tmp_path, monkeypatch):
    data, runs = trained
    whole = edgeseg.train(data, runs_dir=runs, add=new, name="whole", continue_run="cap")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 0, 1, signal.SIGINT)
        with pytest.raises(Interrupted):
            edgeseg.train(data, runs_dir=runs, add=new, name="stopped", continue_run="cap")
    assert (runs / "stopped" / RESUME).is_file()
    stopped = edgeseg.train(runs_dir=runs, resume=True)
    one, two = (load_file(run / WEIGHTS) for run in (whole, stopped))
    assert all(torch.equal(one[name], two[name]) for name in one)
    shutil.rmtree(whole)
    shutil.rmtree(stopped)


def test_known_images_are_refused(trained, new, tmp_path):
    data, _ = trained
    for number, name in enumerate(("train/good/003.png", "test/good/000.png", "test/chip/000.png")):
        folder = tmp_path / str(number)
        shutil.copytree(new, folder)
        shutil.copy(data / name, folder / "again.png")
        with fails(DataError, "data/duplicates") as caught:
            plan(trained, folder)
        assert f"again.png is {name}" in caught.value.problem
    shutil.copytree(new, tmp_path / "twice")
    shutil.copy(new / "001.png", tmp_path / "twice/002b.png")
    with fails(DataError, "data/duplicates"):
        plan(trained, tmp_path / "twice")


def test_images_of_another_camera_are_refused(trained, tmp_path):
    write_png(tmp_path / "small/a.png", read_image(trained[0] / "train/good/000.png")[:100])
    with fails(DataError, "data/other-images") as caught:
        plan(trained, tmp_path / "small")
    assert "a.png has 256 x 100 pixels" in caught.value.problem
    (tmp_path / "empty").mkdir()
    with fails(DataError, "data/no-images"):
        plan(trained, tmp_path / "empty")


def test_the_images_of_the_run_must_be_there_and_unchanged(trained, new, tmp_path):
    data, runs = trained
    copy = tmp_path / "cap"
    shutil.copytree(data, copy)
    names = sorted(read_card(runs / "cap" / CARD, ModelCard).split["train"])
    (copy / names[0]).unlink()
    shutil.copy(copy / names[2], copy / names[1])
    with fails(DataError, "data/not-the-same") as caught:
        plan((copy, runs), new)
    assert f"1 missing: {names[0]}; 1 changed: {names[1]}" in caught.value.problem


def test_what_cannot_be_continued(trained, new, tmp_path):
    data, runs = trained
    with fails(ConfigError, "train/run-exists"):
        edgeseg.train(data, runs_dir=runs, add=new, name="cap", continue_run="cap", overwrite=True)
    with fails(ConfigError, "config/conflict"):
        edgeseg.train(data, runs_dir=runs, add=new, image_size=96)
    with fails(ConfigError, "config/conflict"):
        edgeseg.train(data, runs_dir=runs, add=new, resume=True)
    with fails(ConfigError, "config/conflict"):
        edgeseg.train(data, runs_dir=runs, continue_run="cap")
    with fails(ConfigError, "config/no-data"):
        edgeseg.train(runs_dir=runs, add=new)
    with fails(ModelError, "train/nothing-to-continue"):
        edgeseg.train(tmp_path, runs_dir=runs, add=new)


def test_the_newest_run_of_the_data_is_continued(trained, tmp_path):
    data, runs = trained
    assert run_to_continue(None, data, runs).parent == runs
    assert run_to_continue(None, data, runs).name.startswith("cap")
    other = tmp_path / "other"
    shutil.copytree(runs / "cap", other)
    card = json.loads((other / CARD).read_text())
    card["split"]["train"] = {"elsewhere.png": "0" * 64}
    (other / CARD).write_text(json.dumps(card))
    with fails(ModelError, "train/nothing-to-continue"):
        run_to_continue(None, data, tmp_path)
    assert run_to_continue(tmp_path / "other", data, runs) == other
    card["config"]["imported"] = "file.pckl"
    (other / CARD).write_text(json.dumps(card))
    with fails(ModelError, "train/cannot-continue"):
        continuation(other, read_card(other / CARD, ModelCard), data, tmp_path)


def test_names_count_up(tmp_path):
    assert next_name(tmp_path / "cap") == "cap-2"
    (tmp_path / "cap-2").mkdir()
    assert next_name(tmp_path / "cap") == next_name(tmp_path / "cap-2") == "cap-3"
    assert next_name(tmp_path / "cap-b") == "cap-b-2"
