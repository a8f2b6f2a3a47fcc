"""A V4L2 driver in memory: answers the calls of a camera, and refuses them as asked."""

import ctypes
import errno
import time
from collections import deque

import numpy as np

from edgeseg.stream.source.v4l2 import abi

DEVICE = 7


def refusal(number):
    return OSError(number, errno.errorcode[number])


class FakeDriver:
    """One camera. `frames`: what it captures next, as bytes or as a text.

    "lost" is a frame that finds no buffer, "damaged" one with the error flag, "short" half of one,
    "unplug" the end of the device.
    """

    def __init__(
        self,
        frames=(),
        *,
        formats=("YUYV",),
        sizes=((48, 64),),
        rates=None,
        driver="fake",
        userptr="taken",
        padding=0,
        fewest=1,
        complete=True,
    ):
        """userptr: `taken`, `unknown` (REQBUFS refuses it) or `refused` (QBUF does).

        rates: by format; padding: bytes after each row.
        """
        self.frames, self.formats, self.sizes = deque(frames), formats, sizes
        self.rates, self.driver, self.userptr = rates or {}, driver, userptr
        self.padding, self.fewest, self.complete = padding, fewest, complete
        self.pix = abi.PixFormat(width=64, height=48, pixelformat=abi.fourcc(formats[0]))
        self.asked_fps = 30.0
        self.present, self.opened, self.streaming = True, 0, False
        self.memory = 0
        self.maps = []
        self.queued, self.done = deque(), deque()
        self.written = []  # addresses that the driver wrote to with USERPTR
        self.sequence = 0
        self.calls = []

    # The interface of `Kernel`.

    def open(self, path):
        if not self.present:
            raise refusal(errno.ENOENT)
        self.opened += 1
        return DEVICE

    def close(self, device):
        assert device == DEVICE and self.opened == 1
        self.opened -= 1
        self.memory = 0
        self._off()

    def wait(self, device, seconds):
        if not self.present:
            return True  # POLLERR: the next call tells
        while seconds and not self.done and self.streaming and self.queued and self.frames:
            self._capture(self.frames.popleft())  # frames come only while somebody waits
        if not self.done and seconds:
            time.sleep(min(seconds, 0.001))
        return bool(self.done) or not self.present

    def map(self, device, length, offset):
        return self.maps[offset // 4096]

    def ioctl(self, device, call, argument):
        assert device == DEVICE
        name = next(name for name, number in vars(abi).items() if number == call)
        self.calls.append(name)
        if not self.present:
            raise refusal(errno.ENODEV)
        getattr(self, name[len("VIDIOC_") :].lower())(argument)

    # The calls.

    def querycap(self, found):
        found.driver, found.card = self.driver.encode(), b"A camera"
        found.capabilities = abi.CAP_DEVICE_CAPS | abi.CAP_VIDEO_CAPTURE | abi.CAP_STREAMING
        found.device_caps = abi.CAP_VIDEO_CAPTURE | abi.CAP_STREAMING

    def enum_fmt(self, described):
        if described.index >= len(self.formats):
            raise refusal(errno.EINVAL)
        described.pixelformat = abi.fourcc(self.formats[described.index])

    def try_fmt(self, asked):
        letters = abi.letters(asked.fmt.pix.pixelformat)
        letters = letters if letters in self.formats else self.formats[0]
        size = (asked.fmt.pix.height, asked.fmt.pix.width)
        sizes = self.sizes[letters] if isinstance(self.sizes, dict) else self.sizes
        height, width = size if size in sizes else sizes[0]
        channels = {"BGR3": 3, "RGB3": 3, "YUYV": 2, "UYVY": 2, "MJPG": 0}.get(letters, 1)
        rows = height * 3 // 2 if letters == "NV12" else height
        line = width * channels + self.padding
        image = rows * line if channels else height * width * 2
        asked.fmt.pix = abi.PixFormat(
            width=width,
            height=height,
            pixelformat=abi.fourcc(letters),
            field=1,
            bytesperline=line,
            sizeimage=image,
        )

    def s_fmt(self, asked):
        if self.memory:
            raise refusal(errno.EBUSY)
        self.try_fmt(asked)
        self.pix = asked.fmt.pix
        self.asked_fps = self.rates.get(abi.letters(self.pix.pixelformat), 30.0)

    def g_parm(self, parm):
        parm.parm.capture.capability = abi.PARM_TIMEPERFRAME
        parm.parm.capture.timeperframe = abi.Fraction(1000, round(self.asked_fps * 1000))

    def s_parm(self, parm):
        period = parm.parm.capture.timeperframe
        most = self.rates.get(abi.letters(self.pix.pixelformat), 60.0)
        self.asked_fps = min(period.denominator / period.numerator, most)
        self.g_parm(parm)

    def g_ctrl(self, control):
        if control.id != abi.CID_MIN_BUFFERS_FOR_CAPTURE:
            raise refusal(errno.EINVAL)
        control.value = self.fewest

    def reqbufs(self, asked):
        if asked.memory == abi.MEMORY_USERPTR and self.userptr == "unknown":
            raise refusal(errno.EINVAL)
        self._off()
        self.memory = asked.memory if asked.count else 0
        if asked.memory == abi.MEMORY_MMAP and asked.count:
            self.maps = [bytearray(self.pix.sizeimage) for _ in range(asked.count)]

    def querybuf(self, buffer):
        buffer.length, buffer.m.offset = self.pix.sizeimage, buffer.index * 4096

    def qbuf(self, buffer):
        assert buffer.memory == self.memory
        assert buffer.index not in [each.index for each in (*self.queued, *self.done)]
        if self.memory == abi.MEMORY_USERPTR:
            if self.userptr == "refused":
                raise refusal(errno.EFAULT)
            assert buffer.length >= self.pix.sizeimage
        self.queued.append(abi.Buffer.from_buffer_copy(buffer))

    def dqbuf(self, buffer):
        if not self.done:
            raise BlockingIOError(errno.EAGAIN, "no frame")
        ctypes.pointer(buffer)[0] = self.done.popleft()

    def streamon(self, kind):
        self.streaming = True

    def streamoff(self, kind):
        self._off()

    # What happens meanwhile.

    def _off(self):
        self.streaming = False
        self.queued.clear()
        self.done.clear()

    def _capture(self, frame):
        if frame == "unplug":
            self.present = False
            self._off()
            return
        number, self.sequence = self.sequence, self.sequence + 1
        if frame == "lost":
            return
        buffer = self.queued.popleft()
        data = bytes(self.pix.sizeimage) if isinstance(frame, str) else frame
        data = data[: len(data) // 2] if frame == "short" else data
        if self.memory == abi.MEMORY_USERPTR:
            self.written.append(buffer.m.userptr)
            ctypes.memmove(buffer.m.userptr, data, len(data))
        else:
            self.maps[buffer.index][: len(data)] = data
        now = time.perf_counter_ns() - 5_000_000
        buffer.bytesused, buffer.sequence = len(data), number
        buffer.timestamp = abi.TimeVal(now // 10**9, now % 10**9 // 1000)
        buffer.flags = abi.BUF_FLAG_TIMESTAMP_MONOTONIC
        buffer.flags |= 0 if self.complete else abi.BUF_FLAG_TSTAMP_SRC_SOE
        buffer.flags |= abi.BUF_FLAG_ERROR if frame == "damaged" else 0
        self.done.append(buffer)


def rows_with_gaps(pixels, padding):
    """The bytes of a frame whose rows end in some bytes that are no pixels."""
    rows = pixels.reshape(len(pixels), -1)
    return np.pad(rows, ((0, 0), (0, padding)), constant_values=99).tobytes()
