"""The loop on TrtBackend over the simulated driver; each runs in a process of its own (cudasim).

A frame's number is in its blue and green channels, and its red follows from the number and the
position: the expected record, frame and mask are known for every result.
"""

import os
import signal
import threading
from contextlib import suppress

import numpy as np

from edgeseg.config import StreamConfig
from edgeseg.cuda.driver import CudaPython, open_cuda
from edgeseg.errors import CudaError, EdgesegError, SinkError, SourceError
from edgeseg.runtime.base import Slot
from edgeseg.runtime.fake import FakeBackend
from edgeseg.stream.pipeline import capture
from edgeseg.stream.pipeline import in_flight as requests
from edgeseg.stream.sink.base import FrameSink, RecordSink
from edgeseg.stream.source.base import Source
from edgeseg.stream.stream import stream
from edgeseg.verdict.regions import find_regions
from edgeseg.verdict.verdict import BY_SCORE
from tests.kit import fake_trt
from tests.kit.logs import logged
from tests.runtime.tensorrt_scenarios import opened
from tools.cudasim import simulator

HEIGHT, WIDTH = 24, 20
_PLACE = np.add.outer(np.arange(HEIGHT) * 5, np.arange(WIDTH) * 3)
WAIT = 20.0  # seconds; a longer wait is a failure


def numbered(index, out):
    """Draw image `index`, BGR uint8 [24, 20, 3]."""
    out[..., 0], out[..., 1] = index & 255, index >> 8 & 255
    np.add(_PLACE, index * 37, out=out[..., 2], casting="unsafe")


class Numbered(Source):
    """Numbered images, written into the offered buffer; `on_read` is called before each.

    With `newest` it is a camera that delivers bursts of four and continues when `newest` returns
    the last one's number: some are dropped, and at least a quarter is not, at any speed.
    """

    def __init__(self, frames, *, on_read=None, newest=None):
        super().__init__("numbered", 30.0)
        self.live = newest is not None
        self._frames, self._on_read, self._newest = frames, on_read, newest
        self.count = 0
        self.written = set()
        """Addresses of the buffers that were written."""

    def read_into(self, frame):
        if self.count == 0:
            simulator.steady()  # all requests and threads exist
        if self._newest and self.count and self.count % 4 == 0:
            self._rest()
        if self._on_read is not None:
            self._on_read(self.count)
        if self.count == self._frames or self.stopping.is_set():
            return False
        if frame.image.shape != (HEIGHT, WIDTH, 3):
            frame.image = np.empty((HEIGHT, WIDTH, 3), np.uint8)
        self.written.add(frame.image.ctypes.data)
        numbered(self.count, frame.image)
        frame.stamp()
        self.count += 1
        return True

    def _rest(self):
        while self._newest() != self.count - 1 and not self.stopping.wait(1e-4):
            pass


class Judge(RecordSink):
    """Compares each record with the answer of FakeBackend for its number."""

    def __init__(self, card):
        self._fake, self.slot = FakeBackend(card), Slot.on_host(card)
        self._fake.bind(self.slot)
        self.records, self.wrong = [], []

    def write(self, record):
        self.expect(record.index)
        if abs(record.score - self.slot.score[0]) > 1e-6:
            self.wrong.append(f"the score of frame {record.index}")
        self.records.append(record.index)

    def expect(self, index):
        """Compute frame `index` into the judge's own slot."""
        numbered(index, self.slot.frame[0])
        self._fake.run()


class RegionJudge(Judge):
    """Compares the regions as well, which are measured in the anomaly map; half are without."""

    def __init__(self, card):
        super().__init__(card)
        self.measured = 0

    def write(self, record):
        super().write(record)
        found = find_regions(self.slot.mask[0], self.slot.anomaly_map[0], BY_SCORE)
        self.measured += bool(found.largest)
        ours, theirs = ([(r.box, r.area) for r in each] for each in (record.regions, found.largest))
        peaks = [[r.peak for r in each] for each in (record.regions, found.largest)]
        if ours != theirs or not np.allclose(*peaks, atol=1e-6):
            self.wrong.append(f"the regions of frame {record.index}")


def lines_alone(frames, in_flight=1, **options):
    """Stream to a sink of records alone; return how often a map was copied after its frame."""
    with opened(**options) as backend:
        judge, before = RegionJudge(backend.card), simulator.counters()["copies_to_host"]
        config = StreamConfig(window=False, in_flight=in_flight, threshold=0.97)
        judge.slot.threshold[0] = 0.97
        stream(backend, Numbered(frames), [judge], config)
        simulator.steady(False)
        copies = simulator.counters()["copies_to_host"] - before
        return {"wrong": judge.wrong, "measured": judge.measured, "copies": copies}


class Viewer(FrameSink):
    """Compares each frame, mask and map with the judge's; may fail at a number."""

    def __init__(self, judge, failing_at=None):
        self._judge, self._failing_at = judge, failing_at
        self.shown = 0

    def write(self, result):
        index, found = result.record.index, result.buffers
        if index == self._failing_at:
            raise SinkError("no room is left.", remedy="make room")
        self._judge.expect(index)
        slot = self._judge.slot
        pairs = {
            "frame": (found.frame, slot.frame[0]),
            "mask": (found.mask, slot.mask[0]),
            "map": (found.anomaly_map, slot.anomaly_map[0]),
        }
        for name, (actual, expected) in pairs.items():
            if np.abs(actual.astype(np.float32) - expected).max() > 1e-6:
                self._judge.wrong.append(f"the {name} of frame {index}")
        self.shown += 1
        return True


