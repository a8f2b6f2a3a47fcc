"""The layer list of a build log: lines as TensorRT-RTX 1.7.1 wrote them, some types changed."""

import pytest
from onnx import helper

from edgeseg.engine.layer_list import read_layers
from edgeseg.engine.layers import check_tensors, read_types
from edgeseg.errors import BuildError
from tests.kit.errors import fails
from tests.kit.graphs import BYTES, FLOAT, make_graph

TENSOR = "{{ Name: {name}, Dimensions: [1,3,64,64], Strides: [1], Datatype: {type}, Format: x }}"


def line(name, kind, inputs, outputs, nodes, constants=("Half",)):
    def tensors(types):
        found = [TENSOR.format(name=f"t{k}", type=t) for k, t in enumerate(types)]
        return f"[ {', '.join(found)}]"

    metadata = "".join(f"[ONNX Layer: {node}]" for node in nodes)
    return (
        f"Name: {name}, LayerType: {kind}, Inputs: {tensors(inputs)}, "
        f"Constants: {tensors(constants)}, Outputs: {tensors(outputs)}, "
        f"TacticName: __myelin_CASK_STUB, StreamId: 0, Metadata: {metadata}"
    )


LOG = [
    "Engine generation completed in 0.636944 seconds.",
    "Layers:",
    # Pads the three channels for the first convolution, and so carries its name too.
    line("__myl_MulCastConc_myl0_3", "kgen", ["Float"], ["Half"], ["div", "stem", "relu"]),
    line("stem_myl0_4", "correlation", ["Half"], ["Half"], ["stem", "relu"], ["Half", "Float"]),
    line("__myl_FcRelu_myl0_85", "runtime_fusion", ["Half"], ["Half"], ["pool.1", "relu_50"]),
    line("__myl_CastMulSum_myl0_49", "kgen", ["Half"], ["Float", "Float"], ["cast", "norm"]),
    line("__myl_SqrtDivMulCast_myl0_65", "kgen", ["Float", "Half"], ["Half"], ["norm", "div_2"]),
    "Name: __mye6465_myl0_100, LayerType: signal, Inputs: [], Constants: [], Outputs: [], "
    "TacticName: , StreamId: 0, EventId: 7, Metadata: ",
    "",
    "I/O Tensors:",
    " Name: x, IOMode: Input, DataType: UInt8, Dimensions: [1,48,80,3], Location: Device",
    " Name: y, IOMode: Output, DataType: Float, Dimensions: [1,64,64], Location: Device",
]


@pytest.fixture
def model():
    def node(op, name):
        return helper.make_node(op, ["x"], [name], name)

    nodes = [node("Conv", "stem"), node("Conv", "pool.1"), node("ReduceL2", "norm")]
    inputs, outputs = {"x": (BYTES, [1, 48, 80, 3])}, {"y": (FLOAT, [1, 64, 64])}
    return make_graph(nodes, inputs=inputs, outputs=outputs)


def swap(name, old, new):
    """The log with a type of one layer exchanged."""
    found = [text.replace(old, new) if text.startswith(f"Name: {name}") else text for text in LOG]
    assert found != LOG
    return read_layers(found)


def test_read_layers():
    layers = read_layers(LOG)
    assert [layer.kind for layer in layers] == [
        *("kgen", "correlation", "runtime_fusion", "kgen", "kgen", "signal")
    ]
    assert layers[3].name == "__myl_CastMulSum_myl0_49"
    assert (layers[3].inputs, layers[3].outputs) == (("FP16",), ("FP32", "FP32"))
    assert layers[3].nodes == {"cast", "norm"}
    assert layers[5].inputs == ()


def test_read_layers_of_a_log_without_layers():
    assert read_layers(["[INFO] built", "Name: x"]) == []


