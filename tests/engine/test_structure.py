"""The structure gate: what TensorRT-RTX really builds, on the CPU, for three kinds of GPUs.

Each engine is built once; its build log is read for the type of every convolution and norm. That is
all that can be seen where no GPU is: the engines were not run.
"""

from collections import Counter
from dataclasses import dataclass

import pytest
from onnx import ModelProto

from edgeseg.config import BuildConfig
from edgeseg.engine import tensorrt as tensorrt_build
from edgeseg.engine.layer_list import Layer, read_layers
from edgeseg.engine.layers import read_types
from edgeseg.engine.tensorrt import Plan
from edgeseg.graph.files import read_graph
from edgeseg.machine.facts import this_machine
from edgeseg.quantize.fp16 import half_nodes
from edgeseg.runtime import tensorrt as trt
from tests.kit.hand_made import FLOAT, HALF, quantized
from tests.kit.plans import plan_of

CAPABILITIES = ("7.5", "8.6", "12.0")  # Turing, Ampere, Blackwell
# precision -> the type of each convolution that does not read FP32, and the bytes of a weight
PLANNED = {
    "fp32": (lambda model: {}, 4),
    "fp16": (lambda model: dict.fromkeys(half_nodes(model), "FP16"), 2),
}


@dataclass
class Built:
    precision: str
    capability: str
    model: ModelProto
    plan: Plan
    layers: list[Layer]

    @property
    def convolutions(self):
        return [node.name for node in self.model.graph.node if node.op_type == "Conv"]

    @property
    def planned(self):
        types = PLANNED[self.precision][0](self.model)
        return {name: types.get(name, "FP32") for name in self.convolutions}


def build(model, precision, capability):
    """Build as build-engine does, and keep the layers that it reads."""
    pytest.importorskip("tensorrt_rtx")
    config = BuildConfig(precision=precision, runtime="tensorrt-rtx", compute_capability=capability)
    layers = []

    def read(lines):
        layers.extend(read_layers(lines))
        return layers

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tensorrt_build, "read_layers", read)
        plan = plan_of("tensorrt-rtx", model, config, this_machine())
    return Built(precision, capability, model, plan, layers)


@pytest.fixture(
    scope="session",
    params=[(p, c) for p in PLANNED for c in CAPABILITIES],
    ids=lambda param: "-".join(param),
)
def built(request, exported):
    return build(read_graph(exported.graph)[0], *request.param)


def test_every_convolution_reads_what_the_plan_says(built):
    assert read_types(built.model, built.layers).convolutions == built.planned


def test_the_card_counts_them_by_type(built):
    convolutions = len(built.convolutions)
    norms = sum(node.op_type == "ReduceL2" for node in built.model.graph.node)
    assert convolutions > 60 and norms == 6  # the fixture is DeSTSeg: two encoders and a head
    counts = {"convolutions": convolutions, "norms": norms, "norms_fp32": norms}
    types = Counter(built.planned.values())
    counts |= {f"convolutions_{kind.lower()}": number for kind, number in types.items()}
    counts |= {"products": 2, f"products_{built.precision}": 2}  # of the resize
    assert built.plan.layers == counts


def test_every_convolution_is_one_kernel(built):
    """Kernels that pad, cast or resize beside it may carry its name; none of them convolves."""
    for name in built.convolutions:
        kinds = [layer.kind for layer in built.layers if name in layer.nodes]
        assert len([kind for kind in kinds if kind != "kgen"]) == 1, (name, kinds)


def test_the_plan_holds_the_weights_in_their_type(built):
    weights = sum(len(i.raw_data) // 4 for i in built.model.graph.initializer)
    size = weights * PLANNED[built.precision][1]
    assert size < len(built.plan.data) < 1.2 * size


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(("kind", "word"), [(FLOAT, "FP32"), (HALF, "FP16")])
def test_int8_is_computed_in_floats_on_turing(kind, word, capability):
    """One explicitly quantized convolution: 7.5 has no INT8 kernel for it in TensorRT-RTX."""
    pytest.importorskip("tensorrt_rtx")
    api, model, log = trt.load("tensorrt-rtx"), quantized(kind=kind), []
    config = BuildConfig(precision="fp16", runtime="tensorrt-rtx")
    assert tensorrt_build._build(api, model, config, trt.target_of(capability), log)
    layers = read_layers(line for _, text in log for line in text.splitlines())
    found = read_types(model, layers).convolutions
    assert found == {"conv": word if capability == "7.5" else "INT8"}
