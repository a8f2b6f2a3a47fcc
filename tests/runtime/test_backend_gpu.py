"""TrtBackend on a GPU without TensorRT: the scenarios of the simulated driver on NVIDIA's."""

from importlib.util import find_spec

import pytest

from edgeseg.cuda.driver import found_bindings
from edgeseg.machine.facts import this_machine
from tools.cudasim.on_gpu import run_on_gpu

pytestmark = pytest.mark.gpu

SCENARIOS = "tests.runtime.tensorrt_scenarios:"


@pytest.fixture(autouse=True, scope="module")
def needs():
    here = this_machine()
    if here.gpu is None:
        pytest.skip(here.gpu_note)
    if "cuda-python" not in found_bindings() or find_spec("cuda.bindings.nvrtc") is None:
        pytest.skip("cuda-python, which compiles the kernels, is not installed")


@pytest.fixture(params=found_bindings() or ("cuda-python",))
def binding(request):
    return request.param


@pytest.mark.parametrize("cuda_graph", [True, False], ids=["graph", "enqueue"])
@pytest.mark.parametrize("in_flight", [1, 2])
def test_a_thousand_frames_have_their_own_masks(io, binding, in_flight, cuda_graph):
    result = run_on_gpu(
        SCENARIOS + "stream", frames=1000, in_flight=in_flight, slots=3, io=io, cuda=binding,
        cuda_graph=cuda_graph,
    )  # fmt: skip
    assert (result["checked"], result["said"]) == (1000, [])
    assert ("no CUDA graph" in result["name"]) is not cuda_graph


@pytest.mark.parametrize("rtx", [True, False])
def test_the_contract_of_backends(io, binding, rtx):
    release = {"version": "1.7.1.116", "rtx": True} if rtx else {}
    name = run_on_gpu(SCENARIOS + "contract", io=io, cuda=binding, **release)
    assert f", {this_machine().gpu} (" in name


def test_threads_start_finish_and_allocate_beside_a_capture(io, binding):
    assert run_on_gpu(SCENARIOS + "threads", frames=100, io=io, cuda=binding) == 100


def test_a_capture_that_is_refused_is_said_once_and_done_without(io, binding):
    result = run_on_gpu(SCENARIOS + "refused_capture", io=io, cuda=binding)
    (line,) = result["said"]
    assert line.startswith("no CUDA graph (tensorrt 10.3.0 ") and "enqueueV3: CUDA error" in line
    assert result["checked"] == 50


def test_every_call_of_the_driver_may_fail(io):
    assert len(run_on_gpu(SCENARIOS + "exceptions", io=io, cuda="cuda-python")) > 20


def test_too_much_memory():
    kind, code, *_ = run_on_gpu(SCENARIOS + "driver_failure", limit=1 << 50)
    assert (kind, code) == ("CudaError", "cuda/out-of-memory")


def lost_context(binding):
    """Trap a kernel; return what waiting for it raises."""
    from edgeseg.cuda.driver import open_cuda
    from edgeseg.errors import CudaError
    from tools.cudasim.on_gpu import Kernels

    kernels, found = Kernels(), ["", ""]
    try:
        with open_cuda(binding) as cuda, cuda.current():
            stream, done = cuda.stream(), cuda.event()
            assert kernels.launch("trap", 1, stream.pointer) == 0
            done.record(stream)
            done.synchronize()
    except CudaError as error:
        found = [error.problem, error.remedy]
    return found


def test_a_lost_context_is_an_error_with_its_remedy(binding):
    problem, remedy = run_on_gpu("tests.runtime.test_backend_gpu:lost_context", binding=binding)
    assert "CUDA_ERROR_LAUNCH_FAILED (719)" in problem
    assert remedy.startswith("restart the program")
