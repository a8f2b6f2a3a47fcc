"""Frame buffers and the interface of the sources that fill them."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgeseg.closing import Closing
from edgeseg.data.damaged import DamagedImages
from edgeseg.data.images import Image
from edgeseg.frame.pixel_formats import FrameFormat

LONGEST_DELAY = 10_000_000_000  # nanoseconds; an older time stamp is of another clock
ANY_REQUEST = -1
CLOSE_SECONDS = 1.0  # a read that is blocked for longer keeps its decoder until the process exits


@dataclass(frozen=True)
class TriggerId:
    """What asked for a frame: a program, a PLC or a person."""

    number: int
    """Counts from 1."""
    part: str = ""
    """The number of the part, as the line knows it."""


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
    """Index of the in-flight request that computes this frame; ANY_REQUEST: the next free one."""
    slot_image: Image | None = None
    """Frame buffer of that request's slot, which a source may fill in the format of the slot."""
    slot_format: FrameFormat = "bgr"
    sent_size: tuple[int, int] | None = None
    """(height, width) of the picture that the camera sent, if `image` is smaller."""
    own: Image | None = None
    """The buffer for images that the slot does not take as they are."""
    fault: str = ""
    """Why the frame could not be read, and must not be judged; empty if it is whole."""
    writes: int | None = None
    """How often the CPU has written the frame on its way here; None if it is unknown."""
    captured: int = 0
    """Time stamp of the kernel, on the clock of `arrival`; 0 without one."""
    sequence: int | None = None
    """The camera's number of the frame, which also counts those that its driver dropped."""
    camera_ns: int | None = None
    """Time stamp of the camera, in nanoseconds of its own clock."""
    trigger: TriggerId | None = None
    """What the frame was taken for, if something asked for it."""
    frozen: bool = False
    """Whether a live source delivers the same bytes again and again."""
    started: int = 0
    """When inference took the frame."""
    submitted: int = 0
    """When the runtime had accepted the frame."""
    done: int = 0
    """When the mask was in host memory."""

    def stamp(self, arrived: int = 0) -> None:
        """Set the arrival time: to now, or to `arrived`, which the kernel noted shortly before."""
        self.arrival, self.clock = time.perf_counter_ns(), time.time()
        if 0 < self.arrival - arrived < LONGEST_DELAY:
            self.clock -= (self.arrival - arrived) / 1e9
            self.arrival = arrived

    @property
    def captured_clock(self) -> float | None:
        """The time stamp of the kernel in seconds since 1970; None without one."""
        if not self.captured:
            return None
        return self.clock - (self.arrival - self.captured) / 1e9

    def without_image(self) -> "Frame":
        """Return what is known of a broken frame; its buffer may be filled again."""
        return replace(self, image=np.zeros((1, 1, 3), np.uint8), slot_image=None)

    def swap_slots(self, other: "Frame") -> None:
        """Exchange the requests, and the slots that belong to them."""
        self.request, other.request = other.request, self.request
        self.slot_image, other.slot_image = other.slot_image, self.slot_image

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
    stamps = False
    """Whether it stamps the arrival of its frames, as live sources do."""
    reconnects = 0
    """Successful reconnections to a lost camera."""
    broken = 0
    """Frames that could not be read or decoded."""
    skipped = 0
    """Frames of a live source that a newer one followed before they were read."""
    driver_drops = 0
    """Frames that the camera's driver counted and did not deliver."""
    keeps = 0
    """Frames that the source keeps, beside the one that is being read: see `lend`."""
    sends: FrameFormat | None = None
    """What the camera sends, if the source converts it to what the graph takes."""
    path = ""
    """How frames reach the slots, from the driver or the decoder on."""

    def __init__(self, name: str, fps: float) -> None:
        self.name = name
        self.fps = fps
        self.damaged = DamagedImages()
        """Files that could not be read."""
        self.needed: Callable[[], float] = float
        """Returns the seconds until inference takes its next frame; 0 if that is unknown."""
        self.stopping = threading.Event()
        """Set when the stream ends; ends every wait of the source."""

    def lend(self, frames: Sequence[Frame]) -> None:
        """Give the source `keeps` frames for as long as it is read."""

    def trigger(self) -> None:
        """Ask a camera for a frame, if it waits to be asked; called by any thread."""

    def judged(self, frame: Frame) -> None:
        """Note that the verdict of a frame was handed over; called by the inference thread."""

    def release(self) -> None:
        """Write into no frame any more; called by the reading thread at its end."""

    @abstractmethod
    def read_into(self, frame: Frame) -> bool:
        """Read the next frame into `frame`; a live source also stamps its arrival.

        A frame that arrived and cannot be read is delivered too: with the reason in `frame.fault`,
        and counted in `broken`.

        Returns False at the end. SourceError if the source failed permanently.
        """
