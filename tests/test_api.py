"""The public names of edgeseg, and training, exporting and building from Python."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

import edgeseg
from edgeseg.data.parts import write_parts
from edgeseg.errors import ConfigError, DataError
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
