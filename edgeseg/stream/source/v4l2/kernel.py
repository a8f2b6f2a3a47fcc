"""The system calls that a camera needs, in one place that tests replace."""

import ctypes
import fcntl
import mmap
import os
import select
from typing import Protocol


class Kernel(Protocol):
    """Calls to a device; each raises OSError if the kernel refuses it."""

    def open(self, path: str) -> int: ...

    def ioctl(self, device: int, call: int, argument: ctypes.Structure | ctypes.c_int) -> None:
        """Call the driver, which may change `argument`."""
        ...

    def wait(self, device: int, seconds: float) -> bool:
        """Wait for a frame; False if none came. OSError: the device is lost."""
        ...

    def map(self, device: int, length: int, offset: int) -> mmap.mmap:
        """Return a buffer of the driver, to be read."""
        ...

    def close(self, device: int) -> None: ...


class Linux:
    """The calls themselves."""

    def open(self, path: str) -> int:
        # Without O_NONBLOCK a frame that another thread has taken would block for ever.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def ioctl(self, device: int, call: int, argument: ctypes.Structure | ctypes.c_int) -> None:
        while True:
            try:
                fcntl.ioctl(device, call, argument)
                return
            except InterruptedError:
                continue

    def wait(self, device: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(device, select.POLLIN)
        events = poll.poll(seconds * 1000)
        if any(event & (select.POLLHUP | select.POLLNVAL) for _, event in events):
            raise OSError(19, "No such device")
        return bool(events)

    def map(self, device: int, length: int, offset: int) -> mmap.mmap:
        return mmap.mmap(device, length, mmap.MAP_SHARED, mmap.PROT_READ, offset=offset)

    def close(self, device: int) -> None:
        os.close(device)
