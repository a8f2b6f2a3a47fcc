"""The checks on the simulated driver, whose `infer` takes the place of the kernels (cudasim)."""

import ctypes

from edgeseg.cuda.driver import LIBRARY, CudaPython, _failed, open_cuda
from edgeseg.cuda.foreign import ForeignFrames
from edgeseg.gpu_check import frames, gpu_frames, kernels, lifetimes, waiting
from edgeseg.gpu_check.finding import Skipped
from edgeseg.gpu_check.stand_in import SIDE
from edgeseg.runtime.tensorrt_backend import TrtBackend
from tools.cudasim import simulator

FRAME = (1, 32, 32, 3)


class Simulated:
    """What the checks ask of Kernels."""

    def __init__(self):
        self._scratch = None

    infer = staticmethod(simulator.infer)

    @property
    def forbidden(self):
        return False

    @forbidden.setter
    def forbidden(self, on):
        simulator.forbid_capture(on)

    def wait_for(self, stream, seconds):
        return self.count(stream, 0)

    def count(self, stream, counter):
        if self._scratch is None:
            self._cuda = open_cuda("cuda-python")
            self._scratch = self._cuda.buffer(1 << 16).address
        places = tuple(self._scratch + k * 8192 for k in range(5))
        return simulator.infer(stream, places, FRAME, SIDE, 2)

    def trap(self, stream):
        return 0

    def free_bytes(self):
        return 1 << 30


def check(room, name, fault="", idle_us=20_000, **arguments):
    """Carry out a check, with a fault planted in edgeseg; return passed, found and figures.

    idle_us: after which late work begins although nothing waits for it.
    """
    simulator.library().cudasim_idle_us(ctypes.c_long(idle_us))
    kernels.Kernels = Simulated
    if fault:
        globals()[fault]()
    rooms = (frames, gpu_frames, lifetimes, waiting)
    module = {each.__name__.rpartition(".")[2]: each for each in rooms}[room]
    try:
        outcome = getattr(module, name)(**arguments)
    except Skipped as skipped:
        return ["skipped", str(skipped), {}]
    return [outcome.passed, outcome.found, outcome.figures]


def read_before_finish():
    TrtBackend.finish = lambda self: None


def frame_not_read():
    """Compute on whatever the engine's memory has, instead of the frame that is lent."""
    ForeignFrames.copy = lambda self, target, source, stream: None


def gil_kept():
    """Wait as a binding that keeps the GIL until the event."""
    keeping = ctypes.PyDLL(LIBRARY)

    def wait(self, function, handle):
        getattr(keeping, function)(ctypes.c_void_p(int(handle)))

    CudaPython._wait = wait


def context_lost():
    """Let every wait fail from the trap on, as a real driver does."""
    sound = CudaPython._call

    def trap(self, stream):
        def call(driver, function, *arguments):
            if function.endswith(("Synchronize", "Release")):
                raise _failed(function, "CUDA_ERROR_LAUNCH_FAILED", 719)
            return sound(driver, function, *arguments)

        CudaPython._call = CudaPython._wait = call
        return 0

    Simulated.trap = trap
