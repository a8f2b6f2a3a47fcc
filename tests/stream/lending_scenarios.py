"""A V4L2 driver that writes into the pinned slots of TrtBackend, over the simulated CUDA driver."""

import threading
import time

import numpy as np

from edgeseg.config import StreamConfig
from edgeseg.stream.source.camera import Mode
from edgeseg.stream.source.v4l2 import connection as connections
from edgeseg.stream.source.v4l2.camera import open_v4l2
from edgeseg.stream.source.v4l2.connection import Wanted
from edgeseg.stream.stream import stream
from tests.kit.fake_v4l2 import FakeDriver
from tests.kit.logs import logged
from tests.runtime.tensorrt_scenarios import opened
from tests.stream.cuda_scenarios import HEIGHT, SLOTS, WIDTH, Judge, Viewer, count_fills, numbered
from tools.cudasim import simulator

SIZE = (HEIGHT, WIDTH)


class NumberedDriver(FakeDriver):
    """Captures numbered images, without end; it unplugs itself once if it is told to."""

    def __init__(self, *, unplug_at=None, **options):
        super().__init__(formats=("BGR3",), sizes=(SIZE,), **options)
        self._unplug_at = unplug_at

    def open(self, path):
        self.present = True
        return super().open(path)

    def wait(self, device, seconds):
        if seconds and not self.frames:
            if self.sequence == self._unplug_at:
                self._unplug_at = None
                self.frames.append("unplug")
            else:
                time.sleep(0.001)  # a camera does not keep the machine from its work
                image = np.empty((*SIZE, 3), np.uint8)
                numbered(self.sequence, image)
                self.frames.append(image.tobytes())
        return super().wait(device, seconds)


def lent(frames, *, in_flight=1, userptr="taken", unplug_at=None, **options):
    """Stream from the driver; return what reached the sinks, and where the driver wrote."""
    connections.NO_FRAME = 10.0 if unplug_at is None else 1.0
    fills, driver = count_fills(), NumberedDriver(userptr=userptr, unplug_at=unplug_at)
    with logged() as said, opened(**options) as backend:
        judge = Judge(backend.card)
        viewer = Viewer(judge)
        config = StreamConfig(window=False, in_flight=in_flight, frames=frames)
        with open_v4l2(
            "camera 0",
            "/dev/video0",
            Mode(SIZE),
            Wanted("bgr", SIZE),
            attempts=3,
            kernel=driver,
            unavailable=RuntimeError,
        ) as source:
            simulator.steady(False)
            report = stream(backend, source, [judge, viewer], config)
            idle = not driver.queued and not driver.streaming
        pinned = {slot.frame.ctypes.data for slot in SLOTS}
        return {
            "said": said,
            "wrong": judge.wrong,
            "in_order": judge.records == sorted(set(judge.records)),
            "frames": report.frames,
            "writes": report.cpu_writes,
            "reconnects": report.reconnects,
            "fills": len(fills),
            "slots": len(pinned),
            "pinned": set(driver.written) <= pinned,
            "written": len(set(driver.written)),
            "idle": idle,
            "threads": [t.name for t in threading.enumerate() if t is not threading.main_thread()],
        }
