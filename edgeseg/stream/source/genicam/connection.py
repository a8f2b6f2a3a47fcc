"""A connection to an industrial camera: frames in the slots without a copy, or with one.

Aravis receives the packets of a frame and puts them together in the buffer that it was given: one
write of the CPU. In the graph's own format and size that buffer is a slot; else it is one of ours,
and the frame is copied or converted into the slot. A frame of which something is missing is broken.

Of a camera that sends all the time the newest frame wins; of one that is triggered none is skipped,
and one that did not arrive at all is broken too.
"""

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import Any, NamedTuple

import numpy as np

from edgeseg.data.images import Image
from edgeseg.frame.pixel_formats import FrameFormat, frame_shape
from edgeseg.log import log
from edgeseg.stream.source.base import LONGEST_DELAY, Frame
from edgeseg.stream.source.camera import DEFAULT_FPS, LostConnection, Mode
from edgeseg.stream.source.decoding import Decoding
from edgeseg.stream.source.deliver import deliver
from edgeseg.stream.source.genicam.address import GenicamAddress
from edgeseg.stream.source.genicam.device import configure, open_device
from edgeseg.stream.source.genicam.formats import bytes_of_frame
from edgeseg.stream.source.mjpeg import BrokenFrame

LENT = 2  # slots that Aravis has beside the one that is being read
BUFFERS = 8  # where frames are copied
NO_FRAME = 5.0  # seconds, of a camera that sends all the time
SLICE = 0.1  # seconds, after which the end of the stream is noticed
WRITES = 1  # of the CPU, to put the packets of a frame together
LAST_ID = 0xFFFF  # of GigE Vision 1.x, whose next number is 1
MOST_MISSING = 1000  # frames; a longer gap is a camera that was restarted


class Arrival(NamedTuple):
    """A frame that arrived, or one of a trigger that did not."""

    buffer: Any
    """None: it did not arrive."""
    number: int


