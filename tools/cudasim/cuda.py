"""The driver API for scenarios: errors raise, buffers have arrays, everything is freed."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from cuda.bindings import driver

PORTABLE, DEVICEMAP = 1, 2
NON_BLOCKING = 1
BLOCKING_SYNC, DISABLE_TIMING = 1, 2
GLOBAL, THREAD_LOCAL, RELAXED = driver.CUstreamCaptureMode


class Refused(Exception):
    """A driver call answered with an error: its name, without CUDA_ERROR_."""


def name(code: int) -> str:
    return driver.CUresult(code).name.removeprefix("CUDA_ERROR_").removeprefix("CUDA_")


def do(answer: Any) -> Any:
    """Return what a call answered beside its CUresult; Refused when that is an error."""
    code, *values = answer
    if code:
        raise Refused(name(int(code)))
    return values[0] if len(values) == 1 else tuple(values)


def code(answer: Any) -> str:
    """Return the name of a call's CUresult."""
    return name(int(answer[0]))


@contextmanager
def context() -> Iterator[Any]:
    """Initialize the driver and make device 0's primary context current."""
    do(driver.cuInit(0))
    device = do(driver.cuDeviceGet(0))
    primary = do(driver.cuDevicePrimaryCtxRetain(device))
    do(driver.cuCtxPushCurrent(primary))
    try:
        yield primary
    finally:
        do(driver.cuCtxPopCurrent())
        do(driver.cuDevicePrimaryCtxRelease(device))


@contextmanager
def new_stream(flags: int = NON_BLOCKING) -> Iterator[Any]:
    stream = do(driver.cuStreamCreate(flags))
    yield stream
    do(driver.cuStreamDestroy(stream))


@contextmanager
def new_event(flags: int = 0) -> Iterator[Any]:
    event = do(driver.cuEventCreate(flags))
    yield event
    do(driver.cuEventDestroy(event))


class Pinned:
    """Pinned memory: `address` for the host, `device` for the device (0: not mapped), `array`."""

    def __init__(self, size: int, flags: int = PORTABLE | DEVICEMAP) -> None:
        self.address = int(do(driver.cuMemHostAlloc(size, flags)))
        mapped = flags & DEVICEMAP
        self.device = int(do(driver.cuMemHostGetDevicePointer(self.address, 0))) if mapped else 0
        self.array = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(self.address))

    def free(self) -> None:
        do(driver.cuMemFreeHost(self.address))


class Device:
    """Device memory."""

    def __init__(self, size: int) -> None:
        self.device = int(do(driver.cuMemAlloc(size)))

    def free(self) -> None:
        do(driver.cuMemFree(self.device))


@contextmanager
def stage(*sizes: int) -> Iterator[tuple[Any, list[Pinned], list[Device]]]:
    """Yield a stream, and for each size pinned and device memory; wait, and release all."""
    with context():
        hosts, devices = [Pinned(size) for size in sizes], [Device(size) for size in sizes]
        with new_stream() as stream:
            yield stream, hosts, devices
            do(driver.cuStreamSynchronize(stream))
        for buffer in hosts + devices:
            buffer.free()
