import gc
import weakref
from contextlib import contextmanager
from dataclasses import replace

import pytest

from edgeseg.errors import EdgesegError
from edgeseg.station.config import GpioConfig, OutputConfig, read_station
from edgeseg.station.inspector import Inspector
from edgeseg.station.link import Link, pair
from tests.kit.stations import until, write_station


@contextmanager
def inspecting(folder):
    """An inspector of two cameras, once the first is running, and what its file says."""
    trigger = {"source": "test://64x48@20", "mode": "triggered"}
    config = read_station(
        write_station(folder, cameras={"top": {"source": "test://64x48@20"}, "side": trigger})
    )
    ours, theirs = pair()
    with theirs, Link(ours) as link, Inspector(config, link) as inspector:
        assert until(lambda: inspector.lines[0].state == "running")
        yield inspector, config


def test_nothing_of_the_old_cameras_stays_in_memory(tmp_path):
    with inspecting(tmp_path) as (inspector, config):
        before = [weakref.ref(line) for line in inspector.lines]
        gc.disable()
        try:
            inspector.reload(config)
        finally:
            gc.enable()
        assert [line() for line in before] == [None, None]
        assert [line.camera.name for line in inspector.lines] == ["top", "side"]


def test_what_cannot_be_opened_leaves_the_cameras_running(tmp_path):
    with inspecting(tmp_path) as (inspector, config):
        wrong = replace(config, gpio=(GpioConfig(chip="/dev/none", ok=1),))
        with pytest.raises(EdgesegError):
            inspector.reload(wrong)
        assert inspector.config is config
        assert until(lambda: inspector.lines[0].state == "running")


def test_the_line_runs_again_when_the_output_that_stopped_it_is_no_longer_required(tmp_path):
    with inspecting(tmp_path) as (inspector, config):
        for by in ("output mqtt", "page"):
            inspector._take({"command": "stop", "by": by, "reason": by})
        inspector.reload(config)
        assert inspector.status()["stopped"] == "page"
        inspector._take({"command": "stop", "by": "output mqtt", "reason": "dead"})
        output = OutputConfig(kind="jsonl", name="mqtt", require=True, settings={"path": "x"})
        inspector.reload(replace(config, output=(output,)))
        assert inspector.status()["stopped"] == "page; dead"


def test_a_trigger_without_a_camera_is_for_those_that_take_one(tmp_path):
    with inspecting(tmp_path) as (inspector, _):
        for camera in ("", "side", "top"):
            inspector._take({"command": "trigger", "camera": camera})
        every, side, top = inspector.status()["answers"]
        assert (every["trigger"], every["error"]) == (1, "")
        assert (side["trigger"], side["error"]) == (2, "")
        assert "takes no triggers" in top["error"]


def test_a_stop_outlives_both_processes(tmp_path):
    with inspecting(tmp_path) as (inspector, _):
        for by in ("page", "output mqtt"):  # the output is not required any more
            inspector._take({"command": "stop", "by": by, "reason": by})
    with inspecting(tmp_path) as (inspector, _):
        assert inspector.status()["stops"] == {"page": "page"}
        assert inspector.status()["stopped"] == "page"
        inspector._take({"command": "start", "by": "page"})
    with inspecting(tmp_path) as (inspector, _):
        assert inspector.status()["stopped"] == ""


def test_without_the_model_of_before_the_process_ends(tmp_path):
    with inspecting(tmp_path) as (inspector, config):
        model = tmp_path / "other.onnx"
        model.write_bytes((tmp_path / "plates.onnx").read_bytes())
        recipe = replace(config.recipe[0], model="other.onnx")
        wrong = replace(config, recipe=(recipe,), gpio=(GpioConfig(chip="/dev/none", ok=1),))
        (tmp_path / "plates.onnx").unlink()
        with pytest.raises(SystemExit):
            inspector.reload(wrong)
        assert not inspector.lines
