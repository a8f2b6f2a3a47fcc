"""Controls of the simulated driver inside a scenario: device, order of execution, counters.

See README.md for what is simulated. The same seed and the same calls from one thread give the same
order, as long as the host does not pause for longer than `idle_us`.
"""

import ctypes
import json
from functools import cache
from typing import Any

POISON = 0xA5
LATENESS = {"eager": 0, "often": 1, "mixed": 2, "late": 3}

# CUdevice_attribute
INTEGRATED = 18
CAN_MAP_HOST_MEMORY = 19
COMPUTE_CAPABILITY_MAJOR = 75
COMPUTE_CAPABILITY_MINOR = 76
JETSON = {INTEGRATED: 1, COMPUTE_CAPABILITY_MAJOR: 8, COMPUTE_CAPABILITY_MINOR: 7}


@cache
def library() -> Any:
    """Open the simulated driver, the same copy as the bindings use."""
    return ctypes.CDLL("libcuda.so.1")


def configure(seed: int, attributes: dict[int, int], lateness: str, kernel_us: int) -> None:
    """Configure the driver before its initialization; `attributes` by CUdevice_attribute."""
    driver = library()
    driver.cudasim_seed(ctypes.c_uint64(seed))
    driver.cudasim_lateness(LATENESS[lateness])
    driver.cudasim_kernel_us(kernel_us)
    for attribute, value in attributes.items():
        driver.cudasim_set_attribute(attribute, value)


def steady(on: bool = True) -> None:
    """Report allocations and new streams, events and graphs from here on as faults."""
    library().cudasim_steady(int(on))


def forbid_capture(forbid: bool = True) -> None:
    """Make `infer` fail during capture, as an engine that cannot be captured."""
    library().cudasim_forbid_capture(int(forbid))


def driver_version(version: int) -> None:
    """Claim to be the driver of another CUDA: 12040 is 12.4."""
    library().cudasim_driver_version(version)


def kernel_us(microseconds: int) -> None:
    """Make each inference take this long."""
    library().cudasim_kernel_us(microseconds)


def faults() -> int:
    """Return the number of faults so far."""
    return int(library().cudasim_faults())


def counters() -> dict[str, int]:
    """Return the counters: allocations, copies, launches, calls."""
    text = ctypes.create_string_buffer(16384)
    library().cudasim_counters(text, ctypes.c_size_t(len(text)))
    return dict(json.loads(text.value)["counters"])


def infer(
    stream: int,
    addresses: tuple[int, ...],
    frame_shape: tuple[int, int, int, int],
    side: int,
    red: int,
    columns: int = 0,
) -> int:
    """Enqueue one inference in the stream, or its capture; return the CUresult.

    addresses: device addresses of frame, threshold, mask, score, anomaly map and, where it has
    `columns`, input check; frame_shape [N, H, W, C]; side: of the map; red: the channel of defects.
    """
    return int(
        library().cudasim_infer(
            ctypes.c_void_p(stream),
            *(ctypes.c_uint64(int(address)) for address in (*addresses, 0)[:6]),
            *frame_shape,
            side,
            red,
            columns,
        )
    )
