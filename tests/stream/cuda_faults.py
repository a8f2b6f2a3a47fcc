"""Planted faults: each is one line of the loop gone wrong, for the driver or a mask to tell."""

import time

from edgeseg.cuda.driver import CudaPython
from edgeseg.stream.pipeline.dispatcher import Outlet
from edgeseg.stream.pipeline.in_flight import Lane, Lanes
from edgeseg.stream.pipeline.inference import Inference
from edgeseg.stream.pipeline.ring import Ring
from tests.stream import cuda_scenarios


def planted(fault, of="looped", **options):
    """Run a scenario with a fault in the loop."""
    PLANTED[fault]()
    return getattr(cuda_scenarios, of)(**options)


def released_too_early():
    """Capture gets a slot back while the device computes it."""
    launch, release = Inference._launch, Ring.release

    def start(self, frame):
        launch(self, frame)
        release(self._capture.ring, frame)
        time.sleep(1e-3)  # a late device

    Inference._launch, Ring.release = start, lambda self, frame: None


def read_before_finish():
    """A result is handed over, and waited for only then."""
    owed, finish, offer = [], Lane.finish, Outlet.offer

    def hand_over(self, record, slot, done):
        offer(self, record, slot, done)
        finish(owed.pop())

    Lane.finish, Outlet.offer = lambda self: owed.append(self), hand_over


def a_twin_for_each_frame():
    """Something is opened where a frame begins."""
    start = Lane.start

    def begin(self):
        self.pipelined.second()
        start(self)

    Lane.start = begin


def started_twice():
    """A lane's frame is enqueued two times."""
    start = Lane.start

    def begin(self):
        start(self)
        start(self)

    Lane.start = begin


def two_frames_in_a_lane():
    """Every frame goes to the first lane, whether it is free or not."""
    frames = Lanes.frames

    def all_first(self, *, live):
        found = frames(self, live=live)
        for frame in found:
            frame.place = 0
        return found

    Lanes.frames = all_first


def a_copy_of_each_picture():
    """The source is not offered the slot."""
    Lane.home = property(lambda self: None)


def global_capture():
    """A capture that any thread of the process can break."""

    def begin(self, stream):
        self._call("cuStreamBeginCapture", stream, self._cu.CUstreamCaptureMode(0))

    CudaPython.capture_begin = begin


PLANTED = {
    function.__name__: function
    for function in (
        released_too_early,
        read_before_finish,
        a_twin_for_each_frame,
        started_twice,
        two_frames_in_a_lane,
        a_copy_of_each_picture,
        global_capture,
    )
}
