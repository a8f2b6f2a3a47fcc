"""Which model a recipe runs, from the file that says so, whatever is in it."""

from unittest.mock import Mock

import pytest

from edgeseg.errors import ConfigError, WriteError
from edgeseg.station.config import read_station
from edgeseg.station.following import current as following
from edgeseg.station.following.current import (
    Current,
    Followed,
    folder_of,
    models_of,
    read_current,
    settle,
    write_current,
)
from edgeseg.station.following.state import Following, read_following
from edgeseg.station.following.state import write_following as write_state
from edgeseg.station.lines.recipes import Recipes
from tests.kit.errors import fails
from tests.kit.stations import write_station

OLD, NEW = (Followed(digest=f"sha256:{d * 64}", model=f"{d}/e.onnx") for d in "01")


@pytest.fixture
def station(tmp_path):
    """A station with a recipe that follows a tag."""
    file = write_station(tmp_path, cameras={"top": {"source": "0"}})
    own = 'model = "plates.onnx"\n'
    file.write_text(file.read_text().replace(own, f'{own}follow = "r.test/a/b:c"\n'))
    return file


def names(config, **how):
    found = models_of(config, config.recipe[0], **how)
    return [str(path.relative_to(config.base)) for path in found]


def test_what_runs_is_tried_in_order(station):
    config = read_station(station)
    folder = folder_of(config.folder, "plates")
    assert names(config) == ["plates.onnx"] and config.follows
    write_current(folder, Current(now=NEW, before=OLD))
    place = "station/models/plates"
    assert names(config) == [f"{place}/1/e.onnx", f"{place}/0/e.onnx", "plates.onnx"]
    write_current(folder, Current(now=NEW, before=OLD, trial=True))
    assert names(config) == [f"{place}/1/e.onnx"]
    assert names(config, proven=True) == [f"{place}/0/e.onnx", "plates.onnx"]


def test_a_trial_whose_end_cannot_be_noted_does_not_run_again(station, monkeypatch, said):
    """The disk is full: the model of before runs all the same."""
    config = read_station(station)
    folder = folder_of(config.folder, "plates")
    write_current(folder, Current(now=NEW, trial=True))
    full = WriteError("no space left on device", remedy="df -h", code="system/enospc")
    monkeypatch.setattr(following, "write_current", Mock(side_effect=full))
    settle(config.folder)
    assert "cannot be noted" in said[-1] and read_current(folder).trial
    with Recipes(config, proven=True) as recipes:
        assert recipes.cards["plates"].name == "plates"


def test_a_trial_that_did_not_end_is_ended_and_counted(station, said):
    config = read_station(station)
    folder = folder_of(config.folder, "plates")
    for count, before in enumerate((OLD, None), 1):
        ended = {NEW.digest: count - 1} if count > 1 else {}
        write_current(folder, Current(now=NEW, before=before, trial=True, ended=ended))
        settle(config.folder)
        assert read_current(folder) == Current(now=before, ended={NEW.digest: count})
        assert "the model of before runs again" in said[-1]
    settle(config.folder)
    assert len(said) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"now": 1}', '{"v": 2}'])
def test_a_file_that_cannot_be_read_counts_as_none(station, said, text):
    config = read_station(station)
    folder = folder_of(config.folder, "plates")
    folder.mkdir(parents=True)
    (folder / "current.json").write_text(text)
    assert names(config) == ["plates.onnx"]
    assert "cannot be read, the model of the station's file runs" in said[-1]


def test_a_recipe_that_follows_has_no_thresholds(station):
    text = station.read_text()
    station.write_text(text.replace("threads = 1", "threads = 1\nimage_threshold = 0.5"))
    with fails(ConfigError, "station/config") as error:
        read_station(station)
    assert "follows a tag and has image_threshold" in error.value.problem


def test_the_state_is_read_back(tmp_path):
    state = Following(running=OLD.digest, wanted=NEW.digest, problem="no", refused={"a": "b"})
    folder = folder_of(tmp_path, "plates")
    assert read_following(folder) == Following()
    write_state(folder, state)
    assert read_following(folder) == state