class GenicamConnection:
    """Reads frames from a camera until it is closed or lost."""

    max_missing = 1
    decoding: Decoding | None = None

    def __init__(
        self,
        aravis: Any,
        address: GenicamAddress,
        asked: Mode,
        wanted: FrameFormat,
        size: tuple[int, int],
    ) -> None:
        """Open and set the camera; SourceError if that fails.

        wanted, size: format and (height, width) of the graph's frames.
        """
        self._aravis, self._wanted, self._size = aravis, wanted, size
        self._camera = open_device(aravis, address.name)
        self._device = self._camera.get_device()
        self._gone = gone = threading.Event()
        self._watch = self._device.connect("control-lost", lambda device: gone.set())
        try:
            self.sent, notes = configure(self._camera, address, asked, wanted)
        except BaseException:
            self._let_go()
            raise
        self.triggered = address.settings.trigger != "off"
        self._software = address.settings.trigger == "software"
        self.fps = self.sent.fps or DEFAULT_FPS
        modes = replace(asked, fps=None) if self.triggered else asked
        mode = modes.note(self.sent.mode) if modes != Mode() else f"delivers {self.sent.mode}"
        self.note = ", ".join([mode, *notes])
        self._obstacle = self._against_slots()
        self._stream: Any = None
        self._buffers: dict[int, Any] = {}  # by the address of their memory
        self._memory: list[tuple[Any, Image]] = []  # of the buffers that are copied
        self._held: list[tuple[Any, Frame]] = []  # what Aravis has of the slots
        self._arrived: deque[Arrival] = deque()
        self._triggers: SimpleQueue[bool] = SimpleQueue()
        self._numbers = FrameNumbers()
        self.lent: Sequence[Frame] = ()
        """Frames whose slots Aravis keeps."""
        self.stopping = threading.Event()
        """Ends the wait for a frame."""
        self.skipped = self.driver_drops = 0

    @property
    def lends(self) -> bool:
        """Whether Aravis writes into the slots."""
        return not self._obstacle

    @property
    def path(self) -> str:
        """How frames reach the slots."""
        name = self.sent.name
        if self.lends:
            return f"{name}, put together in the slots by Aravis"
        kind, direct = self.sent.form.kind, self.sent.form.unpack is None
        what = "copied" if direct and kind == self._wanted else f"converted to {self._wanted}"
        return f"{name}, {what} from the buffers of Aravis ({self._obstacle})"

    def trigger(self) -> None:
        """Ask for a frame; never waits."""
        if self._software:
            self._triggers.put(True)

    def read_into(self, frame: Frame) -> bool:
        """Wait for a frame and bring it into `frame`; False if none came.

        Where slots are lent, that of `frame` is exchanged for the one that was filled.
        LostConnection: the camera does not answer. BrokenFrame: the frame is not whole.
        """
        if self._stream is None:
            self._start()
        if self.lends:
            self._lend(frame)
        arrival = self._next()
        if arrival is None:
            return False
        self._stamp(frame, arrival)
        if arrival.buffer is None:
            raise BrokenFrame("it did not arrive; expected a frame for each trigger")
        if self.lends:
            self._exchange(frame, arrival.buffer)
        else:
            self._take(frame, arrival.buffer)
        return True

    def _against_slots(self) -> str:
        """Return why Aravis cannot write into the slots; empty if it can."""
        sent = self.sent
        if sent.form.unpack is not None or sent.form.kind != self._wanted:
            return f"the graph takes {self._wanted}"
        if sent.size != self._size:
            return "another size than the graph's"
        nbytes = bytes_of_frame(sent.form.kind, sent.size)
        return "" if sent.payload == nbytes else f"{sent.payload - nbytes} bytes beside the picture"

    def _start(self) -> None:
        if self.lends and len(self.lent) < LENT:
            self._obstacle = "no slots were lent"
        try:
            self._stream = self._camera.create_stream(None, None)
            if self.lends:
                for each in self.lent:
                    self._lend(each)
            else:
                for _ in range(BUFFERS):
                    memory = np.zeros(self.sent.payload, np.uint8)
                    buffer = self._aravis.Buffer.new(memory.nbytes, memory.ctypes.data)
                    self._memory.append((buffer, memory))
                    self._stream.push_buffer(buffer)
            self._camera.start_acquisition()
        except Exception as error:  # GLib.Error
            raise LostConnection(str(error)) from error
        if self._software:
            fire = partial(_fire, self._camera, self._triggers)
            threading.Thread(target=fire, name="trigger", daemon=True).start()

    def _lend(self, frame: Frame) -> None:
        """Give Aravis a frame's slot, unless it has it already."""
        if any(held is frame for _, held in self._held):
            return
        slot = frame.slot_image
        assert slot is not None
        address = slot.ctypes.data
        if address not in self._buffers:
            self._buffers[address] = self._aravis.Buffer.new(slot.nbytes, address)
        buffer = self._buffers[address]
        self._held.append((buffer, frame))
        self._stream.push_buffer(buffer)

    def _next(self) -> Arrival | None:
        """Wait for a frame; None if none came.

        Of a camera without a trigger, a whole frame that a newer one has followed is skipped.
        """
        until = time.monotonic() + max(NO_FRAME, 3 / self.fps)
        while not self._arrived and not self.stopping.is_set():
            self._take_in(self._stream.timeout_pop_buffer(int(SLICE * 1e6)))
            if not self._arrived and self._lost():
                raise LostConnection
            if not self._arrived and not self.triggered and time.monotonic() > until:
                return None
        while (buffer := self._stream.try_pop_buffer()) is not None:
            self._take_in(buffer)
        if not self.triggered:
            whole = [each for each in self._arrived if not self._fault(each.buffer)]
            for each in whole[:-1]:
                self._arrived.remove(each)
                self._stream.push_buffer(each.buffer)
                self.skipped += 1
        return self._arrived.popleft() if self._arrived else None

    def _take_in(self, buffer: Any) -> None:
        """Note a frame that arrived, and those that were missing before it."""
        if buffer is None:
            return
        if buffer.get_status() == self._aravis.BufferStatus.CLEARED:
            # Never filled: as root, Aravis takes foreign packets for frames when it starts.
            self._stream.push_buffer(buffer)
            return
        number, missing = self._numbers.take(buffer.get_frame_id())
        if self.triggered and missing < 0:  # its trigger has an answer
            self._stream.push_buffer(buffer)
            return
        self.driver_drops += missing
        if self.triggered:
            self._arrived.extend(Arrival(None, each) for each in range(number - missing, number))
        self._arrived.append(Arrival(buffer, number))

    def _lost(self) -> bool:
        gigabit = isinstance(self._device, self._aravis.GvDevice)
        return self._gone.is_set() or (gigabit and not self._device.is_controller())

    def _stamp(self, frame: Frame, arrival: Arrival) -> None:
        """Set the times: arrived now; captured when the first packet reached this machine."""
        frame.stamp()
        frame.sequence, frame.captured, frame.camera_ns = arrival.number, 0, None
        if arrival.buffer is not None:
            since = time.time_ns() - arrival.buffer.get_system_timestamp()
            frame.captured = frame.arrival - since if 0 <= since < LONGEST_DELAY else 0
            frame.camera_ns = arrival.buffer.get_timestamp()

    def _exchange(self, frame: Frame, buffer: Any) -> None:
        """Make `frame` the owner of the slot that was filled, and its former owner of its slot."""
        place, owner = next((n, f) for n, (each, f) in enumerate(self._held) if each is buffer)
        del self._held[place]
        if owner is not frame:
            place = next(n for n, (_, held) in enumerate(self._held) if held is frame)
            frame.swap_slots(owner)
            self._held[place] = (self._held[place][0], owner)
        if fault := self._fault(buffer):
            raise BrokenFrame(fault)
        slot = frame.slot_image
        assert slot is not None
        frame.buffer(self._wanted, slot.shape)
        frame.writes = WRITES

    def _take(self, frame: Frame, buffer: Any) -> None:
        """Copy or convert a frame out of a buffer, and return that."""
        form, size = self.sent.form, self.sent.size
        try:
            if fault := self._fault(buffer):
                raise BrokenFrame(fault)
            memory = next(memory for each, memory in self._memory if each is buffer)
            data, shape = memory[: form.frame_bytes(*size)], frame_shape(form.kind, *size)
            if form.unpack is None:
                deliver(frame, data.reshape(shape), form.kind, writes=WRITES)
            else:
                self._unpack(frame, data, shape)
        finally:
            self._stream.push_buffer(buffer)

    def _unpack(self, frame: Frame, data: Image, shape: tuple[int, int, int]) -> None:
        """Convert a frame to 8 bits: into the slot if that takes it, else by way of a buffer."""
        form, slot = self.sent.form, frame.slot_image
        assert form.unpack is not None
        if slot is None or frame.slot_format == form.kind or slot.shape[:2] != shape[:2]:
            form.unpack(data, frame.buffer(form.kind, shape))
            frame.writes = WRITES + form.writes
            return
        pixels = np.empty(shape, np.uint8)
        form.unpack(data, pixels)
        deliver(frame, pixels, form.kind, writes=WRITES + form.writes)

    def _fault(self, buffer: Any) -> str:
        """Return why a frame is not whole; empty if it is."""
        status = buffer.get_status()
        if status == self._aravis.BufferStatus.SUCCESS:
            height, width = buffer.get_image_height(), buffer.get_image_width()
            found = (height, width), buffer.get_image_pixel_format() & 0xFFFFFFFF
            if found == (self.sent.size, self.sent.form.code):
                return ""
            return f"{width}x{height}, expected {self.sent.size[1]}x{self.sent.size[0]}"
        return f"{status.value_nick}, expected {self.sent.payload} bytes"

    def release(self) -> None:
        """Take the slots back: when this returns, nothing is written into them."""
        self._triggers.put(False)
        stream, self._stream = self._stream, None
        if stream is not None:
            if not self._lost():
                try:
                    self._camera.stop_acquisition()
                except Exception as error:  # GLib.Error: the camera is gone
                    log.debug(f"the camera does not stop: {error}")
            del stream  # the last reference: ends its thread
        self._held.clear()
        self._buffers.clear()
        self._arrived.clear()
        self._memory.clear()
        self._triggers = SimpleQueue()

    def close(self) -> None:
        """Take the slots back and let the camera go."""
        self.release()
        self._let_go()

    def _let_go(self) -> None:
        """Give up the control of the camera, which ends with the last reference to it."""
        if self._device is not None:
            self._device.disconnect(self._watch)
        self._camera = self._device = None


