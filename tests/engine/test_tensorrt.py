"""Plans: built for real by TensorRT-RTX on the CPU; TensorRT's older ways against a recorder."""

import dataclasses
import json
from contextlib import contextmanager, nullcontext

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgeseg.config import BuildConfig
from edgeseg.engine import tensorrt
from edgeseg.engine.tensorrt import _to_opset
from edgeseg.errors import BuildError, ConfigError
from edgeseg.graph.blocks import blocks_of
from edgeseg.machine.facts import this_machine
from edgeseg.machine.support import Release
from edgeseg.quantize.fp16 import half_nodes
from edgeseg.runtime import tensorrt as trt
from tests.kit.errors import fails
from tests.kit.graphs import make_graph
from tests.kit.old_tensorrt import FLOAT
from tests.kit.plans import plan_of

HALF = BuildConfig(precision="fp16", runtime="tensorrt-rtx")
FULL = BuildConfig(precision="fp32", runtime="tensorrt-rtx")
OLD_OPSET = Release("tensorrt", "8.6.1").opsets[1]


@pytest.fixture
def no_gpu():
    return dataclasses.replace(this_machine(), gpu=None, compute_capability=None, gpu_note="none")


@pytest.fixture
def orin():
    return dataclasses.replace(this_machine(), gpu="Orin", compute_capability="8.7")


def small_model(op="Relu", **attributes):
    """x -> convolution -> one more node -> y."""
    constants = {"w": np.ones((1, 1, 3, 3), np.float32), "sizes": np.array([1, 1, 4, 4])}
    inputs = ["a", "", "", "sizes"] if op == "Resize" else ["a"]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "stem", pads=[1, 1, 1, 1]),
        helper.make_node(op, inputs, ["y"], "last", **attributes),
    ]
    x, y = (TensorProto.FLOAT, [1, 1, 8, 8]), (TensorProto.FLOAT, None)
    return make_graph(nodes, constants, inputs={"x": x}, outputs={"y": y})


def test_build_plan_ahead_of_time(no_gpu, said):
    pytest.importorskip("tensorrt_rtx")
    plan = plan_of("tensorrt-rtx", small_model(), HALF, no_gpu)
    assert plan.layers == {"convolutions": 1, "convolutions_fp16": 1, "norms": 0}
    assert (plan.target, plan.typing) == ("sm86", "strong")
    assert plan.version == trt.load("tensorrt-rtx").version
    assert said == [f"building for sm86 with tensorrt-rtx {plan.version}"]


@pytest.mark.parametrize("name", ["teacher.encoder.layer1.0", "student.layer3.0"])
def test_build_plan_leaves_a_block_in_fp32(model, no_gpu, name):
    pytest.importorskip("tensorrt_rtx")
    (block,) = (b for b in blocks_of(model, half_nodes(model)) if b.name == name)
    kept = sum(n.op_type == "Conv" and n.name in block.nodes for n in model.graph.node)
    plan = plan_of("tensorrt-rtx", model, HALF, no_gpu, keep=block.nodes)
    assert plan.layers["convolutions_fp32"] == kept
    assert plan.layers["convolutions_fp16"] == 70 - kept


def test_build_plan_for_another_compute_capability(no_gpu):
    pytest.importorskip("tensorrt_rtx")
    config = dataclasses.replace(HALF, compute_capability="12.0")
    plan = plan_of("tensorrt-rtx", small_model(), config, no_gpu)
    assert plan.target == "sm120"


def test_build_plan_for_several_compute_capabilities(no_gpu):
    pytest.importorskip("tensorrt_rtx")
    config = dataclasses.replace(HALF, compute_capability="7.5, 8.6,12.0")
    plan = plan_of("tensorrt-rtx", small_model(), config, no_gpu)
    assert plan.target == "sm75-sm86-sm120"
    assert plan.layers == {"convolutions": 1, "convolutions_fp16": 1, "norms": 0}
    assert [trt.runs_on(plan.target, gpu) for gpu in ("7.5", "12.0", "8.9")] == [True, True, False]
    with fails(ConfigError, "config/compute-capability"):
        config = dataclasses.replace(HALF, compute_capability="8.6,8.7")
        plan_of("tensorrt-rtx", small_model(), config, no_gpu)


def test_build_plan_of_rtx_refuses_a_jetson(no_gpu):
    pytest.importorskip("tensorrt_rtx")
    config = dataclasses.replace(HALF, compute_capability="8.7")
    with fails(ConfigError, "config/compute-capability") as caught:
        plan_of("tensorrt-rtx", small_model(), config, no_gpu)
    assert "8.7 (expected one of" in caught.value.problem


