"""A connection to a V4L2 camera: frames in the slots without a copy, or with one.

    USERPTR   the driver writes each frame into a slot: no copy. It needs the graph's own format and
              size, rows without gaps, and a driver that takes addresses
    MMAP      the driver writes into its own buffers: one copy or conversion, into the slot
    JPEGs     as MMAP: the JPEG is taken out, its buffer returned, and it is decoded into the slot

The driver always has buffers to fill: with USERPTR those that were lent and the frame that is being
read. A frame that was not taken in time is skipped for a newer one.
"""

import errno
import mmap
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgeseg.data.images import Image
from edgeseg.frame.pixel_formats import FrameFormat, frame_shape
from edgeseg.log import log
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.camera import DEFAULT_FPS, LostConnection, Mode
from edgeseg.stream.source.decoding import Decoding
from edgeseg.stream.source.deliver import deliver
from edgeseg.stream.source.mjpeg import BrokenFrame, decode_jpeg_frame
from edgeseg.stream.source.v4l2 import abi
from edgeseg.stream.source.v4l2.device import CaptureDevice, CapturedFrame
from edgeseg.stream.source.v4l2.mode import choose_mode

LENT = 2  # buffers that the driver has beside the one that is being read
SLOTS = 8  # at most, of a stream; each keeps its number, so that it is pinned once
MAPPED = 4
NO_FRAME = 10.0  # seconds
SLICE = 0.1  # seconds, after which the end of the stream is noticed
COPYING = ("uvcvideo",)  # drivers that copy each frame on the CPU, from the packets of USB
"""Source: Linux, drivers/media/usb/uvc/uvc_video.c, uvc_video_decode_data."""
REFUSALS = (errno.EINVAL, errno.EFAULT, errno.ENOMEM, errno.ENOTTY, errno.EPERM, errno.EOPNOTSUPP)


class Wanted(NamedTuple):
    """What the graph takes."""

    format: FrameFormat
    size: tuple[int, int]
    """(height, width)"""


