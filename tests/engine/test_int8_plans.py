"""INT8 plans: built for real by TensorRT-RTX on the CPU, TensorRT's flags against a recorder."""

import dataclasses

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto

from edgeseg.config import BuildConfig
from edgeseg.errors import BuildError, ConfigError
from edgeseg.graph.graph import Graph
from edgeseg.machine.facts import this_machine
from edgeseg.quantize.calibration_file import Range, Ranges
from edgeseg.quantize.fp16 import to_fp16
from edgeseg.quantize.int8 import Int8
from edgeseg.quantize.placement import measured
from tests.kit.errors import fails
from tests.kit.old_tensorrt import FLOAT
from tests.kit.plans import plan_of

CONVOLUTIONS = 70
QUANTIZED = {"kept": 60, "equalized": 66}


@pytest.fixture(scope="session")
def int8(model, exported):
    limits = {name: Range(3.0) for name in measured(Graph(model))}
    ranges = Ranges(graph="screws.onnx", graph_sha256="0" * 64, tensors=limits)
    return Int8(ranges=ranges, file=exported.graph)


def machine(capability=None):
    return dataclasses.replace(
        this_machine(), gpu="GPU", compute_capability=capability, gpu_note="none"
    )


def plan_for(model, int8, capability):
    config = BuildConfig(precision="int8", runtime="tensorrt-rtx", compute_capability=capability)
    return plan_of("tensorrt-rtx", model, config, machine(), int8=int8)


@pytest.mark.parametrize("capability", ["8.6", "12.0"])
@pytest.mark.parametrize("similarity", ["kept", "equalized"])
def test_build_plan_in_int8(model, int8, capability, similarity):
    pytest.importorskip("tensorrt_rtx")
    plan = plan_for(model, dataclasses.replace(int8, similarity=similarity), capability)
    count = QUANTIZED[similarity]
    assert plan.layers == {
        "convolutions": CONVOLUTIONS,
        "convolutions_int8": count,
        "convolutions_fp16": CONVOLUTIONS - count,
        "norms": 6,
        "norms_fp32": 6,
        "products": 2,
        "products_fp16": 2,
    }
    weights = sum(len(i.raw_data) for i in model.graph.initializer)
    assert 0.25 * weights < len(plan.data) < 0.35 * weights


def test_build_plan_in_int8_leaves_a_convolution_in_fp16(model, int8):
    pytest.importorskip("tensorrt_rtx")
    keep = frozenset({"student.layer4.0.conv1", "head.aspp.0.fusion"})
    plan = plan_for(model, dataclasses.replace(int8, keep=keep), "8.6")
    assert plan.layers["convolutions_int8"] == QUANTIZED["kept"] - 2


def test_build_plan_in_int8_for_turing_computes_in_fp16(model, int8, said):
    pytest.importorskip("tensorrt_rtx")
    plan = plan_for(model, int8, "7.5")
    assert plan.target == "sm75"
    assert plan.layers["convolutions_fp16"] == CONVOLUTIONS
    assert "has no INT8 convolutions for sm75" in "\n".join(said)


def test_build_plan_in_fp16_for_turing(model):
    pytest.importorskip("tensorrt_rtx")
    config = BuildConfig(precision="fp16", runtime="tensorrt-rtx", compute_capability="7.5")
    plan = plan_of("tensorrt-rtx", model, config, machine())
    assert plan.layers["convolutions_fp16"] == CONVOLUTIONS


def test_build_plan_refuses_a_convolution_that_does_not_read_int8(model, int8, monkeypatch):
    pytest.importorskip("tensorrt_rtx")
    monkeypatch.setattr(Int8, "apply", lambda self, model, style: to_fp16(model))
    with fails(BuildError, "build/types"):
        plan_for(model, int8, "8.6")


CONFIG = BuildConfig(precision="int8", runtime="tensorrt")


def test_build_plan_of_tensorrt_10_has_fp16_scales_and_no_flag(install, model, int8):
    recorder = install("10.3.0")
    plan = plan_of("tensorrt", model, CONFIG, machine("8.7"), int8=int8)
    ((network, options, given),) = recorder.builds
    assert plan.typing == "strong"
    assert network.flags == 1 << 1
    assert options.flags == {"TF32"}
    kinds = {i.name: i.data_type for i in given.graph.initializer}
    pairs = [n for n in given.graph.node if n.op_type == "QuantizeLinear"]
    assert len(pairs) == 59
    assert {kinds[n.input[1]] for n in pairs} == {TensorProto.FLOAT16}


def test_build_plan_of_tensorrt_8_has_fp32_weights_and_both_flags(install, model, int8):
    recorder = install("8.6.1")
    plan = plan_of("tensorrt", model, CONFIG, machine("8.7"), int8=int8)
    ((network, options, given),) = recorder.builds
    assert plan.typing == "weak"
    assert options.flags == {"TF32", "FP16", "INT8", "OBEY_PRECISION_CONSTRAINTS"}
    assert given.opset_import[0].version == 17
    kinds = {i.name: i.data_type for i in given.graph.initializer}
    pairs = [n for n in given.graph.node if n.op_type == "QuantizeLinear"]
    assert len(pairs) == 59 + 60
    assert {kinds[n.input[1]] for n in pairs} == {TensorProto.FLOAT}
    constants = {kinds[n.input[0]] for n in pairs if n.input[0] in kinds}
    assert constants == {TensorProto.FLOAT}  # TensorRT 8 takes no INT8 constant
    held = {layer.name for layer in network.layers if layer.precision == FLOAT}
    assert not any("quantized" in name for name in held)
    assert {n.name for n in model.graph.node if n.op_type == "ReduceL2"} <= held


def test_build_plan_of_tensorrt_8_keeps_the_outputs(install, model, int8):
    recorder = install("8.6.1")
    plan_of("tensorrt", model, CONFIG, machine("8.7"), int8=int8)
    frame = np.random.default_rng(0).integers(0, 256, (1, 48, 80, 3), np.uint8)
    feeds = {"frame": frame, "threshold": np.array([0.5], np.float32)}
    maps = [
        onnxruntime.InferenceSession(
            graph.SerializeToString(), providers=["CPUExecutionProvider"]
        ).run(["anomaly_map"], feeds)[0]
        for graph in (int8.apply(model, "fp32"), recorder.builds[0][2])
    ]
    np.testing.assert_allclose(*maps, atol=1e-5)


@pytest.mark.parametrize("runtime", ["tensorrt", "tensorrt-rtx"])
def test_build_plan_in_int8_refuses_a_v100(install, model, int8, runtime):
    install("8.6.1")
    config = BuildConfig(precision="int8", compute_capability="7.0")
    with pytest.raises(ConfigError, match=r"7\.0 \(V100\): no INT8 tensor cores") as caught:
        plan_of(runtime, model, config, machine("7.0"), int8=int8)
    assert caught.value.remedy == "--precision fp16"
