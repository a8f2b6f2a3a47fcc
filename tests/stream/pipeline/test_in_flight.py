"""Lanes are bound once; pictures of the right size lie in their slots, others are brought there."""

import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.stream.pipeline.in_flight import QUEUE_DEPTH, open_lanes
from tests.kit.cards import make_card
from tests.kit.fakes import PlainBackend, RedBackend, picture


def lanes_of(backend, **settings):
    return open_lanes(backend, StreamConfig(**settings))


@pytest.mark.parametrize("in_flight", [1, 2])
def test_each_frame_has_a_lane_and_its_buffer_is_the_slot_s(in_flight):
    lanes = lanes_of(RedBackend(), in_flight=in_flight)
    frames = lanes.frames(live=True)
    assert len(frames) == len(lanes.lanes) == in_flight + 2
    for frame, lane in zip(frames, lanes.lanes, strict=True):
        assert lanes.lanes[frame.place] is lane
        assert np.shares_memory(frame.image, lane.slot.frame)
    backends = {id(lane.pipelined) for lane in lanes.lanes}
    assert len(backends) == len(lanes.lanes), "none shares a backend"


def test_a_plain_backend_has_one_lane_and_frames_of_their_own():
    lanes = lanes_of(PlainBackend())
    frames = lanes.frames(live=False)
    assert (len(lanes.lanes), len(frames)) == (1, QUEUE_DEPTH)
    assert all(frame.home is None for frame in frames)


@pytest.mark.parametrize("frame_format", ["rgb", "gray"])
def test_a_graph_of_another_format_takes_no_picture_directly(frame_format):
    lanes = lanes_of(RedBackend(make_card(frame_format=frame_format)))
    assert all(frame.home is None for frame in lanes.frames(live=True))


def test_a_picture_that_lies_in_the_slot_is_left_alone_and_another_is_copied(monkeypatch):
    copied = []
    monkeypatch.setattr(
        "edgeseg.stream.pipeline.in_flight.fill_frame", lambda *a, **k: copied.append(1)
    )
    lane = lanes_of(RedBackend()).lanes[0]
    lane.fill(lane.frame)
    lane.fill(lane.frame[:])  # another view of the same bytes
    assert copied == []
    lane.fill(picture(7))
    lane.fill(lane.frame[::-1])
    assert copied == [1, 1]


def test_a_frame_that_got_a_buffer_of_its_own_comes_home():
    frame = lanes_of(RedBackend()).frames(live=True)[0]
    frame.image = picture(1, 96, 128)
    frame.go_home()
    assert frame.image.shape == (96, 128, 3), "a source of another size keeps its buffer"
    frame.image = picture(1)
    frame.go_home()
    assert frame.image is frame.home


def test_thresholds_and_the_warm_up_reach_every_lane():
    backend = RedBackend()
    lanes = lanes_of(backend, threshold=0.25, keep_warm=True)
    assert lanes.spare is not None and lanes.spare not in lanes.lanes
    assert {float(lane.slot.threshold[0]) for lane in (*lanes.lanes, lanes.spare)} == {0.25}
    assert backend.runs == backend.bound == 4


def test_twins_close_with_the_stream_and_the_backend_with_its_opener():
    backend = RedBackend()
    with lanes_of(backend, in_flight=2) as lanes:
        pass
    assert [twin.closed for twin in lanes.twins] == [True, True, True]
    assert not backend.closed
