"""The public names of edgeseg, and training, exporting and building from Python."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import edgeseg
from edgeseg.api import _given
from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.data.parts import write_parts
from edgeseg.errors import ConfigError, DataError, Interrupted
from edgeseg.evaluation.threshold import threshold_run
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batches
from tests.kit.errors import fails

NAMES = "EdgesegError Model Prediction Region __version__ build_engine export load train".split()


def test_all_public_names_are_there_and_sorted():
    assert edgeseg.__all__ == NAMES
    assert dir(edgeseg) == NAMES
    for name in NAMES:
        assert getattr(edgeseg, name) is not None
    with pytest.raises(AttributeError):
        _ = edgeseg.nothing


def test_public_names_survive_the_import_of_every_module():
    code = """
import importlib, pkgutil, edgeseg
for module in pkgutil.walk_packages(edgeseg.__path__, "edgeseg."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print([name for name in ("load", "train", "export", "build_engine")
       if not callable(getattr(edgeseg, name))])
"""
    command = [sys.executable, "-W", "ignore", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder with drawn plates in `plates`."""
    monkeypatch.chdir(tmp_path)
    write_parts(tmp_path / "plates", train=8, good=1, bad=1)
    return tmp_path


@pytest.mark.slow
def test_train_export_build_engine_and_load(here):
    run = edgeseg.train(
        "plates",
        profile="edge",
        image_size=64,
        batch=2,
        student_steps=3,
        head_steps=3,
        holdout=0.25,
        device="cpu",
        preview=False,
    )
    assert run.as_posix() == "runs/plates"
    graph = edgeseg.export(run, data="plates")
    engine = edgeseg.build_engine("plates", precision="fp32", runtime="onnxruntime", data="plates")
    frame = cv2.imread(str(next((here / "plates" / "test").rglob("*.png"))))
    maps = []
    for path in (run, "plates", graph, str(engine), None):
        with edgeseg.load(path) as model:
            found = model(frame)
        assert found.verdict in ("good", "anomalous")
        assert found.mask.shape == frame.shape[:2]
        maps.append(found.anomaly_map)
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], atol=2e-3)


def test_train_checks_before_it_trains(here):
    with fails(ConfigError, "config/image-size"):
        edgeseg.train("plates", image_size=63)
    with fails(ConfigError, "config/out-of-range"):
        edgeseg.train("plates", false_reject_rate=2.0)
    with pytest.raises(DataError):
        edgeseg.train("nowhere")
    assert not (here / "runs").exists()


QUICK = {
    "teacher": "efficientnet_lite0",
    "student_width": 8,
    "head_width": 8,
    "image_size": 64,
    "batch": 2,
    "student_steps": 0,
    "head_steps": 0,
    "device": "cpu",
    "preview": False,
}


def test_five_images_are_refused_before_the_training(here):
    for path in sorted((here / "plates" / "train" / "good").iterdir())[5:]:
        path.unlink()
    with fails(DataError, "data/too-few-images") as caught:
        edgeseg.train("plates", **QUICK)
    assert caught.value.remedy.startswith("6 good images")
    assert not (here / "runs" / "plates").exists()


def test_a_run_without_held_out_images_gets_its_thresholds_later(here):
    run = edgeseg.train("plates", holdout=0.0, **QUICK)
    assert read_card(run / CARD, ModelCard).threshold is None
    with fails(DataError, "threshold/trained-images"):
        threshold_run(run, here / "plates" / "train" / "good")
    found = threshold_run(run, here / "plates" / "test" / "good")
    assert read_card(run / CARD, ModelCard).threshold == found.pixel


@pytest.mark.slow
def test_a_file_name_that_is_no_text_is_trained_held_out_and_exported(here):
    good = here / "plates" / "train" / "good"
    names = [b"Pr\xfcf %d.png" % n for n in range(8)]
    try:
        for path, name in zip(sorted(good.iterdir()), names, strict=True):
            path.rename(good / os.fsdecode(name))
    except OSError:
        pytest.skip("the file system takes UTF-8 names only")
    run = edgeseg.train("plates", holdout=0.25, **QUICK)
    card = read_card(run / CARD, ModelCard)
    recorded = [name for part in card.split.values() for name in part]
    assert sorted(os.fsencode(name).rpartition(b"/")[2] for name in recorded) == names
    assert card.threshold is not None
    assert edgeseg.export(run, data="plates").is_file()


def test_resume_takes_data_and_settings_from_the_checkpoint(here, monkeypatch):
    settings = QUICK | {"student_steps": 2, "focal_gamma": 2.0, "rotation": "slight"}
    with monkeypatch.context() as patch:
        patch.setattr(Batches, "make", stop_and_make(Batches.make))
        with pytest.raises(Interrupted) as caught:
            edgeseg.train("plates", name="two words", false_reject_rate=0.5, **settings)
    words = shlex.split(caught.value.remedy)
    assert words == ["edgeseg", "train", "--resume", "--name", "two words"]
    with fails(ConfigError, "train/settings-changed") as caught:
        edgeseg.train(name="two words", resume=True, focal_gamma=3.0)
    assert "focal_gamma (2.0 -> 3.0)" in caught.value.problem
    run = edgeseg.train(resume=True, focal_gamma=2.0)  # the only unfinished one
    card = read_card(run / CARD, ModelCard)
    assert (run.name, card.config["focal_gamma"], card.config["rotation"]) == (
        "two words",
        2.0,
        "slight",
    )
    assert card.threshold_note["false_reject_rate"] == 0.5


def stop_and_make(make):
    def stopping(batches, phase, step):
        os.kill(os.getpid(), signal.SIGTERM)
        return make(batches, phase, step)

    return stopping


@pytest.mark.parametrize("model", ["destseg", "stpm", "dskd"])
@pytest.mark.parametrize("profile", ["paper", "edge"])
def test_the_settings_in_a_checkpoint_are_those_of_its_training(model, profile):
    config = TrainConfig(model=model, profile=profile, textures=Path("a/b"), seed=7)
    assert TrainConfig(**_given(TrainConfig, config.to_json())) == config


@pytest.mark.parametrize("name", ["../x", "a/b", ".."])
def test_train_refuses_a_name_outside_the_runs(here, name):
    with fails(ConfigError, "config/run-name"):
        edgeseg.train("plates", name=name)


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"bogus": 1}, "config/unknown-setting"), ({"student_steps": "5"}, "config/wrong-type")],
)
def test_settings_of_the_python_api_are_checked_as_those_of_a_file(here, settings, code):
    with fails(ConfigError, code):
        edgeseg.train("plates", **settings)
