"""After the warm-up a stream allocates no buffer; small allocations of a frame are freed."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.stream.sink.base import FrameSink
from edgeseg.stream.source.base import Source
from edgeseg.stream.stream import stream
from tests.kit.cards import make_card
from tests.kit.fakes import PlainBackend, RedBackend

HEIGHT, WIDTH = 480, 640
SMALL = 64 * 1024  # bytes; a mask has 300 KB, a frame 900 KB; includes the reader of the clocks
WARM = 20


class Still(Source):
    """Fills the given buffer; `careless` allocates a new one for each frame."""

    def __init__(self, frames, *, careless=False):
        super().__init__("still", 30.0)
        self._left, self._careless = frames, careless
        self._image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
        self.look = lambda count: None

    def read_into(self, frame):
        self.look(self._left)
        self._left -= 1
        if self._careless:
            frame.image = self._image.copy()
        elif frame.image.shape != self._image.shape:
            frame.image = np.empty_like(self._image)
        np.copyto(frame.image, self._image)
        return self._left >= 0


class Looking(FrameSink):
    """Reads every mask and keeps none."""

    def write(self, result):
        return int(result.buffers.mask[0, 0]) == 0


class Gauge:
    """The peak above the current level, in bytes, between two runs or reads.

    With runs alone it might always measure while capture holds the new and the old buffer.
    """

    def __init__(self):
        self.peaks = []

    def __call__(self, count):
        current, peak = tracemalloc.get_traced_memory()
        self.peaks.append(peak - current)
        tracemalloc.reset_peak()


def peak_of_a_frame(source, *, kind=RedBackend, sinks=(), in_flight=1):
    gauge = Gauge()
    backend = kind(make_card(HEIGHT, WIDTH, side=64), gauge)
    source.look = gauge
    config = StreamConfig(window=False, in_flight=in_flight)
    tracemalloc.start()
    try:
        stream(backend, source, sinks, config)
    finally:
        tracemalloc.stop()
    return max(gauge.peaks[2 * WARM : -10])


@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_frame_allocates_no_buffer(in_flight):
    assert peak_of_a_frame(Still(100), sinks=[Looking()], in_flight=in_flight) < SMALL


def test_nor_does_one_that_is_copied_for_a_plain_backend():
    assert peak_of_a_frame(Still(100), kind=PlainBackend, sinks=[Looking()]) < SMALL


def test_a_buffer_for_each_frame_is_seen():
    assert peak_of_a_frame(Still(100, careless=True)) > HEIGHT * WIDTH


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
def test_memory_stays_flat_over_thousands_of_frames():
    sizes = []

    def measure(count):
        if count % 500 == 0:
            sizes.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4)

    backend = RedBackend(make_card(48, 64, side=16), measure)

    class Small(Still):
        def __init__(self, frames):
            super().__init__(frames)
            self._image = np.full((48, 64, 3), 90, np.uint8)

    config = StreamConfig(window=False, in_flight=2)
    stream(backend, Small(6000), [Looking()], config)
    assert len(sizes) == 12
    assert sizes[-1] - sizes[1] < 1024, "KiB; a frame has 9"
