"""Every mask belongs to its frame: thousands of frames with different masks, each checked.

The fake backend computes in `finish` and not before: filling or reading a slot too early gives the
mask of another frame. Each of these faults is planted and must be detected.
"""

import threading
import time

import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.stream.pipeline.capture import Ring
from edgeseg.stream.pipeline.in_flight import InFlightRequest
from edgeseg.stream.pipeline.inference import Inference
from edgeseg.stream.sink.base import FrameSink
from edgeseg.stream.source.base import Source
from edgeseg.stream.stream import stream
from tests.kit.cards import make_card
from tests.kit.fakes import PlainBackend, RedBackend

FRAMES = 2000
WAIT = 10.0  # seconds; a longer wait is a failure
COLUMNS = 32
CARD = make_card(8, COLUMNS, side=8)


def red_columns(counter):
    """The columns of the frame with this number that are red: its number in binary, and a 1."""
    return [bool(counter >> bit & 1) for bit in range(COLUMNS - 1)] + [True]


class Counting(Source):
    """Draws the frame's number into the given buffer, as a camera does."""

    def __init__(self, *, live, frames=FRAMES):
        super().__init__("counting", 1000.0)
        self.live, self._left, self.drawn = live, frames, 0

    def read_into(self, frame):
        if self.drawn == self._left:
            return False
        if frame.image.shape != (8, COLUMNS, 3):
            frame.image = np.zeros((8, COLUMNS, 3), np.uint8)
        frame.image[:, :, 2] = np.where(red_columns(self.drawn), np.uint8(255), np.uint8(0))
        frame.label = str(self.drawn)
        frame.stamp()
        self.drawn += 1
        return True


class Checking(FrameSink):
    """Notes the results whose mask or image belongs to another frame."""

    def __init__(self):
        self.seen, self.wrong = [], []

    def write(self, result):
        number = int(result.record.label)
        columns = np.array(red_columns(number))
        mask_fits = (result.buffers.mask == np.where(columns, 255, 0)).all()
        red = 0 if result.frame_format == "rgb" else 2
        image_fits = ((result.buffers.frame[:, :, red] == 255) == columns).all()
        if not (mask_fits and image_fits):
            self.wrong.append(number)
        self.seen.append(number)
        return True


class Watchful(RedBackend):
    """Notes the frames that changed, or were started twice, while they were computed."""

    def __init__(self, card, wait=lambda: None):
        super().__init__(card)
        self.disturbed = []  # shared by all contexts, like `wait` and the counts
        self._begun, self._wait = None, wait

    def start(self):
        if self._begun is not None:
            self.disturbed.append("begun twice")
        self._begun = self._slot.frame.copy()
        self._wait()

    def finish(self):
        super().finish()
        if self._begun is None or not np.array_equal(self._begun, self._slot.frame):
            self.disturbed.append("changed")
        self._begun = None


def run(*, live, in_flight=1, kind=Watchful, card=CARD, frames=FRAMES):
    source, sink = Counting(live=live, frames=frames), Checking()
    config = StreamConfig(window=False, in_flight=in_flight)
    backend = kind(card)
    report = stream(backend, source, [sink], config)
    if kind is Watchful:
        sink.wrong += backend.disturbed
    return source, sink, report


@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_file_s_masks_are_all_there_and_right(in_flight):
    _, sink, report = run(live=False, in_flight=in_flight)
    assert sink.wrong == []
    assert sink.seen == list(range(FRAMES))
    assert (report.frames, report.drops, report.not_shown) == (FRAMES, 0, 0)


@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_live_source_s_masks_are_right_and_every_frame_is_accounted_for(in_flight):
    source, sink, report = run(live=True, in_flight=in_flight)
    assert sink.wrong == []
    assert sink.seen == sorted(set(sink.seen)), "no frame is shown twice, none out of turn"
    assert report.frames + report.drops == source.drawn == FRAMES
    assert len(sink.seen) + report.not_shown == report.frames


@pytest.mark.parametrize("live", [False, True])
def test_a_backend_that_computes_one_at_a_time(live):
    source, sink, report = run(live=live, kind=PlainBackend)
    assert sink.wrong == []
    assert report.frames + report.drops == source.drawn == FRAMES


def test_frames_of_another_format_are_converted_in_their_own_slot():
    card = make_card(8, COLUMNS, side=8, frame_format="rgb")
    _, sink, _ = run(live=False, in_flight=2, card=card)
    assert sink.wrong == []
    assert sink.seen == list(range(FRAMES))


def test_a_source_writes_straight_into_the_slots():
    direct = []

    class Noting(Counting):
        def read_into(self, frame):
            direct.append(frame.image is frame.slot_image)
            return super().read_into(frame)

    stream(RedBackend(CARD), Noting(live=False, frames=50), [], StreamConfig())
    assert all(direct)


# The faults.


def test_a_ring_that_gives_a_slot_away_too_early_is_caught(monkeypatch):
    take = Ring.take

    def take_and_release(ring, timeout):
        frame = take(ring, timeout)
        if frame is not None:
            ring._free.append(frame)
        return frame

    monkeypatch.setattr(Ring, "take", take_and_release)
    monkeypatch.setattr(Ring, "release", lambda ring, frame: None)

    class InStep(Counting):
        def read_into(self, frame):
            if self.drawn == 1:
                assert begun.wait(WAIT)  # the others come while the first is in inference
            return super().read_into(frame)

    source, sink, begun = InStep(live=True, frames=50), Checking(), threading.Event()

    def wait_for_more():
        begun.set()
        while source.drawn < 50:
            time.sleep(1e-4)

    backend = Watchful(CARD, wait_for_more)
    stream(backend, source, [sink], StreamConfig(window=False))
    assert "changed" in backend.disturbed


@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_loop_that_reads_before_the_end_is_caught(monkeypatch, in_flight):
    monkeypatch.setattr(InFlightRequest, "finish", lambda request: None)
    _, sink, _ = run(live=False, in_flight=in_flight, frames=50)
    assert set(sink.wrong) >= set(range(50))


def test_two_in_flight_on_one_request_are_caught(monkeypatch):
    submit = Inference._submit

    def to_the_first_request(inference, frame):
        frame.request = 0
        submit(inference, frame)

    monkeypatch.setattr(Inference, "_submit", to_the_first_request)
    _, sink, _ = run(live=False, in_flight=2, frames=50)
    assert sink.wrong


def test_a_result_that_is_not_copied_is_caught(monkeypatch):
    monkeypatch.setattr("edgeseg.stream.pipeline.dispatcher.np.copyto", lambda target, source: None)
    _, sink, _ = run(live=False, frames=50)
    assert sink.wrong
