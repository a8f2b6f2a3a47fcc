"""Mirrors edgeseg/stream/source/jetson.py, with a stand-in for jetson-utils."""

import sys

import pytest

from edgeseg.errors import MissingExtra, SourceError
from edgeseg.stream.source.open import open_source
from tests.kit.errors import fails
from tests.stream.source import jetson_scenarios as scenarios
from tools.cudasim.skipping import run_or_skip


def test_frames_reach_the_slot_by_a_copy_of_the_gpu():
    report = run_or_skip(scenarios.slots_are_filled, frame_format="rgb", lateness="late")
    # The simulator reports any use of the default stream.
    assert report.error is None and set(report.kinds) <= {"legacy-stream"}
    found = report.result
    assert (found["same"], found["inside"], found["writes"]) == ([True] * 5, True, 0)
    assert found["end"] == "source/lost" and found["fps"] == 25
    assert found["asked"][0] == ["csi://0", "edgeseg", "--input-width=20", "--input-height=24"]
    assert found["asked"][-1] == "closed"
    assert found["path"].endswith("copied into the slots by the GPU")


def test_a_graph_of_another_format_gets_a_buffer_to_convert():
    report = run_or_skip(scenarios.slots_are_filled, frame_format="bgr")
    assert report.error is None
    assert report.result["same"] == [True] * 5 and not report.result["inside"]


def test_a_camera_that_does_not_start_shows_no_password():
    report = run_or_skip(scenarios.a_camera_that_does_not_start).clean()
    code, problem = report.result
    assert code == "source/pipeline-failed" and "secret" not in problem
    assert "jetson+rtsp://host/live: failed to create videoSource device" in problem


def test_without_jetson_utils_the_remedy_is_opencv(monkeypatch):
    monkeypatch.setitem(sys.modules, "jetson_utils", None)
    with fails(MissingExtra, "extra/missing") as caught:
        open_source("jetson+csi://0", size=(24, 20), attempts=0)
    assert "edgeseg stream --camera csi://0" in caught.value.remedy


@pytest.mark.parametrize("address", ["jetson+file:///clip.mp4", "jetson+://0", "jetson+gst://x"])
def test_other_addresses_are_refused(address):
    with fails(SourceError, "source/unsupported"):
        open_source(address, size=(24, 20), attempts=0)