def looped(frames, *, live=False, end=None, at=None, in_flight=1, **options):
    """Stream numbered images; return what reached the sinks, and what of it is wrong.

    end: what ends the stream when frame `at` is due; None: the source's own end.
    """
    fills = count_fills()
    with logged() as said, opened(**options) as backend:
        judge = Judge(backend.card)
        viewer = Viewer(judge, at if end == "sink" else None)
        endings = {"source": lost, "signal": interrupted, "enqueue": refused, "launch": failing}
        on_read = endings[end](at) if end in endings else None
        newest = (lambda: max(judge.records[-1:], default=None)) if live else None
        source = Numbered(frames, on_read=on_read, newest=newest)
        limit = at if end == "limit" else None
        config = StreamConfig(window=False, in_flight=in_flight, frames=limit)
        before, report, error = simulator.counters(), None, None
        try:
            report = stream(backend, source, [judge, viewer], config)
        except EdgesegError as failed:
            error = [type(failed).__name__, failed.problem]
        simulator.steady(False)
        pinned = {slot.frame.ctypes.data for slot in SLOTS}
        return {
            "engine": backend.name,
            "said": said,
            "error": error,
            "frames": len(judge.records),
            "in_order": judge.records == sorted(set(judge.records)),
            "reported": report and [report.frames, report.drops, report.not_shown],
            "read": source.count,
            "shown": viewer.shown,
            "wrong": judge.wrong,
            "fills": len(fills),
            "pinned": source.written <= pinned,
            "buffers": len(source.written),
            "inferences": simulator.counters()["inferences"] - before["inferences"],
            "threads": [t.name for t in threading.enumerate() if t is not threading.main_thread()],
        }


SLOTS = []


def count_fills():
    """Return a list that gets an entry for each image that the CPU copies into a slot."""
    request = requests.InFlightRequest
    fills, sound_bring, sound_init = [], request.bring, request.__init__

    def bring(*arguments):
        fills.append(1)
        sound_bring(*arguments)

    def begin(self, *arguments):
        sound_init(self, *arguments)
        SLOTS.append(self.slot)

    request.bring, request.__init__ = bring, begin
    return fills


def lost(at):
    def on_read(count):
        if count == at:
            raise SourceError("the camera was lost.", remedy="check its cable")

    return on_read


def interrupted(at):
    def on_read(count):
        if count == at:
            os.kill(os.getpid(), signal.SIGINT)

    return on_read


def refused(at):
    """TensorRT refuses what it is given from then on."""

    def on_read(count):
        if count == at:
            fake_trt.refusals.add("enqueue")

    return on_read


def failing(at):
    """The driver launches no graph from then on."""
    sound, armed = CudaPython._call, threading.Event()

    def call(self, function, *arguments):
        if armed.is_set() and function == "cuGraphLaunch":
            raise CudaError("The CUDA driver's cuGraphLaunch failed.", remedy="start again")
        return sound(self, function, *arguments)

    CudaPython._call = call
    return lambda count: armed.set() if count == at else None


class Hanging(Numbered):
    """Does not return from its last read until it is told to, and then writes."""

    def __init__(self, frames):
        super().__init__(frames)
        self.live = True
        self.hangs, self.go_on, self.written_late = (threading.Event() for _ in range(3))

    def read_into(self, frame):
        if self.count < self._frames:
            return super().read_into(frame)
        self.hangs.set()
        assert self.go_on.wait(WAIT)
        frame.image[...] = 7  # in memory that is gone this ends the process
        assert (frame.image == 7).all()
        self.written_late.set()
        return True


class Stopping(FrameSink):
    """Ends the stream when `event` is set: by itself, or by one or two signals."""

    def __init__(self, event, end):
        self._event, self._end = event, end

    def write(self, result):
        return True

    def idle(self):
        if not self._event.is_set():
            return True
        if self._end == "two signals":  # the second while capture is waited for
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        if self._end != "sink":
            self._event.clear()
            os.kill(os.getpid(), signal.SIGINT)
        return self._end != "sink"


def hanging(end="sink", in_flight=1, **options):
    """End a stream whose camera hangs in a read, close all, and let the camera write then."""
    if end != "two signals":
        capture.JOIN_SECONDS = 0.05
    source, ended = Hanging(20), "report"
    with logged() as said, opened(**options) as backend:
        judge = Judge(backend.card)
        sinks = [judge, Stopping(source.hangs, end)]
        try:
            stream(backend, source, sinks, StreamConfig(window=False, in_flight=in_flight))
        except KeyboardInterrupt:
            ended = "interrupt"
        simulator.steady(False)
    source.go_on.set()
    late = source.written_late.wait(WAIT)
    return {"said": said, "ended": ended, "wrong": judge.wrong, "late": late}


def unkept(**options):
    """The same, with slots that are given back all the same."""
    requests.InFlightRequests.keep_until_exit = lambda self: None
    return hanging(**options)


def beside_a_camera_that_allocates(fault=None, **options):
    """While a capture is under way, another thread allocates, as a camera's driver does."""

    def allocate():
        with suppress(CudaError), open_cuda() as camera, camera.current():
            camera.pinned(4096).close()

    def execute(self, stream_handle):
        if fake_trt.capturing(stream_handle):
            thread = threading.Thread(target=allocate)
            thread.start()
            thread.join(WAIT)
        return sound(self, stream_handle)

    sound = fake_trt.IExecutionContext.execute_async_v3
    fake_trt.IExecutionContext.execute_async_v3 = execute
    return looped(**options)
