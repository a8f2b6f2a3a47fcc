"""Planted faults: each changes one line of the loop, and must be detected."""

import time

from edgeseg.cuda.driver import CudaPython
from edgeseg.stream.pipeline.capture import Ring
from edgeseg.stream.pipeline.dispatcher import Dispatcher
from edgeseg.stream.pipeline.in_flight import InFlightRequest, InFlightRequests
from edgeseg.stream.pipeline.inference import Inference
from tests.stream import cuda_scenarios


def planted(fault, of="looped", **options):
    """Run a scenario with a fault in the loop."""
    PLANTED[fault]()
    return getattr(cuda_scenarios, of)(**options)


def released_too_early():
    """Capture gets a slot back while the device computes it."""
    submit, release = Inference._submit, Ring.release

    def start(self, frame):
        submit(self, frame)
        release(self._capture.ring, frame)
        time.sleep(1e-3)  # a late device

    Inference._submit, Ring.release = start, lambda self, frame: None


def read_before_finish():
    """A result is dispatched before it is waited for."""
    pending, finish, offer = [], InFlightRequest.finish, Dispatcher.offer

    def hand_over(self, record, slot, done):
        offer(self, record, slot, done)
        finish(pending.pop())

    InFlightRequest.finish = lambda self: pending.append(self)
    Dispatcher.offer = hand_over


def a_context_for_each_frame():
    """An execution context is opened for each frame."""
    start = InFlightRequest.start

    def begin(self):
        self.pipelined.second()
        start(self)

    InFlightRequest.start = begin


def started_twice():
    """A frame is enqueued twice."""
    start = InFlightRequest.start

    def begin(self):
        start(self)
        start(self)

    InFlightRequest.start = begin


def two_frames_in_a_request():
    """Every frame goes to the first request, even if it is busy."""
    frames = InFlightRequests.frames

    def all_first(self):
        found = frames(self)
        for frame in found:
            frame.request = 0
        return found

    InFlightRequests.frames = all_first


def a_copy_of_each_image():
    """The slot is not offered to the source."""
    InFlightRequest.slot_image = property(lambda self: None)


def global_capture():
    """A CUDA graph capture that any thread of the process can invalidate."""

    def begin(self, stream):
        self._call("cuStreamBeginCapture", stream, self._cu.CUstreamCaptureMode(0))

    CudaPython.capture_begin = begin


PLANTED = {
    function.__name__: function
    for function in (
        released_too_early,
        read_before_finish,
        a_context_for_each_frame,
        started_twice,
        two_frames_in_a_request,
        a_copy_of_each_image,
        global_capture,
    )
}
