"""A USB camera made of software: the kernel's own uvcvideo drives it, through USB/IP.

It speaks the part of the USB Video Class 1.0 that a camera with a bulk endpoint needs, and sends
yuyv or MJPEG frames that are prepared. It needs Linux with vhci-hcd and uvcvideo, and root; closing
it unplugs it.

Sources: Documentation/usb/usbip_protocol.rst of Linux; USB Device Class Definition for Video
Devices 1.0a, chapters 3 and 4.
"""

import itertools
import socket
import struct
import threading
import time
from collections import deque
from pathlib import Path

CONTROLLER = Path("/sys/devices/platform/vhci_hcd.0")
HIGH_SPEED, DEVICE = 3, 1 << 16 | 2
SUBMIT, UNLINK, SUBMITTED, UNLINKED = 1, 2, 3, 4
STALL, UNLINKED_BEFORE = -32, -104  # -EPIPE, -ECONNRESET
FREE = "004"  # of a port
PAYLOAD = 16384  # bytes of a bulk transfer, with a header of 2
END_OF_HEADER, END_OF_FRAME = 0x80, 0x02
YUY2 = b"YUY2\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
FORMATS = ("yuyv", "mjpeg")


def block(kind, *parts):
    """A descriptor: its length, its type, its content."""
    body = b"".join(parts)
    return bytes([len(body) + 2, kind]) + body


def descriptors(width, height, interval):
    """Return the device's descriptor and that of its configuration."""
    device = block(
        1, struct.pack("<HBBBBHHHBBBB", 0x200, 0xEF, 2, 1, 64, 0x1D6B, 0x102, 1, 0, 0, 0, 1)
    )
    terminal = block(0x24, struct.pack("<BBHBBHHHB", 2, 1, 0x201, 0, 0, 0, 0, 0, 0))
    output = block(0x24, struct.pack("<BBHBBB", 3, 2, 0x101, 0, 1, 0))
    total = 13 + len(terminal) + len(output)
    header = block(0x24, struct.pack("<BHHIBB", 1, 0x100, total, 6_000_000, 1, 1))
    control = header + terminal + output
    size = width * height * 2
    rate = size * 8 * 10_000_000 // interval

    def frame(kind):
        fixed = struct.pack("<BBHHIIIIB", 1, 0, width, height, rate, rate, size, interval, 1)
        return block(0x24, bytes([kind]), fixed, struct.pack("<I", interval))

    yuyv = block(0x24, bytes([4, 1, 1]), YUY2, bytes([16, 1, 0, 0, 0, 0])) + frame(5)
    mjpeg = block(0x24, bytes([6, 2, 1, 1, 1, 0, 0, 0, 0])) + frame(7)
    total = 15 + len(yuyv) + len(mjpeg)
    streaming = block(0x24, struct.pack("<BBHBBBBBBBBB", 1, 2, total, 0x81, 0, 2, 0, 0, 0, 1, 0, 0))
    streaming += yuyv + mjpeg
    body = (
        block(11, bytes([0, 2, 0x0E, 3, 0, 0]))
        + block(4, bytes([0, 0, 0, 0x0E, 1, 0, 0]))
        + control
        + block(4, bytes([1, 0, 1, 0x0E, 2, 0, 0]))
        + streaming
        + block(5, struct.pack("<BBHB", 0x81, 2, 512, 0))
    )
    configuration = block(2, struct.pack("<HBBBBB", 9 + len(body), 2, 1, 0, 0x80, 50)) + body
    return device, configuration


