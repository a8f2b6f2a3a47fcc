"""In-flight requests: bound once; matching images are in their slots, others are brought there."""

import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.frame.pixel_formats import PIXEL_FORMATS, frame_shape
from edgeseg.stream.pipeline.in_flight import open_requests
from tests.kit.cards import make_card
from tests.kit.fakes import PlainBackend, RedBackend, solid_image


def requests_of(backend, **settings):
    return open_requests(backend, StreamConfig(**settings))


@pytest.mark.parametrize(
    ("backend", "in_flight"), [(RedBackend, 1), (RedBackend, 2), (PlainBackend, 1)]
)
def test_each_frame_has_a_request_and_its_buffer_is_the_slot_s(backend, in_flight):
    requests = requests_of(backend(), in_flight=in_flight)
    frames = requests.frames()
    assert len(frames) == len(requests.requests) == in_flight + 2
    for frame, request in zip(frames, requests.requests, strict=True):
        assert requests.requests[frame.request] is request
        assert np.shares_memory(frame.image, request.slot.frame)
    assert len({id(each) for each in requests.contexts}) == len(requests.requests) - 1


def test_a_source_that_keeps_buffers_gets_more_requests():
    requests = open_requests(RedBackend(), StreamConfig(), kept=2)
    assert len(requests.frames()) == 5


@pytest.mark.parametrize("kind", ["rgb", "gray"])
def test_a_slot_takes_the_bytes_of_its_own_format_directly(kind):
    requests = requests_of(RedBackend(make_card(frame_format=kind)))
    frame = requests.frames()[0]
    slot = requests.requests[0].slot.frame[0]
    assert frame.buffer(kind, slot.shape) is frame.slot_image is frame.image
    assert np.shares_memory(frame.image, slot)
    own = frame.buffer("bgr", (48, 64, 3))
    assert not np.shares_memory(own, slot)
    frame.buffer(kind, slot.shape)
    assert frame.buffer("bgr", (48, 64, 3)) is own, "it is kept"


def test_fill_copies_only_images_that_are_not_in_the_slot(monkeypatch):
    copied = []
    monkeypatch.setattr(
        "edgeseg.stream.pipeline.in_flight.fill_frame", lambda *a, **k: copied.append(1)
    )
    request = requests_of(RedBackend()).requests[0]
    request.fill(request.image, "bgr")
    request.fill(request.image[:], "bgr")  # another view of the same bytes
    assert copied == []
    request.fill(solid_image(7, 96, 128), "bgr")
    assert copied == [1]
    request.fill(solid_image(7), "bgr")
    assert copied == [1] and (request.slot.frame == solid_image(7)).all()


@pytest.mark.parametrize("size", [(48, 64), (96, 128)])
@pytest.mark.parametrize("kind", PIXEL_FORMATS)
def test_fill_brings_an_image_of_any_format_and_size_into_the_slot(kind, size):
    """A flat image keeps its color."""
    request = requests_of(RedBackend(make_card(48, 64))).requests[0]
    image = np.full(frame_shape(kind, *size), 90, np.uint8)
    request.fill(image, kind)
    np.testing.assert_array_equal(request.image, to_bgr(image, kind)[:48, :64])


@pytest.mark.parametrize("size", [(48, 64), (96, 128)])
def test_a_gray_image_stays_gray_in_a_gray_slot(size, monkeypatch):
    monkeypatch.setattr("edgeseg.stream.pipeline.in_flight.to_bgr", None)
    request = requests_of(RedBackend(make_card(48, 64, frame_format="gray"))).requests[0]
    request.fill(np.full((*size, 1), 90, np.uint8), "gray")
    assert (request.image == 90).all()


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
        request.fill(image, "bgr")
        request.start()
        request.finish()
        marked = np.zeros((48, 64), bool)
        marked[:, columns] = True
        np.testing.assert_array_equal(request.slot.mask[0] > 0, marked)
