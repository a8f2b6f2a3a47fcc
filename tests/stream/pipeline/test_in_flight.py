"""In-flight requests: bound once; matching images are in their slots, others are copied there."""

import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.stream.pipeline.in_flight import QUEUE_DEPTH, open_requests
from tests.kit.cards import make_card
from tests.kit.fakes import PlainBackend, RedBackend, solid_image


def requests_of(backend, **settings):
    return open_requests(backend, StreamConfig(**settings))


@pytest.mark.parametrize("in_flight", [1, 2])
def test_each_frame_has_a_request_and_its_buffer_is_the_slot_s(in_flight):
    requests = requests_of(RedBackend(), in_flight=in_flight)
    frames = requests.frames(live=True)
    assert len(frames) == len(requests.requests) == in_flight + 2
    for frame, request in zip(frames, requests.requests, strict=True):
        assert requests.requests[frame.request] is request
        assert np.shares_memory(frame.image, request.slot.frame)
    backends = {id(request.pipelined) for request in requests.requests}
    assert len(backends) == len(requests.requests), "no backend is shared"


def test_a_plain_backend_has_one_request_and_separate_frames():
    requests = requests_of(PlainBackend())
    frames = requests.frames(live=False)
    assert (len(requests.requests), len(frames)) == (1, QUEUE_DEPTH)
    assert all(frame.slot_image is None for frame in frames)


@pytest.mark.parametrize("frame_format", ["rgb", "gray"])
def test_a_graph_of_another_format_takes_no_image_directly(frame_format):
    requests = requests_of(RedBackend(make_card(frame_format=frame_format)))
    assert all(frame.slot_image is None for frame in requests.frames(live=True))


def test_fill_copies_only_images_that_are_not_in_the_slot(monkeypatch):
    copied = []
    monkeypatch.setattr(
        "edgeseg.stream.pipeline.in_flight.fill_frame", lambda *a, **k: copied.append(1)
    )
    request = requests_of(RedBackend()).requests[0]
    request.fill(request.frame)
    request.fill(request.frame[:])  # another view of the same bytes
    assert copied == []
    request.fill(solid_image(7))
    request.fill(request.frame[::-1])
    assert copied == [1, 1]


def test_reset_image_restores_the_slot_s_buffer():
    frame = requests_of(RedBackend()).frames(live=True)[0]
    frame.image = solid_image(1, 96, 128)
    frame.reset_image()
    assert frame.image.shape == (96, 128, 3), "a source of another size keeps its buffer"
    frame.image = solid_image(1)
    frame.reset_image()
    assert frame.image is frame.slot_image


def test_thresholds_and_the_warm_up_reach_every_request():
    backend = RedBackend()
    requests = requests_of(backend, threshold=0.25, keep_warm=True)
    assert requests.keep_warm is not None and requests.keep_warm not in requests.requests
    assert {float(each.slot.threshold[0]) for each in (*requests.requests, requests.keep_warm)} == {
        0.25
    }
    assert backend.runs == backend.bound == 4


def test_contexts_close_with_the_stream_and_the_backend_with_its_owner():
    backend = RedBackend()
    with requests_of(backend, in_flight=2) as requests:
        pass
    assert [context.closed for context in requests.contexts] == [True, True, True]
    assert not backend.closed


@pytest.mark.parametrize("backend", [RedBackend, PlainBackend])
def test_the_filling_around_an_image_of_another_shape_is_not_in_the_mask(backend):
    """A red image is wholly anomalous, and so are its repeated edges."""
    request = requests_of(backend(make_card(48, 64, aspect="keep"))).requests[0]
    for image, columns in (
        (np.full((48, 32, 3), 255, np.uint8), slice(16, 48)),
        (np.full((48, 64, 3), 255, np.uint8), slice(0, 64)),
    ):
        request.fill(image)
        request.start()
        request.finish()
        marked = np.zeros((48, 64), bool)
        marked[:, columns] = True
        np.testing.assert_array_equal(request.slot.mask[0] > 0, marked)
