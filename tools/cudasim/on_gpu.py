"""Run scenarios on a real GPU: the simulator's `infer` as kernels that NVRTC compiles.

    result = run_on_gpu("tests.runtime.tensorrt_scenarios:stream", frames=1000, io="copy")

Each runs in a process of its own, with NVIDIA's driver, and returns a JSON value. The simulator's
other controls do nothing there, except `forbid_capture`.
"""

import ctypes
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tools.cudasim import simulator

ROOT = Path(__file__).parents[2]
BLOCK = 256  # threads
MARK = "result: "

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
"""


class Kernels:
    """The kernels, loaded into the primary context of the first GPU, which is kept."""

    def __init__(self) -> None:
        self._driver = ctypes.CDLL("libcuda.so.1")
        self.forbidden = False
        """Whether `infer` fails during capture."""
        context = ctypes.c_void_p()
        self._do("cuInit", 0)
        self._do("cuDevicePrimaryCtxRetain", ctypes.byref(context), 0)
        self._do("cuCtxSetCurrent", context)
        module = ctypes.c_void_p()
        self._do("cuModuleLoadData", ctypes.byref(module), self._compiled())
        self._functions = {}
        for name in ("write_mask", "write_map", "write_score", "write_check", "trap"):
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
        """Enqueue one inference, as `simulator.infer`; return the CUresult."""
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

    def _capturing(self, stream: int) -> bool:
        status = ctypes.c_int()
        self._do("cuStreamIsCapturing", ctypes.c_void_p(stream), ctypes.byref(status))
        return bool(status.value)

    def _compiled(self) -> bytes:
        """Return the kernels' code for the first GPU."""
        from cuda.bindings import nvrtc

        major, minor = ctypes.c_int(), ctypes.c_int()
        self._do("cuDeviceGetAttribute", ctypes.byref(major), 75, 0)
        self._do("cuDeviceGetAttribute", ctypes.byref(minor), 76, 0)
        options = [f"--gpu-architecture=sm_{major.value}{minor.value}".encode()]
        _, program = nvrtc.nvrtcCreateProgram(SOURCE, b"infer.cu", 0, [], [])
        (failed,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
        assert not failed, failed
        _, size = nvrtc.nvrtcGetCUBINSize(program)
        code = b" " * size
        nvrtc.nvrtcGetCUBIN(program, code)
        return code

    def _do(self, function: str, *arguments: Any) -> None:
        code = getattr(self._driver, function)(*arguments)
        assert code == 0, f"{function}: {code}"


def install() -> Kernels:
    """Put the kernels in the place of the simulator's controls, in this process."""
    kernels = Kernels()

    def forbid(on: bool = True) -> None:
        kernels.forbidden = on

    controls = {
        "infer": kernels.infer,
        "steady": lambda on=True: None,
        "forbid_capture": forbid,
    }
    for name, control in controls.items():
        setattr(simulator, name, control)
    return kernels


def run_on_gpu(scenario: str, timeout: float = 120, **arguments: Any) -> Any:
    """Run `module:function` in a process of its own; return its result."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", __name__, scenario, json.dumps(arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    found = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    return json.loads(found[-1].removeprefix(MARK))


if __name__ == "__main__":
    install()
    module, _, name = sys.argv[1].partition(":")
    answer = getattr(import_module(module), name)(**json.loads(sys.argv[2]))
    print(MARK + json.dumps(answer))
