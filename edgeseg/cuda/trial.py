"""One allocation and one copy to the GPU and back, for `edgeseg doctor`."""

import numpy as np

from edgeseg.cuda.driver import open_cuda

BYTES = 1 << 20


def try_cuda() -> str:
    """Return what worked, with the binding; CudaError or MissingExtra where it does not."""
    pattern = np.random.default_rng(0).integers(0, 256, BYTES, np.uint8)
    with open_cuda() as cuda, cuda.current():
        host, memory, stream = cuda.pinned(BYTES), cuda.buffer(BYTES), cuda.stream()
        host.view.array[:] = pattern
        stream.copy_in(memory.address, host.view)
        stream.synchronize()
        host.view.array[:] = 0
        stream.copy_out(host.view, memory.address)
        stream.synchronize()
        same = bool((host.view.array == pattern).all())
        words = "1 MiB copied there and back" if same else "1 MiB came back with other contents"
        return f"{cuda.driver.name}, {cuda.device.name}: {words}"