def _fire(camera: Any, triggers: "SimpleQueue[bool]") -> None:
    """Trigger a camera; in an own thread, because one that is lost answers after seconds."""
    while triggers.get():
        try:
            camera.software_trigger()
        except Exception as error:  # GLib.Error
            log.warning(f"the camera takes no trigger: {error}")


class FrameNumbers:
    """Counts on where the 16 bits of a camera's frame number begin again, and finds gaps.

    A frame that lacks packets may come after the next one: Aravis waits for them.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._before = 0
        self._missing: deque[int] = deque(maxlen=MOST_MISSING)

    def take(self, number: int) -> tuple[int, int]:
        """Return the number of a frame without the limit of 16 bits, and how many are missing.

        -1 is missing for a late frame, which was counted as missing before.
        """
        last, whole = self._last, self._before + number
        if last is not None and number <= LAST_ID and last - whole > LAST_ID // 2:
            self._before += LAST_ID  # 65535 -> 1
            whole += LAST_ID
        elif last is not None and self._before and whole - last > LAST_ID // 2:
            whole -= LAST_ID  # late, from before
        if whole in self._missing:
            self._missing.remove(whole)
            return whole, -1
        self._last = whole
        gap = whole - last - 1 if last is not None else 0
        missing = gap if 0 <= gap <= MOST_MISSING else 0
        self._missing.extend(range(whole - missing, whole))
        return whole, missing