def test_build_plan_reports_the_message_of_the_parser(no_gpu):
    pytest.importorskip("tensorrt_rtx")
    cubes = small_model("LpPool", kernel_shape=[2, 2], p=3)
    with fails(BuildError, "build/parse") as caught:
        plan_of("tensorrt-rtx", cubes, FULL, no_gpu)
    assert "Only L1 and L2" in caught.value.problem


def test_build_plan_of_tensorrt_needs_a_gpu(no_gpu):
    with fails(BuildError, "build/no-gpu") as caught:
        plan_of("tensorrt", small_model(), HALF, no_gpu)
    assert "--runtime tensorrt-rtx --compute-capability 8.6" in caught.value.remedy
    assert "--runtime openvino" in caught.value.remedy


def test_build_plan_checks_the_graph_before_tensorrt(install, orin):
    recorder = install("10.3.0")
    old = small_model()
    old.opset_import[0].version = 7
    with fails(BuildError, "build/checks"):
        plan_of("tensorrt", old, FULL, orin)
    assert recorder.builds == []


def test_build_plan_refuses_a_gpu_of_another_release(install, orin):
    install("10.13.3")
    with fails(ConfigError, "config/unsupported-gpu"):
        plan_of("tensorrt", small_model(), HALF, orin)


def test_build_plan_with_an_unknown_newer_release(install, orin, said):
    recorder = install("12.0.0")
    del recorder.BuilderFlag
    with fails(BuildError, "build/newer-tensorrt") as e:
        plan_of("tensorrt", small_model(), FULL, orin)
    assert "12.0.0" in e.value.problem and "BuilderFlag" in e.value.problem
    assert e.value.remedy == 'pip install "tensorrt==11.4.*"'
    assert "tensorrt 12.0.0 is newer than 11.4, the newest known release" in said[1]


@pytest.mark.parametrize(("version", "flags"), [("10.3.0", 1 << 1), ("11.4.0", 0)])
def test_build_plan_is_strongly_typed_without_precision_flags(install, orin, said, version, flags):
    recorder = install(version)
    plan = plan_of("tensorrt", small_model(), HALF, orin)
    ((network, options, model),) = recorder.builds
    assert network.flags == flags  # STRONGLY_TYPED, until 10
    assert options.flags == {"TF32"}
    assert options.pool == {"workspace": 1024 << 20}
    assert any(n.op_type == "Cast" for n in model.graph.node)
    assert (plan.data, plan.target, plan.typing, plan.layers) == (b"plan", "sm87", "strong", {})
    assert said[-1] == f"tensorrt {version} lists no types of layers: they are not checked"


LISTED = (
    "Layers:\nName: stem, LayerType: CaskConvolution, Inputs: [ { Name: x, Location: Device, "
    "Dimensions: [1,1,8,8], Format/Datatype: TYPE }], Outputs: [ { Name: y, Location: Device, "
    "Dimensions: [1,1,8,8], Format/Datatype: TYPE }], ParameterType: Convolution, "
    "Metadata: [ONNX Layer: last]\x1e[ONNX Layer: stem]"
)
COUNTS = {"convolutions": 1, "convolutions_fp16": 1, "norms": 0}


def test_build_plan_reads_the_layers_of_tensorrt_10(install, orin, said):
    install("10.3.0", listed=LISTED.replace("TYPE", "Half"))
    assert plan_of("tensorrt", small_model(), HALF, orin).layers == COUNTS
    assert said == ["building for sm87 with tensorrt 10.3.0"]
    install("10.3.0", listed=LISTED.replace("TYPE", "Float"))
    with fails(BuildError, "build/types"):
        plan_of("tensorrt", small_model(), HALF, orin)


def test_build_plan_asks_the_engine_where_the_log_does_not_tell(install, orin, said):
    tensor = {"Name": "x", "Dimensions": [1, 1, 8, 8], "Format/Datatype": "Row major FP16 format"}
    layer = {"Name": "stem + last", "LayerType": "CaskConvolution"}
    layer |= {"Inputs": [tensor], "Outputs": [tensor]}
    install("8.6.1", inspected=json.dumps({"Layers": [layer]}))
    assert plan_of("tensorrt", small_model(), HALF, orin).layers == COUNTS
    assert len(said) == 1
    install("8.6.1", inspected=json.dumps({"Layers": [layer | {"Inputs": 3}]}))
    assert plan_of("tensorrt", small_model(), HALF, orin).layers == {}
    assert "the engine inspector of tensorrt 8.6.1 cannot be read" in said[-2]


