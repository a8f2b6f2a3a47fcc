"""A frame in GPU memory reaches the engine in stream order, without passing through the CPU."""

import numpy as np
import pytest

from edgeseg.errors import ConfigError
from edgeseg.prediction import Model
from tests.kit.errors import fails
from tests.kit.fakes import RedBackend
from tests.runtime import gpu_frames
from tools.cudasim.skipping import run_or_skip

LATE = {"lateness": "late", "kernel_us": 50}


def simulate(scenario, **arguments):
    return run_or_skip(getattr(gpu_frames, scenario), **arguments)


@pytest.mark.parametrize(
    ("how", "pitched"), [("dlpack", False), ("interface", False), ("interface", True)]
)
def test_frames_of_a_pending_stream_have_their_own_masks(io, how, pitched):
    report = simulate("backend", how=how, pitched=pitched, io=io, cuda="cuda-python", **LATE)
    assert report.clean().result["checked"] == 31
    assert report.result["lent"] == 0  # every capsule was given back
    assert report.counters["steady_allocations"] == report.counters["steady_creations"] == 0
    rows = 24 if pitched else 1
    where = {"mapped": "copies_to_host", "copy": "copies_on_device"}[io]  # the simulator's word
    assert report.counters[where] >= 30 * rows
    # From the host: what the lender itself copies, and where outputs are copied the threshold.
    assert report.counters["copies_to_device"] <= {"mapped": 30, "copy": 30 + 30 + 2}[io]


def test_frames_reach_an_engine_through_pycuda(io):
    report = simulate("backend", frames=20, io=io, cuda="pycuda", **LATE).clean()
    assert report.result["checked"] == 21


def test_an_unnamed_stream_is_taken_for_the_default_one(io):
    report = simulate("backend", frames=10, how="default", io=io, cuda="cuda-python", **LATE)
    # The simulator reports any use of the default stream; the frames themselves are in order.
    assert report.error is None and report.result["checked"] == 11
    assert set(report.kinds) == {"legacy-stream"}


def test_a_lender_that_hides_its_pending_work_is_a_race(io):
    report = simulate("backend", how="pending", io=io, cuda="cuda-python", **LATE)
    assert "race" in report.kinds or "Arrays are not equal" in report.error


def test_a_model_is_called_with_a_frame_on_the_gpu(io):
    old, channels, kept, drawn = simulate("model", io=io, cuda="cuda-python").clean().result
    assert [each[0] for each in (old, kept, drawn)] == ["model/overwritten"] * 3
    assert channels[0] == "frame/channels" and "takes bgr" in channels[1]
    assert channels[2].endswith("edgeseg export --format rgb")


def test_what_is_no_frame_of_the_graph_is_refused_and_the_engine_remains_usable():
    *errors, after = simulate("refused", io="copy", cuda="cuda-python").clean().result
    kind, size, planes, strides, masked, unknown, grad = errors
    assert kind[0] == masked[0] == grad[0] == "frame/dtype" and "of float32" in kind[1]
    assert size[0] == planes[0] == strides[0] == "frame/shape"
    assert "shape [12, 20, 3] in GPU memory (expected [24, 20, 3], bgr" in size[1]
    assert "resize it on the GPU to 20x24" in size[2]
    assert "permute(1, 2, 0)" in strides[2] and "requires grad" in grad[1]
    assert unknown[0] == "cuda/failed" and "cuPointerGetAttribute" in unknown[1]
    assert after is None


class OnGpuOnly:
    """What PyTorch has on a GPU, as far as a model on the CPU asks."""

    def __dlpack_device__(self):
        return (2, 0)

    def __dlpack__(self, **options):
        raise AssertionError("nothing is lent")


def test_a_model_on_the_cpu_copies_nothing_behind_the_caller_s_back():
    with Model(RedBackend()) as model, fails(ConfigError, "frame/device") as caught:
        model(OnGpuOnly())
    assert "reads host memory" in caught.value.problem
    assert model.card.name


def test_a_prediction_of_the_cpu_has_nothing_on_a_device():
    with Model(RedBackend()) as model:
        assert model(np.zeros((48, 64, 3), np.uint8)).on_device == {}
