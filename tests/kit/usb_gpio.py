"""A USB chip with four digital lines, made of software: the kernel's own hid-mcp2221 drives it.

It speaks the part of the Microchip MCP2221's protocol that lines need, through /dev/uhid. It needs
Linux with uhid and hid-mcp2221, and root; closing it unplugs it.

Sources: MCP2221 data sheet, chapter 3.1, commands 0x50 and 0x51; hid/uhid.rst of Linux.
"""

import os
import select
import struct
import threading
import time

DEVICE = "/dev/uhid"
DESTROY, OUTPUT, CREATE, INPUT = 1, 6, 11, 12  # kinds of events
USB, VENDOR, PRODUCT = 3, 0x04D8, 0x00DD
REPORT = 64  # bytes
SET, GET, DONE = 0x50, 0x51, 0
# Reports of 64 bytes in both directions, of a kind that only the vendor knows.
DESCRIPTOR = bytes.fromhex(
    "0600ff 0901 a101 0901 1500 26ff00 7508 9540 8102 0902 1500 26ff00 7508 9540 9102 c0"
)


class UsbLines:
    """The chip: it remembers when each line was set, in seconds of `time.monotonic`."""

    def __init__(self):
        self.levels = [False] * 4
        self.output = [False] * 4
        self.changes = []
        """(moment, line, level)"""
        self._file = os.open(DEVICE, os.O_RDWR)
        name = b"edgeseg lines".ljust(128, b"\0") + bytes(64 + 64)
        head = struct.pack("<HHIIII", len(DESCRIPTOR), USB, VENDOR, PRODUCT, 0, 0)
        self._write(CREATE, name + head + DESCRIPTOR.ljust(4096, b"\0"))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self._over.set()
        self._thread.join()
        self._write(DESTROY, b"")
        os.close(self._file)

    def _write(self, kind, body):
        os.write(self._file, struct.pack("<I", kind) + body)

    def _serve(self):
        while not self._over.is_set():
            if not select.select([self._file], [], [], 0.05)[0]:
                continue
            event = os.read(self._file, 4380)
            (kind,) = struct.unpack_from("<I", event)
            if kind == OUTPUT:
                (size,) = struct.unpack_from("<H", event, 4 + 4096)
                self._answer(event[4 : 4 + size][-REPORT:])

    def _answer(self, report):
        command, answer = report[0], bytearray(report.ljust(REPORT, b"\0"))
        answer[1] = DONE
        if command == SET:
            for line in range(4):
                sets_level, level, sets_way, way = report[2 + 4 * line : 6 + 4 * line]
                if sets_way:
                    self.output[line] = not way
                if sets_level:
                    self.levels[line] = bool(level)
                    self.changes.append((time.monotonic(), line, bool(level)))
        elif command == GET:
            for line in range(4):
                answer[2 + 2 * line] = self.levels[line]
                answer[3 + 2 * line] = not self.output[line]
        self._write(INPUT, struct.pack("<H", REPORT) + bytes(answer).ljust(4096, b"\0"))
