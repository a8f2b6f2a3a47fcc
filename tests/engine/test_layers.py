"""The layer list of a build log: lines as TensorRT-RTX 1.7.1 wrote them, some types changed."""

import pytest
from onnx import TensorProto, helper

from edgeseg.engine.layers import check_tensors, read_layers, read_types
from edgeseg.errors import BuildError

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

    graph = helper.make_graph(
        [node("Conv", "stem"), node("Conv", "pool.1"), node("ReduceL2", "norm")],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 48, 80, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 64, 64])],
    )
    return helper.make_model(graph)


def swap(name, old, new):
    """The log with a type of one layer exchanged."""
    found = [text.replace(old, new) if text.startswith(f"Name: {name}") else text for text in LOG]
    assert found != LOG
    return read_layers(found)


def test_layers_are_read_with_their_types_and_nodes():
    layers = read_layers(LOG)
    assert [layer.kind for layer in layers] == [
        *("kgen", "correlation", "runtime_fusion", "kgen", "kgen", "signal")
    ]
    assert layers[3].name == "__myl_CastMulSum_myl0_49"
    assert (layers[3].inputs, layers[3].outputs) == (("Half",), ("Float", "Float"))
    assert layers[3].nodes == {"cast", "norm"}
    assert layers[5].inputs == ()


def test_a_log_without_layers_has_none():
    assert read_layers(["[INFO] built", "Name: x"]) == []


def test_convolutions_and_norms_are_counted_by_type(model):
    types = read_types(model, read_layers(LOG))
    assert types.convolutions == {"stem": "Half", "pool.1": "Half"}
    assert types.norms == {"norm": "Float"}
    assert types.counts() == {
        "convolutions": 2,
        "norms": 1,
        "convolutions_half": 2,
        "norms_float": 1,
    }
    types.check(frozenset({"stem", "pool.1", "relu"}))


def test_a_convolution_in_float_is_refused_in_fp16_and_right_in_fp32(model):
    types = read_types(
        model,
        swap(
            "stem_",
            "Inputs: [ { Name: t0, Dimensions: [1,3,64,64], Strides: [1], Datatype: Half",
            "Inputs: [ { Name: t0, Dimensions: [1,3,64,64], Strides: [1], Datatype: Float",
        ),
    )
    assert types.counts()["convolutions_float"] == 1
    with pytest.raises(BuildError, match=r"stem computes in Float in the engine; Half was expec"):
        types.check(frozenset({"stem", "pool.1"}))
    types.check(frozenset({"pool.1"}))


@pytest.mark.parametrize(("weights", "expected"), [(["Half"], "Half"), (["Float"], "Float")])
def test_a_sum_that_is_fused_does_not_hide_what_the_convolution_reads(model, weights, expected):
    # As TensorRT-RTX lists a residual block behind one that stays in Float: the sum comes first.
    name = "__myl_CorrCastAddCastRelu_myl0_58"
    fused = line(name, "runtime_fusion", ["Float", "Half"], ["Half"], ["pool.1", "add"], weights)
    kept = [text for text in LOG if "pool.1" not in text]
    assert read_types(model, read_layers([*kept, fused])).convolutions["pool.1"] == expected


def test_a_norm_in_half_is_refused(model):
    types = read_types(model, swap("__myl_CastMulSum", "Datatype: Float", "Datatype: Half"))
    with pytest.raises(BuildError, match="norm computes in Half in the engine; Float was expected"):
        types.check(frozenset({"stem", "pool.1"}))


def test_a_norm_inside_one_kernel_is_in_float_between_its_casts(model):
    # As TensorRT-RTX lists unit vectors, product and cast that a convolution alone reads.
    kept = [text for text in LOG if "[ONNX Layer: norm]" not in text]
    name = "__myl_CastMulSumSqrtMaxMinDivMulNegMulCast_myl0_79"
    for nodes, expected in [
        (["x/fp32", "norm", "mul/fp16"], "Float"),
        (["norm", "mul/fp16"], "Half"),
        (["x/fp32", "norm"], "Half"),
        (["other/fp32", "norm", "mul/fp16"], "Half"),
    ]:
        layers = read_layers([*kept, line(name, "kgen", ["Half"], ["Half"], nodes)])
        assert read_types(model, layers).norms == {"norm": expected}


def test_a_node_that_no_layer_names_is_refused(model):
    types = read_types(model, [layer for layer in read_layers(LOG) if "norm" not in layer.nodes])
    with pytest.raises(BuildError, match="norm computes in an unknown type"):
        types.check(frozenset({"stem", "pool.1"}))


def test_inputs_and_outputs_are_the_graphs(model):
    check_tensors(LOG, model)
    wrong = [text.replace("DataType: UInt8", "DataType: Float") for text in LOG]
    with pytest.raises(BuildError, match=r"tensor x is .*Float.*; UInt8 \[1,48,80,3\] was expect"):
        check_tensors(wrong, model)
    with pytest.raises(BuildError, match="tensor y is None"):
        check_tensors(LOG[:-1], model)
