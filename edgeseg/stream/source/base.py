"""Frame buffers and the interface of the sources that fill them."""

import threading
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace

import numpy as np

from edgeseg.closing import Closing
from edgeseg.data.damaged import DamagedImages
from edgeseg.data.images import Image
from edgeseg.pixel_formats import FrameFormat

CLOSE_SECONDS = 1.0  # a read that is blocked for longer keeps its decoder until the process exits


@dataclass
class Frame:
    """A reusable frame buffer, with the time stamps of its way through the pipeline."""

    image: Image = field(default_factory=lambda: np.zeros((1, 1, 3), np.uint8))
    """uint8 [rows, columns, channels] in `format`: what the source delivered, see `buffer`."""
    format: FrameFormat = "bgr"
    index: int = 0
    arrival: int = 0
    """Nanoseconds of `time.perf_counter_ns`, like `started`, `submitted` and `done`."""
    clock: float = 0.0
    """Arrival in seconds since 1970."""
    label: str | None = None
    """Path of the image file; None for cameras and videos."""
    request: int = 0
    """Index of the in-flight request that computes this frame."""
    slot_image: Image | None = None
    """Frame buffer of that request's slot, which a source may fill in the format of the slot."""
    slot_format: FrameFormat = "bgr"
    sent_size: tuple[int, int] | None = None
    """(height, width) of the picture that the camera sent, if `image` is smaller."""
    own: Image | None = None
    """The buffer for images that the slot does not take as they are."""
    fault: str = ""
    """Why the frame could not be read, and must not be judged; empty if it is whole."""
    frozen: bool = False
    """Whether a live source delivers the same bytes again and again."""
    started: int = 0
    """When inference took the frame."""
    submitted: int = 0
    """When the runtime had accepted the frame."""
    done: int = 0
    """When the mask was in host memory."""

    def stamp(self) -> None:
        """Set the arrival time to now."""
        self.arrival, self.clock = time.perf_counter_ns(), time.time()

    def without_image(self) -> "Frame":
        """Return what is known of a broken frame; its buffer may be filled again."""
        return replace(self, image=np.zeros((1, 1, 3), np.uint8), slot_image=None)

    def buffer(self, kind: FrameFormat, shape: tuple[int, ...]) -> Image:
        """Make `image` a buffer for a frame [rows, columns, channels] in a format; return it.

        It is the slot's if that is what the slot takes, else one that is kept for later frames.
        """
        slot = self.slot_image
        if slot is not None and kind == self.slot_format and shape == slot.shape:
            self.image = slot
        else:
            if self.own is None or self.own.shape != shape:
                self.own = np.empty(shape, np.uint8)
            self.image = self.own
        self.format = kind
        return self.image


class Source(Closing, ABC):
    """A source of frames, read by one thread."""

    live = False
    """Whether frames arrive in real time, so that unread frames are dropped."""
    reconnects = 0
    """Successful reconnections to a lost camera."""
    broken = 0
    """Frames that could not be read or decoded."""

    def __init__(self, name: str, fps: float) -> None:
        self.name = name
        self.fps = fps
        self.damaged = DamagedImages()
        """Files that could not be read."""
        self.stopping = threading.Event()
        """Set when the stream ends; ends every wait of the source."""

    @abstractmethod
    def read_into(self, frame: Frame) -> bool:
        """Read the next frame into `frame`; a live source also stamps its arrival.

        A frame that arrived and cannot be read is delivered too: with the reason in `frame.fault`,
        and counted in `broken`.

        Returns False at the end. SourceError if the source failed permanently.
        """
