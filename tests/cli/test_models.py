"""MODEL and DATA: one positional argument is the data; what a command takes is checked."""

import shlex
from pathlib import Path

import pytest

from edgeseg.api import graph_of, run_of
from edgeseg.cards import CARD
from edgeseg.cli.models import is_model, split
from edgeseg.errors import ConfigError, ModelError
from tests.kit.errors import fails


@pytest.fixture
def here(monkeypatch, tmp_path):
    """A folder with the run `bottle`, a folder of photos and a file that is named like a graph."""
    monkeypatch.chdir(tmp_path)
    for folder in ("runs/bottle", "photos"):
        Path(folder).mkdir(parents=True)
    Path("runs/bottle", CARD).write_text("{}")
    Path("bottle.onnx").touch()
    return tmp_path


def test_split_takes_a_single_path_for_the_data(here):
    assert split("evaluate", Path("bottle"), Path("photos")) == (Path("bottle"), Path("photos"))
    assert split("evaluate", Path("photos"), None) == (None, Path("photos"))
    assert split("evaluate", Path("elsewhere"), None) == (None, Path("elsewhere"))


@pytest.mark.parametrize("alone", [None, "bottle", "runs/bottle", "bottle.onnx"])
def test_split_refuses_a_model_without_data(here, alone):
    with fails(ConfigError, "config/no-data") as caught:
        split("calibrate", alone and Path(alone), None)
    assert caught.value.remedy == f"edgeseg calibrate {alone or '[MODEL]'} DATA"


@pytest.mark.parametrize("name", ["a b.onnx", "it's.onnx", "$(touch x).onnx", "a;rm -rf b.onnx"])
def test_a_remedy_names_the_model_as_one_word_of_the_shell(here, name):
    with fails(ConfigError, "config/no-data") as caught:
        split("evaluate", Path(name), None)
    assert shlex.split(caught.value.remedy) == ["edgeseg", "evaluate", name, "DATA"]


def test_is_model_knows_the_names_of_runs(here):
    assert is_model(Path("bottle")) and is_model(Path("engines/x.engine"))
    assert not is_model(Path("photos")) and not is_model(Path("photos/1.png"))
    assert not is_model(Path("bottle-fp16-openvino-cpu"))
    Path("engines").mkdir()
    Path("engines/bottle-fp16-openvino-cpu.json").touch()
    assert is_model(Path("bottle-fp16-openvino-cpu"))


def test_split_takes_a_folder_of_the_name_of_a_run_for_data(here):
    Path("bottle").mkdir()
    assert split("evaluate", Path("bottle"), None) == (None, Path("bottle"))


def test_run_of_takes_runs_only(here):
    assert run_of(Path("bottle")) == run_of(None) == Path("runs/bottle")
    with fails(ModelError, "model/not-a-run") as caught:
        run_of(Path("bottle.onnx"))
    assert "bottle.onnx" in caught.value.problem


def test_graph_of_takes_no_engine(here):
    assert graph_of(Path("bottle.onnx")) == Path("bottle.onnx")
    Path("bottle.json").touch()  # the card of an engine
    for engine in ("bottle.onnx", "bottle.json"):
        with fails(ModelError, "model/not-a-graph"):
            graph_of(Path(engine))