def test_read_types_counts_by_type(model):
    types = read_types(model, read_layers(LOG))
    assert types.convolutions == {"stem": "FP16", "pool.1": "FP16"}
    assert types.norms == {"norm": "FP32"}
    assert types.counts() == {
        "convolutions": 2,
        "norms": 1,
        "convolutions_fp16": 2,
        "norms_fp32": 1,
    }
    types.check(frozenset({"stem", "pool.1", "relu"}))


def test_types_check_refuses_a_convolution_in_fp32(model):
    types = read_types(
        model,
        swap(
            "stem_",
            "Inputs: [ { Name: t0, Dimensions: [1,3,64,64], Strides: [1], Datatype: Half",
            "Inputs: [ { Name: t0, Dimensions: [1,3,64,64], Strides: [1], Datatype: Float",
        ),
    )
    assert types.counts()["convolutions_fp32"] == 1
    with fails(BuildError, "build/types") as caught:
        types.check(frozenset({"stem", "pool.1"}))
    assert "stem computes in FP32" in caught.value.problem
    types.check(frozenset({"pool.1"}))


@pytest.mark.parametrize(("weights", "expected"), [(["Half"], "FP16"), (["Float"], "FP32")])
def test_read_types_of_a_convolution_with_a_fused_addition(model, weights, expected):
    # As TensorRT-RTX lists a residual block behind one that stays in Float: the sum comes first.
    name = "__myl_CorrCastAddCastRelu_myl0_58"
    fused = line(name, "runtime_fusion", ["Float", "Half"], ["Half"], ["pool.1", "add"], weights)
    kept = [text for text in LOG if "pool.1" not in text]
    assert read_types(model, read_layers([*kept, fused])).convolutions["pool.1"] == expected


def test_types_check_refuses_a_norm_in_fp16(model):
    lines = [text.replace("Datatype: Float", "Datatype: Half") for text in LOG]
    types = read_types(model, read_layers(lines))
    with fails(BuildError, "build/types") as caught:
        types.check(frozenset({"stem", "pool.1"}))
    assert "norm computes in FP16" in caught.value.problem


def test_read_types_of_a_norm_inside_one_kernel(model):
    # As TensorRT-RTX lists unit vectors, product and cast that a convolution alone reads.
    kept = [text for text in LOG if "[ONNX Layer: norm]" not in text]
    name = "__myl_CastMulSumSqrtMaxMinDivMulNegMulCast_myl0_79"
    for nodes, expected in [
        (["x/fp32", "norm", "mul/fp16"], "FP32"),
        (["norm", "mul/fp16"], "unknown"),
        (["x/fp32", "norm"], "unknown"),
        (["other/fp32", "norm", "mul/fp16"], "unknown"),
    ]:
        layers = read_layers([*kept, line(name, "kgen", ["Half"], ["Half"], nodes)])
        assert read_types(model, layers).norms == {"norm": expected}


def test_a_type_that_is_not_listed_is_counted_and_no_error(model):
    types = read_types(model, [layer for layer in read_layers(LOG) if "norm" not in layer.nodes])
    types.check(frozenset({"stem", "pool.1"}))
    assert (types.unknown, types.counts()["norms_unknown"]) == (("norm",), 1)


def test_a_convolution_whose_own_line_is_not_read_is_unknown(model):
    # What is left carries its name, reads FP32 and writes FP16: it pads the channels.
    layers = [layer for layer in read_layers(LOG) if layer.name != "stem_myl0_4"]
    types = read_types(model, layers)
    types.check(frozenset({"stem", "pool.1"}))
    assert types.unknown == ("stem",)


def test_check_tensors(model):
    check_tensors(LOG, model)
    wrong = [text.replace("DataType: UInt8", "DataType: Float") for text in LOG]
    with fails(BuildError, "build/tensors") as caught:
        check_tensors(wrong, model)
    assert "tensor x" in caught.value.problem and "UInt8 [1,48,80,3]" in caught.value.problem
    check_tensors(LOG[:-1], model)  # not listed: the runtime compares them when it opens the engine
