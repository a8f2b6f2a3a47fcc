"""TrtBackend on a GPU, with an engine that TensorRT builds on the spot."""

import numpy as np
import onnx
import pytest

from edgeseg.config import BuildConfig, GpuConfig
from edgeseg.cuda.driver import found_bindings
from edgeseg.errors import MissingExtra
from edgeseg.machine.facts import this_machine
from edgeseg.machine.support import refusal
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.base import OUTPUTS
from edgeseg.runtime.tensorrt_backend import TrtBackend
from tests.kit.cards import make_engine_card
from tests.kit.plans import plan_of

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module", params=["tensorrt", "tensorrt-rtx"])
def engine(request, tmp_path_factory, red_graph, red_card):
    here = this_machine()
    if here.gpu is None:
        pytest.skip(here.gpu_note)
    if not found_bindings():
        pytest.skip("no CUDA binding is installed")
    try:
        release = trt.load(request.param).release
    except MissingExtra as missing:
        pytest.skip(missing.problem)
    if refused := refusal(release, here.compute_capability):
        pytest.skip(refused.problem)
    config = BuildConfig(precision="fp32", runtime=request.param)
    plan = plan_of(request.param, onnx.load(red_graph), config, here)
    path = tmp_path_factory.mktemp("engines") / "red.engine"
    path.write_bytes(plan.data)
    versions = {"runtime": request.param, "runtime_version": plan.version}
    card = make_engine_card(
        red_card, file=path.name, precision="fp32", target=plan.target, **versions
    )
    return path, card


@pytest.mark.parametrize("cuda_graph", [True, False], ids=["graph", "enqueue"])
@pytest.mark.parametrize("io", ["mapped", "copy"])
@pytest.mark.parametrize("binding", found_bindings())
def test_each_frame_has_its_own_answer(engine, io, cuda_graph, binding):
    random = np.random.default_rng(0)
    gpu = GpuConfig(io=io, cuda_graph=cuda_graph, cuda=binding)
    with TrtBackend.open(*engine, gpu=gpu) as one:
        requests = (one, one.second())
        slots = [request.new_slot() for request in requests]
        for request, slot in zip(requests, slots, strict=True):
            assert not any(slot.tensors()[name].any() for name in OUTPUTS)
            request.bind(slot)
        for _ in range(100):
            for request, slot in zip(requests, slots, strict=True):
                slot.frame[...] = random.integers(0, 256, slot.frame.shape)
                request.start()
            for request, slot in zip(requests, slots, strict=True):
                request.finish()
                red = slot.frame[..., 0]
                np.testing.assert_array_equal(slot.mask, np.where(red > 127, 255, 0))
                np.testing.assert_allclose(slot.anomaly_map, red / 255, atol=1e-5)
                assert request.compute_seconds > 0