class V4L2Connection:
    """Reads frames from an opened device until it is closed or unplugged."""

    max_missing = 5

    def __init__(self, device: CaptureDevice, asked: Mode, wanted: Wanted) -> None:
        """Set the mode; `asked` has a size. OSError, UnsupportedFormat: it cannot be used."""
        self._device, self._wanted = device, wanted
        self.sent = choose_mode(device, asked, wanted.format)
        self.fps = self.sent.fps or DEFAULT_FPS
        self.note = asked.note(self.sent.mode)
        self._obstacle = self._against_slots()
        self._maps: list[mmap.mmap] = []
        self._numbers: dict[int, int] = {}  # address of a slot -> number of the buffer
        self._held: dict[int, Frame] = {}  # what the driver has, by that number
        self._driver_writes = int(device.driver in COPYING)
        self._arrived: deque[CapturedFrame] = deque()
        self._last: int | None = None
        self._streaming = self._read = False
        self.lent: Sequence[Frame] = ()
        """Frames whose slots the driver keeps."""
        self.stopping = threading.Event()
        """Ends the wait for a frame."""
        self.skipped = self.driver_drops = 0
        self.decoding: Decoding = Decoding()

    @property
    def lends(self) -> bool:
        """Whether the driver may write into the slots; it may still refuse the addresses."""
        return not self._obstacle

    @property
    def path(self) -> str:
        """How frames reach the slots."""
        name, driver = self.sent.name, self._device.driver
        if self.lends:
            return f"{name}, written into the slots by {driver} (USERPTR)"
        what = "decoded" if self.sent.kind is None else "copied"
        if self.sent.kind is not None and self.sent.kind != self._wanted.format:
            what = f"converted to {self._wanted.format}"
        return f"{name}, {what} from the buffers of {driver} (MMAP: {self._obstacle})"

    def read_into(self, frame: Frame) -> bool:
        """Wait for a frame and bring it into `frame`; False if none came.

        With USERPTR the slot of `frame` is exchanged for that which the driver has filled.
        LostConnection: the camera is unplugged. BrokenFrame: the frame is damaged.
        """
        try:
            if not self._streaming:
                self._start()
            if self.lends:
                self._lend(frame)
            captured = self._newest()
            while captured is not None and self._passes_over(captured):
                self.skipped += 1
                self._return(captured)
                captured = self._newest()
            if captured is not None and not self._read:
                captured = self._after_first(frame, captured)
        except OSError as error:
            raise LostConnection(error.strerror or "") from error
        if captured is None:
            return False
        self._read = True
        self._stamp(frame, captured)
        if self.lends:
            self._exchange(frame, captured)
        else:
            with self.decoding.timed():
                self._take(frame, captured)
        return True

    def _passes_over(self, captured: CapturedFrame) -> bool:
        if self.lends or self._fault(captured):
            return False
        return self.decoding.passes_over(captured.time or time.perf_counter_ns())

    def _after_first(self, frame: Frame, captured: CapturedFrame) -> CapturedFrame | None:
        """Skip the first JPEG after the start if it is damaged, as that of many cameras is."""
        if self.sent.kind is not None:
            return captured
        jpeg = self._maps[captured.index][: captured.bytes]
        try:
            decode_jpeg_frame(jpeg, frame)
            return captured
        except BrokenFrame:
            self.skipped += 1
            self._return(captured)
            return self._newest()

    def _against_slots(self) -> str:
        """Return why the driver cannot write into the slots; empty if it can."""
        sent, wanted = self.sent, self._wanted
        if sent.kind is None:
            return "JPEGs"
        if sent.kind != wanted.format:
            return f"the graph takes {wanted.format}"
        if sent.size != wanted.size:
            return "another size than the graph's"
        nbytes = int(np.prod(frame_shape(sent.kind, *sent.size)))
        if not sent.packed or sent.image > nbytes:
            return "its rows have gaps"
        if (fewest := self._device.fewest_buffers) > LENT:
            return f"it needs {fewest} buffers"
        try:
            count = self._device.request(abi.MEMORY_USERPTR, SLOTS)
        except OSError:
            return "the driver takes no addresses"
        return "" if count >= SLOTS else f"the driver has {count} buffers only"

    def _start(self) -> None:
        if self.lends and len(self.lent) < LENT:
            self._refuse("no slots were lent")
        if self.lends:
            try:
                self._device.request(abi.MEMORY_USERPTR, SLOTS)
                for each in self.lent:
                    self._lend(each)
            except OSError as error:
                if error.errno not in REFUSALS:
                    raise
                self._refuse(f"the driver refuses the slots' memory: {error.strerror}")
        if not self.lends:
            count = self._device.request(abi.MEMORY_MMAP, MAPPED)
            self._maps = self._device.map(count)
            for index in range(count):
                self._device.queue(index)
        self._device.start()
        self._streaming = True

    def _refuse(self, obstacle: str) -> None:
        self.release()
        self._obstacle = obstacle
        log.info(f"the camera's frames are copied: {obstacle}")

    def _lend(self, frame: Frame) -> None:
        """Give the driver a frame's slot, unless it has it already."""
        if any(held is frame for held in self._held.values()):
            return
        slot = frame.slot_image
        assert slot is not None
        address = slot.ctypes.data
        number = self._numbers.setdefault(address, len(self._numbers))
        self._held[number] = frame
        self._device.queue(number, address, slot.nbytes)

    def _newest(self) -> CapturedFrame | None:
        """Wait for a frame; None if none came.

        A whole frame that a newer one has followed is skipped. A broken one is not: it is told.
        """
        for _ in range(round(NO_FRAME / SLICE)):
            if self._arrived or self.stopping.is_set() or self._device.wait(SLICE):
                break
        while not self.stopping.is_set() and self._device.wait(0):
            if (captured := self._device.dequeue()) is None:
                break
            self._count(captured)
            self._arrived.append(captured)
        whole = [captured for captured in self._arrived if not self._fault(captured)]
        for captured in whole[:-1]:
            self._arrived.remove(captured)
            self._return(captured)
            self.skipped += 1
        return self._arrived.popleft() if self._arrived else None

    def _return(self, captured: CapturedFrame) -> None:
        if not self.lends:
            self._device.queue(captured.index)
            return
        self._lend(self._held.pop(captured.index))

    def _count(self, captured: CapturedFrame) -> None:
        """Count the frames that the driver could not deliver, by the gap in their numbers."""
        if self._last is not None and captured.sequence > self._last:
            self.driver_drops += captured.sequence - self._last - 1
        self._last = captured.sequence

    def _stamp(self, frame: Frame, captured: CapturedFrame) -> None:
        frame.stamp(captured.time if captured.complete else 0)
        frame.captured, frame.sequence = captured.time, captured.sequence

    def _exchange(self, frame: Frame, captured: CapturedFrame) -> None:
        """Make `frame` the owner of the slot that was filled, and its former owner of its slot."""
        owner = self._held.pop(captured.index)
        if owner is not frame:
            number = next(number for number, held in self._held.items() if held is frame)
            frame.swap_slots(owner)
            self._held[number] = owner
        if fault := self._fault(captured):
            raise BrokenFrame(fault)
        slot = frame.slot_image
        assert slot is not None
        frame.buffer(self._wanted.format, slot.shape)
        frame.writes = self._driver_writes

    def _take(self, frame: Frame, captured: CapturedFrame) -> None:
        """Copy, convert or decode a frame out of a buffer of the driver, and return that."""
        sent, filled = self.sent, self._maps[captured.index]
        if fault := self._fault(captured):
            self._device.queue(captured.index)
            raise BrokenFrame(fault)
        try:
            if sent.kind is None:
                jpeg = filled[: captured.bytes]
            else:
                rows, columns, channels = frame_shape(sent.kind, *sent.size)
                shape, strides = (rows, columns, channels), (sent.line, channels, 1)
                pixels: Image = np.ndarray(shape, np.uint8, filled, strides=strides)
                deliver(frame, pixels, sent.kind, writes=self._driver_writes)
        finally:
            self._device.queue(captured.index)
        if sent.kind is None:
            decode_jpeg_frame(jpeg, frame)

    def _fault(self, captured: CapturedFrame) -> str:
        """Return why a frame is broken; empty if it is whole, as far as its driver knows."""
        rows = frame_shape(self.sent.kind, *self.sent.size)[0] if self.sent.kind else 0
        if captured.bytes < (expected := max(rows * self.sent.line, 1)):
            return f"{captured.bytes} bytes, expected {expected}"
        return "damaged on its way to the driver" if captured.damaged else ""

    def release(self) -> None:
        """Take the slots back from the driver."""
        self._maps = []
        self._held.clear()
        self._numbers.clear()
        self._arrived.clear()
        self._device.release()
        self._streaming = self._read = False

    def close(self) -> None:
        """Take the slots back and close the device."""
        self.release()
        self._device.close()
