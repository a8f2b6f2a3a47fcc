"""Kernels that compute what `runtime/fake.py` does, in place of a TensorRT engine.

    kernels = Kernels()
    kernels.infer(stream.pointer, addresses, frame_shape, side, red)

NVRTC compiles them for the first GPU; the driver is called through ctypes, as TensorRT would, and
not through the binding that is checked.
"""

import ctypes
from typing import Any

from edgeseg.cuda.compiler import machine_code
from edgeseg.errors import CudaError
from edgeseg.machine.cuda_library import LIBRARY

BLOCK = 256  # threads
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*

# As in edgeseg/runtime/fake.py; each thread computes one pixel of the mask or one cell of the map.
SOURCE = rb"""
__device__ float red_of(const unsigned char *frame, long long pixel, int channels, int red) {
    return __fdiv_rn((float)frame[pixel * channels + red], 255.f);
}

extern "C" __global__ void write_mask(const unsigned char *frame, const float *threshold,
                                      unsigned char *mask, long long pixels, int channels,
                                      int red) {
    long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x;
    if (i < pixels) mask[i] = red_of(frame, i, channels, red) > *threshold ? 255 : 0;
}

extern "C" __global__ void write_map(const unsigned char *frame, float *map, int n, int height,
                                     int width, int channels, int side, int red) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n * side * side) return;
    int x = i % side, y = i / side % side, k = i / side / side;
    int top = y * height / side, bottom = max((y + 1) * height / side, top + 1);
    int left = x * width / side, right = max((x + 1) * width / side, left + 1);
    float sum = 0;
    for (int v = top; v < bottom; v++)
        for (int u = left; u < right; u++)
            sum += red_of(frame, ((long long)k * height + v) * width + u, channels, red);
    map[i] = sum / ((bottom - top) * (right - left));
}

extern "C" __global__ void write_score(const float *map, float *score, int cells) {
    float best = 0;
    for (int i = 0; i < cells; i++) best = fmaxf(best, map[(long long)blockIdx.x * cells + i]);
    score[blockIdx.x] = best;
}

extern "C" __global__ void write_check(const float *map, float *check, int cells, int columns) {
    float sum = 0;
    for (int i = 0; i < cells; i++) sum += map[(long long)blockIdx.x * cells + i];
    for (int k = 0; k < columns; k++) check[blockIdx.x * columns + k] = sum / cells;
}

extern "C" __global__ void trap() { asm volatile("trap;"); }

extern "C" __global__ void wait_for(long long nanoseconds) {
    unsigned long long start, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
    do asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now));
    while ((long long)(now - start) < nanoseconds);
}

extern "C" __global__ void count(int *counter) { atomicAdd(counter, 1); }
"""
NAMES = ("write_mask", "write_map", "write_score", "write_check", "trap", "wait_for", "count")


class Kernels:
    """The kernels, loaded into the primary context of the first GPU, which is kept.

    CudaError without a driver or a GPU, MissingExtra without NVRTC.
    """

    def __init__(self) -> None:
        try:
            self._driver = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise CudaError(
                f"the CUDA driver library {LIBRARY} cannot be loaded: {error}.",
                remedy="edgeseg doctor",
                code="cuda/no-driver",
            ) from error
        self.forbidden = False
        """Whether `infer` fails during capture."""
        context, module = ctypes.c_void_p(), ctypes.c_void_p()
        self._do("cuInit", 0)
        self._do("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self._do("cuCtxSetCurrent", context)
        code = machine_code(SOURCE, f"{self.attribute(_MAJOR)}.{self.attribute(_MINOR)}")
        self._do("cuModuleLoadData", ctypes.byref(module), code)
        self._functions = {}
        for name in NAMES:
            function = ctypes.c_void_p()
            self._do("cuModuleGetFunction", ctypes.byref(function), module, name.encode())
            self._functions[name] = function

    def infer(
        self,
        stream: int,
        addresses: tuple[int, ...],
        frame_shape: tuple[int, int, int, int],
        side: int,
        red: int,
        columns: int = 0,
    ) -> int:
        """Enqueue one inference; return the CUresult.

        addresses: of frame, threshold, mask, score, anomaly map and, where it has `columns`, input
        check; frame_shape [N, H, W, C]; side: of the map; red: the channel of defects.
        """
        frame, threshold, mask, score, anomaly_map, *check = map(ctypes.c_uint64, addresses)
        n, height, width, channels = frame_shape
        if self.forbidden and self._capturing(stream):
            return int(self._driver.cuStreamSynchronize(ctypes.c_void_p(stream)))
        pixels = ctypes.c_longlong(n * height * width)
        numbers = [ctypes.c_int(each) for each in (n, height, width, channels, side, red)]
        cells = ctypes.c_int(side * side)
        return (
            self.launch(
                "write_mask", pixels.value, stream, frame, threshold, mask, pixels,
                numbers[3], numbers[5],
            )
            or self.launch("write_map", n * side * side, stream, frame, anomaly_map, *numbers)
            or self.launch("write_score", n, stream, anomaly_map, score, cells, block=1)
            or (columns and self.launch(
                "write_check", n, stream, anomaly_map, *check, cells, ctypes.c_int(columns),
                block=1,
            ))
        )  # fmt: skip

    def launch(
        self, name: str, threads: int, stream: int, *arguments: Any, block: int = BLOCK
    ) -> int:
        """Enqueue a kernel with at least so many threads; return the CUresult."""
        pointers = [ctypes.cast(ctypes.pointer(each), ctypes.c_void_p) for each in arguments]
        array = (ctypes.c_void_p * len(pointers))(*pointers)
        grid = -(-threads // block)
        shape = (grid, 1, 1, block, 1, 1, 0)
        function = self._functions[name]
        return int(
            self._driver.cuLaunchKernel(function, *shape, ctypes.c_void_p(stream), array, None)
        )

    def trap(self, stream: int) -> int:
        """Enqueue a kernel that loses the context."""
        return self.launch("trap", 1, stream, block=1)

    def wait_for(self, stream: int, seconds: float) -> int:
        """Enqueue a kernel that takes this long."""
        return self.launch("wait_for", 1, stream, ctypes.c_longlong(int(seconds * 1e9)), block=1)

    def count(self, stream: int, counter: int) -> int:
        """Enqueue a kernel that adds 1 to the int32 at an address."""
        return self.launch("count", 1, stream, ctypes.c_uint64(counter), block=1)

    def attribute(self, number: int) -> int:
        """Return a CUdevice_attribute of the first GPU."""
        found = ctypes.c_int()
        self._do("cuDeviceGetAttribute", ctypes.byref(found), number, 0)
        return found.value

    def free_bytes(self) -> int:
        """Return the free memory of the device."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self._do("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
        return free.value

    def version(self) -> int:
        """Return the CUDA version of the driver: 13000 is 13.0."""
        found = ctypes.c_int()
        self._do("cuDriverGetVersion", ctypes.byref(found))
        return found.value

    def _capturing(self, stream: int) -> bool:
        status = ctypes.c_int()
        self._do("cuStreamIsCapturing", ctypes.c_void_p(stream), ctypes.byref(status))
        return bool(status.value)

    def _do(self, function: str, *arguments: Any) -> None:
        if code := getattr(self._driver, function)(*arguments):
            text = ctypes.c_char_p()
            self._driver.cuGetErrorName(code, ctypes.byref(text))
            name = (text.value or b"an unknown error").decode()
            raise CudaError(f"{function} failed with {name} ({code}).", remedy="edgeseg doctor")