class UsbCamera:
    """Sends `pictures[format]` in turn, at `fps`; `with` plugs it in, its end unplugs it."""

    def __init__(self, width, height, pictures, *, fps=30):
        self.interval = 10_000_000 // fps
        self._size = width * height * 2
        self._pictures = {kind: itertools.cycle(frames) for kind, frames in pictures.items()}
        self._device, self._configuration = descriptors(width, height, self.interval)
        self._probe = self._settings(1)
        self._format, self._sent = "yuyv", 0
        self._urbs = deque()
        self._changed = threading.Condition()

    def __enter__(self):
        before = set(Path("/dev").glob("video*"))
        self._socket, theirs = socket.socketpair()
        self._open = True
        (CONTROLLER / "attach").write_text(f"0 {theirs.fileno()} {DEVICE} {HIGH_SPEED}")
        theirs.close()
        for work in (self._answer, self._pump):
            threading.Thread(target=work, daemon=True).start()
        deadline = time.monotonic() + 60
        while not (found := set(Path("/dev").glob("video*")) - before):
            if time.monotonic() > deadline:
                raise TimeoutError("the kernel did not accept the camera")
            time.sleep(0.05)
        self.node = str(min(found))
        return self

    def __exit__(self, *raised):
        self._open = False
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with self._changed:
            self._changed.notify_all()
        deadline = time.monotonic() + 30
        while not self._unplugged() and time.monotonic() < deadline:
            time.sleep(0.05)

    def _unplugged(self):
        """Whether the first port is free: `hs  0000 004 ...`."""
        ports = (line.split() for line in (CONTROLLER / "status").read_text().splitlines())
        return ["hs", "0000", FREE] in [port[:3] for port in ports]

    # USB/IP.

    def _receive(self, count):
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise ConnectionError
            data += part
        return data

    def _send(self, command, number, *numbers, data=b""):
        head = struct.pack(">5I", command, number, 0, 0, 0) + struct.pack(
            f">{len(numbers)}i", *numbers
        )
        with self._changed:
            self._socket.sendall(head.ljust(48, b"\0") + data)

    def _answer(self):
        try:
            while True:
                head = self._receive(48)
                command, number, _, inward, endpoint = struct.unpack(">5I", head[:20])
                if command == UNLINK:
                    self._unlink(number, struct.unpack(">I", head[20:24])[0])
                    continue
                length = struct.unpack(">i", head[24:28])[0]
                data = b"" if inward else self._receive(length)
                if endpoint:
                    with self._changed:
                        self._urbs.append(number)
                        self._changed.notify_all()
                    continue
                answer = self._control(head[40:48], data)
                if answer is None:
                    self._send(SUBMITTED, number, STALL, 0, 0, 0, 0)
                elif inward:
                    answer = answer[:length]
                    self._send(SUBMITTED, number, 0, len(answer), 0, 0, 0, data=answer)
                else:
                    self._send(SUBMITTED, number, 0, length, 0, 0, 0)
        except OSError:
            return

    def _unlink(self, number, wanted):
        with self._changed:
            found = wanted in self._urbs
            if found:
                self._urbs.remove(wanted)
        self._send(UNLINKED, number, UNLINKED_BEFORE if found else 0)

    # The class.

    def _settings(self, format_index):
        counts = struct.pack("<5H", 0, 0, 0, 0, 0)
        head = struct.pack("<HBBI", 1, format_index, 1, self.interval)
        return head + counts + struct.pack("<II", self._size, PAYLOAD)

    def _control(self, setup, data):
        """Answer a request; None to refuse it."""
        kind, request, value, _index, _ = struct.unpack("<BBHHH", setup)
        if kind & 0x60 == 0:
            if request == 6:  # GET_DESCRIPTOR
                return {1: self._device, 2: self._configuration}.get(value >> 8)
            return b"\0\0" if kind & 0x80 else b""
        if value >> 8 not in (1, 2):  # probe and commit
            return None
        if request == 1:  # SET_CUR
            self._probe = self._settings(data[2] if data[2] in (1, 2) else 1)
            self._format = FORMATS[self._probe[2] - 1]
            return b""
        answers = {0x85: struct.pack("<H", 26), 0x86: b"\3"}
        return answers.get(request, self._probe)

    def _pump(self):
        """Answer bulk transfers with the payloads of frames."""
        toggle, due = 0, time.monotonic()
        try:
            while self._open:
                with self._changed:
                    self._changed.wait_for(lambda: self._urbs or not self._open)
                due = max(due + self.interval / 1e7, time.monotonic() - 0.5)
                time.sleep(max(due - time.monotonic(), 0))
                frame = next(self._pictures[self._format])
                parts = range(0, len(frame), PAYLOAD - 2)
                for start in parts:
                    end = END_OF_FRAME if start == parts[-1] else 0
                    head = bytes([2, END_OF_HEADER | end | toggle])
                    with self._changed:
                        self._changed.wait_for(lambda: self._urbs or not self._open)
                        if not self._open:
                            return
                        number = self._urbs.popleft()
                    payload = head + frame[start : start + PAYLOAD - 2]
                    self._send(SUBMITTED, number, 0, len(payload), 0, 0, 0, data=payload)
                toggle ^= 1
        except OSError:
            return
