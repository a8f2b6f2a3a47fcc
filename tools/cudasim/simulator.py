"""Steer the simulated driver from inside a scenario: the device, when work runs, what counts.

The numbers of attributes are those of CUdevice_attribute.

Simulated: the primary context, device and pinned memory (mapped or not), copies and fills,
streams, events, capture and graphs, host functions, and `infer`, a kernel that computes what
edgeseg/runtime/fake.py computes. Work runs late, on the simulator's thread, in an order that the
seed chooses among all that streams and events allow. The same seed and the same calls from one
thread give the same order, as long as the host does not pause for longer than `idle_us`.

Not simulated: modules and kernels of one's own, managed and registered memory, 2-D copies, memory
pools, private contexts (cuCtxCreate), graphs built node by node, child graphs, per-thread default
streams, more than one device, and how long anything takes on a GPU.
Such calls are missing, or answer CUDA_ERROR_NOT_SUPPORTED.

Stricter than a real driver: a mapped buffer's device address is never its host address, addresses
are never used again, an allocation starts as 0xA5, and the destination of a pending copy that the
host can see holds 0xA5 until the copy is done.
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
    """Open the simulated driver, the very copy that the bindings use."""
    return ctypes.CDLL("libcuda.so.1")


def configure(seed: int, attributes: dict[int, int], lateness: str, kernel_us: int) -> None:
    """Set what holds before the driver is initialized; `attributes` by their CUDA numbers."""
    driver = library()
    driver.cudasim_seed(ctypes.c_uint64(seed))
    driver.cudasim_lateness(LATENESS[lateness])
    driver.cudasim_kernel_us(kernel_us)
    for attribute, value in attributes.items():
        driver.cudasim_set_attribute(attribute, value)


def steady(on: bool = True) -> None:
    """From here on, an allocation, or a new stream, event or graph, is counted and is a fault."""
    library().cudasim_steady(int(on))


def forbid_capture(forbid: bool = True) -> None:
    """Make `infer` fail during capture and break it, as engines do that cannot be captured."""
    library().cudasim_forbid_capture(int(forbid))


def kernel_us(microseconds: int) -> None:
    """Make each inference take this long."""
    library().cudasim_kernel_us(microseconds)


def faults() -> int:
    """Return the number of faults so far."""
    return int(library().cudasim_faults())


def counters() -> dict[str, int]:
    """Return the counters as they stand: allocations, copies, launches, calls."""
    text = ctypes.create_string_buffer(16384)
    library().cudasim_counters(text, ctypes.c_size_t(len(text)))
    return dict(json.loads(text.value)["counters"])


def infer(
    stream: int,
    addresses: tuple[int, int, int, int, int],
    frame_shape: tuple[int, int, int, int],
    side: int,
    red: int,
) -> int:
    """Put one inference into the stream, or the graph it captures; return the CUresult.

    addresses: of frame, threshold, mask, score and map, each a device address; frame_shape
    [N, H, W, C]; side: of the map; red: the channel that is the defect.
    """
    return int(
        library().cudasim_infer(
            ctypes.c_void_p(stream),
            *(ctypes.c_uint64(int(address)) for address in addresses),
            *frame_shape,
            side,
            red,
        )
    )
