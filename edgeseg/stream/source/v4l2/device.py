"""A V4L2 capture device: its formats, its rate and its queue of buffers.

    request -> queue -> start -> wait -> dequeue -> queue -> ... -> release

A buffer is the driver's from `queue` to `dequeue`. It is memory of the driver that is mapped here
(MMAP), or memory of this program that the driver fills (USERPTR), where it can.
"""

import ctypes
import errno
import mmap
from contextlib import suppress
from dataclasses import dataclass

from edgeseg.closing import Closing
from edgeseg.stream.source.v4l2 import abi
from edgeseg.stream.source.v4l2.kernel import Kernel

MOST_FORMATS = 64


class NotCaptureDevice(Exception):
    """The device is none that this interface can capture from; str() tells why."""


@dataclass(frozen=True)
class CapturedFrame:
    """A buffer that the driver has filled."""

    index: int
    bytes: int
    damaged: bool
    """Whether the driver says so."""
    sequence: int
    """Number of the frame; the driver also counts those that it could not deliver."""
    time: int
    """Nanoseconds of CLOCK_MONOTONIC; 0 if the driver has another clock."""
    complete: bool
    """Whether `time` is when the frame was complete, not when its exposure began."""


class CaptureDevice(Closing):
    """An opened device; OSError from every method that the kernel refuses."""

    def __init__(self, path: str, kernel: Kernel) -> None:
        """Open a device; NotCaptureDevice if it cannot be captured from, or with several planes."""
        self._kernel, self._device = kernel, kernel.open(path)
        self._maps: list[mmap.mmap] = []
        self._memory = 0
        try:
            found = abi.Capability()
            self._query(found)
            whole = found.capabilities
            can = found.device_caps if whole & abi.CAP_DEVICE_CAPS else whole
            if not can & abi.CAP_VIDEO_CAPTURE:
                raise NotCaptureDevice("its driver delivers no frames of one plane")
            if not can & abi.CAP_STREAMING:
                raise NotCaptureDevice("its driver has no queue of buffers")
        except BaseException:
            self.close()
            raise
        self.driver = found.driver.decode("ascii", "replace")
        self.card = found.card.decode("utf-8", "replace")

    def formats(self) -> list[str]:
        """Return the pixel formats, as four letters each."""
        found = []
        for index in range(MOST_FORMATS):
            described = abi.FormatDescription(index=index, type=abi.BUF_TYPE_VIDEO_CAPTURE)
            try:
                self._call(abi.VIDIOC_ENUM_FMT, described)
            except OSError:
                break
            found.append(abi.letters(described.pixelformat))
        return found

    def set_format(
        self, letters: str, size: tuple[int, int], *, only_try: bool = False
    ) -> abi.PixFormat:
        """Ask for a format and (height, width); return what the driver makes of it."""
        asked = abi.Format(type=abi.BUF_TYPE_VIDEO_CAPTURE)
        asked.fmt.pix.height, asked.fmt.pix.width = size
        asked.fmt.pix.pixelformat = abi.fourcc(letters)
        asked.fmt.pix.field = abi.FIELD_ANY
        self._call(abi.VIDIOC_TRY_FMT if only_try else abi.VIDIOC_S_FMT, asked)
        pix: abi.PixFormat = asked.fmt.pix
        return pix

    def set_rate(self, fps: float | None) -> float | None:
        """Ask for a frame rate, or for none; return the driver's, None if it is unknown."""
        parm = abi.StreamParm(type=abi.BUF_TYPE_VIDEO_CAPTURE)
        try:
            self._call(abi.VIDIOC_G_PARM, parm)
            if fps is not None and parm.parm.capture.capability & abi.PARM_TIMEPERFRAME:
                parm.parm.capture.timeperframe = abi.Fraction(1000, round(fps * 1000))
                self._call(abi.VIDIOC_S_PARM, parm)
        except OSError:
            return None
        period = parm.parm.capture.timeperframe
        known = period.numerator and period.denominator
        return period.denominator / period.numerator if known else None

    @property
    def fewest_buffers(self) -> int:
        """How many buffers the driver has to have at any time, where it tells; else 1."""
        control = abi.Control(id=abi.CID_MIN_BUFFERS_FOR_CAPTURE)
        try:
            self._call(abi.VIDIOC_G_CTRL, control)
        except OSError:
            return 1
        return max(int(control.value), 1)

    def request(self, memory: int, count: int) -> int:
        """Prepare buffers of a kind; return how many there are, which the driver decides."""
        asked = abi.RequestBuffers(count=count, type=abi.BUF_TYPE_VIDEO_CAPTURE, memory=memory)
        self._call(abi.VIDIOC_REQBUFS, asked)
        self._memory = memory
        return int(asked.count)

    def map(self, count: int) -> list[mmap.mmap]:
        """Map the driver's buffers."""
        for index in range(count):
            buffer = self._buffer(index)
            self._call(abi.VIDIOC_QUERYBUF, buffer)
            self._maps.append(self._kernel.map(self._device, buffer.length, buffer.m.offset))
        return self._maps

    def queue(self, index: int, address: int = 0, length: int = 0) -> None:
        """Give a buffer to the driver; address, length: of memory of this program (USERPTR)."""
        buffer = self._buffer(index)
        if self._memory == abi.MEMORY_USERPTR:
            buffer.m.userptr, buffer.length = address, length
        self._call(abi.VIDIOC_QBUF, buffer)

    def start(self) -> None:
        """Let frames come."""
        self._call(abi.VIDIOC_STREAMON, ctypes.c_int(abi.BUF_TYPE_VIDEO_CAPTURE))

    def wait(self, seconds: float) -> bool:
        """Wait for a filled buffer; False if none came."""
        return self._kernel.wait(self._device, seconds)

    def dequeue(self) -> CapturedFrame | None:
        """Take a filled buffer back; None if there is none."""
        buffer = self._buffer(0)
        try:
            self._call(abi.VIDIOC_DQBUF, buffer)
        except BlockingIOError:
            return None
        clock = buffer.flags & abi.BUF_FLAG_TIMESTAMP_MASK
        stamp = buffer.timestamp.tv_sec * 10**9 + buffer.timestamp.tv_usec * 1000
        moment = buffer.flags & abi.BUF_FLAG_TSTAMP_SRC_MASK
        return CapturedFrame(
            index=buffer.index,
            bytes=buffer.bytesused,
            damaged=bool(buffer.flags & abi.BUF_FLAG_ERROR),
            sequence=buffer.sequence,
            time=stamp if clock == abi.BUF_FLAG_TIMESTAMP_MONOTONIC else 0,
            complete=moment != abi.BUF_FLAG_TSTAMP_SRC_SOE,
        )

    def release(self) -> None:
        """Stop, and take every buffer back; the driver writes into none of them any more."""
        if not self._memory:
            return
        kind = abi.BUF_TYPE_VIDEO_CAPTURE
        with suppress(OSError):  # unplugged: the kernel has taken the buffers from the driver
            self._call(abi.VIDIOC_STREAMOFF, ctypes.c_int(kind))
        self._maps.clear()
        with suppress(OSError):
            asked = abi.RequestBuffers(type=kind, memory=self._memory)
            self._call(abi.VIDIOC_REQBUFS, asked)
        self._memory = 0

    def close(self) -> None:
        """Release the buffers and close the device."""
        if self._device < 0:
            return
        self.release()
        device, self._device = self._device, -1
        self._kernel.close(device)

    def _buffer(self, index: int) -> abi.Buffer:
        return abi.Buffer(index=index, type=abi.BUF_TYPE_VIDEO_CAPTURE, memory=self._memory)

    def _call(self, call: int, argument: ctypes.Structure | ctypes.c_int) -> None:
        self._kernel.ioctl(self._device, call, argument)

    def _query(self, found: abi.Capability) -> None:
        try:
            self._call(abi.VIDIOC_QUERYCAP, found)
        except OSError as error:
            if error.errno in (errno.ENOTTY, errno.EINVAL):
                raise NotCaptureDevice("it has no V4L2 driver") from error
            raise
