"""A stand-in for jetson-utils on the simulated driver; in a process of its own (cudasim)."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np

from edgeseg.cuda.driver import open_cuda
from edgeseg.errors import SourceError
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.open import open_source
from tests.kit.logs import logged
from tests.runtime.gpu_frames import Lender
from tests.runtime.tensorrt_scenarios import opened

asked = []


def install(cuda, card, frames, *, fails=False):
    """Put a module in place whose cameras deliver `frames`, then None, then are gone."""
    lender = Lender(cuda, card, "default")

    class VideoSource:
        def __init__(self, uri, argv):
            asked.append([uri, *argv])
            if fails:
                raise Exception("failed to create videoSource device")
            self.left, self.silent = list(frames), 0

        def GetFrameRate(self):
            return 25

        def GetHeight(self):
            return lender.shape[0]

        def GetWidth(self):
            return lender.shape[1]

        def IsStreaming(self):
            return self.silent < 2

        def Capture(self, *, format, timeout):
            assert format == "rgb8"
            if not self.left:
                self.silent += 1
                if self.silent > 1:
                    raise Exception("videoSource failed to capture image")
                return None
            return lender.lend(self.left.pop(0))

        def Close(self):
            asked.append("closed")

    module = ModuleType("jetson_utils")
    module.videoSource = VideoSource
    sys.modules["jetson_utils"] = module
    return lender


def slots_are_filled(frame_format, count=5):
    """Read frames into the slot of an engine; return what was asked, said, and how it ended."""
    random = np.random.default_rng(0)
    with logged() as said, opened(frame_format=frame_format) as engine, open_cuda() as cuda:
        slot = engine.new_slot()
        frames = [random.integers(0, 256, slot.frame.shape[1:], np.uint8) for _ in range(count)]
        lender = install(cuda, engine.card, frames)
        size = engine.card.frame_size
        source = open_source("jetson+csi://0", size=size, attempts=0, frame_format=frame_format)
        frame = Frame(slot_image=slot.frame[0], slot_format=frame_format)
        same = []
        for expected in frames:
            assert source.read_into(frame) and frame.format == "rgb" and frame.arrival
            same.append(bool((frame.image == expected).all()))
        inside = np.may_share_memory(frame.image, slot.frame)
        try:
            source.read_into(frame)
        except SourceError as error:
            end = error.code
        source.close()
        lender.close()
        found = SimpleNamespace(same=same, inside=bool(inside), writes=frame.writes, end=end)
        return vars(found) | {"asked": asked, "said": said, "path": source.path, "fps": source.fps}


def a_camera_that_does_not_start():
    with opened() as engine, open_cuda() as cuda:
        install(cuda, engine.card, [], fails=True).close()
        try:
            open_source("jetson+rtsp://user:secret@host/live", size=(24, 20), attempts=0)
        except SourceError as error:
            return [error.code, error.problem]
    return None