def test_an_engine_is_built_and_inspected_on_the_gpu_that_was_named(install, orin, monkeypatch):
    current, seen = [], []

    class Cuda:
        def __init__(self, device):
            self.device = device

        @contextmanager
        def current(self):
            current.append(self.device)
            yield
            current.pop()

    monkeypatch.setattr(tensorrt, "open_cuda", lambda device: nullcontext(Cuda(device)))
    recorder = install("8.6.1")
    for name in ("Builder", "Runtime"):
        kind = getattr(recorder, name)
        tells = {"__new__": lambda cls, logger: seen.append(list(current)) or object.__new__(cls)}
        setattr(recorder, name, type(name, (kind,), tells))
    config = dataclasses.replace(HALF, device=1)
    plan_of("tensorrt", small_model(), config, dataclasses.replace(orin, device=1))
    assert seen == [[1], [1]]


def test_build_plan_keeps_an_engine_with_a_line_that_cannot_be_read(install, orin, said):
    lines = f"{LISTED.replace('TYPE', 'Half')}\nLayer(Fused): last of a form to come"
    install("11.4.0", listed=lines)
    plan = plan_of("tensorrt", small_model(), HALF, orin)
    assert plan.layers == COUNTS | {"unread_lines": 1}
    assert said[-1] == (
        "1 line of the build log of tensorrt 11.4.0 cannot be read: "
        "Layer(Fused): last of a form to come"
    )


def test_build_plan_falls_back_to_flags(install, orin, said):
    recorder = install("10.3.0", strong_builds=False)
    plan = plan_of("tensorrt", small_model(), HALF, orin)
    assert plan.typing == "weak"
    assert [network.flags for network, _, _ in recorder.builds] == [1 << 1, 0]
    assert "tensorrt 10.3.0 fails at the strongly typed graph: building with flags" in said


def test_build_plan_of_tensorrt_8_sets_flags_and_holds_layers_in_fp32(install, orin, model):
    recorder = install("8.6.1")
    plan = plan_of("tensorrt", model, HALF, orin)
    ((network, options, given),) = recorder.builds
    assert plan.typing == "weak"
    assert network.flags == 1 << 0  # EXPLICIT_BATCH
    assert options.flags == {"TF32", "FP16", "OBEY_PRECISION_CONSTRAINTS"}
    assert given.opset_import[0].version == OLD_OPSET
    half = half_nodes(model)
    for layer in network.layers:
        free = layer.name in half or layer.get_output(0).dtype != FLOAT
        assert layer.precision == (None if free else FLOAT), layer.name
        assert layer.output_types == ({} if free else {0: FLOAT})
    assert sum(layer.precision is None for layer in network.layers) >= len(half) > 100


@pytest.mark.parametrize("version", ["8.6.1", "11.4.0"])
def test_build_plan_in_fp32_turns_tf32_off(install, orin, version):
    recorder = install(version)
    plan_of("tensorrt", small_model(), FULL, orin)
    ((_, options, _),) = recorder.builds
    assert options.flags == set()


def test_build_plan_refuses_a_warning_that_changes_the_graph(install, orin, said):
    install("10.3.0", warning="One or more weights outside the range of INT32 was clamped")
    with fails(BuildError, "build/parse") as caught:
        plan_of("tensorrt", small_model(), HALF, orin)
    assert "One or more weights" in caught.value.problem
    install("10.3.0", warning="CUDA lazy loading is not enabled")
    plan_of("tensorrt", small_model(), HALF, orin)
    assert "tensorrt: CUDA lazy loading is not enabled" in said


def test_build_plan_of_tensorrt_refuses_another_compute_capability(install, orin):
    install("10.3.0")
    config = dataclasses.replace(HALF, compute_capability="8.6")
    with fails(ConfigError, "config/compute-capability") as e:
        plan_of("tensorrt", small_model(), config, orin)
    assert e.value.remedy == "--runtime tensorrt-rtx --compute-capability 8.6"


def test_to_opset_keeps_the_outputs(model):
    old = _to_opset(model, OLD_OPSET)
    onnx.checker.check_model(old)
    frame = np.random.default_rng(0).integers(0, 256, (1, 48, 80, 3), np.uint8)
    feeds = {"frame": frame, "threshold": np.array([0.5], np.float32)}
    answers = [
        onnxruntime.InferenceSession(
            graph.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(None, feeds)
        for graph in (model, old)
    ]
    for a, b in zip(*answers, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
