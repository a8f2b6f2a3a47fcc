"""Lists of layers in the forms of TensorRT's releases: one of each, as users published them."""

import json

import pytest
from onnx import helper

from edgeseg.engine.layer_list import inspected_layers, read_layers, unread_lines, word_of
from edgeseg.engine.layers import read_types
from tests.kit.graphs import FLOAT, make_graph

SEPARATOR = "\x1e"
METADATA = f"[ONNX Layer: conv1]{SEPARATOR}[ONNX Layer: relu1]"


def tensor(name, kind, shape="1,64,56,56"):
    return f"{{ Name: {name}, Location: Device, Dimensions: [{shape}], Format/Datatype: {kind} }}"


def convolution(inputs, weights="Half", output="Half"):
    return (
        f"Name: conv1 + relu1, LayerType: CaskConvolution, Inputs: [ {', '.join(inputs)}], "
        f"Outputs: [ {tensor('relu1_out', output)}], ParameterType: Convolution, Kernel: [3,3], "
        f'PrePadding: [1,1], OutMaps: 64, Weights: {{"Type": "{weights}", "Count": 36864}}, '
        f'Bias: {{"Type": "{weights}", "Count": 64}}, Activation: RELU, '
        f"TacticValue: 0x2, StreamId: 0, Metadata: {METADATA}"
    )


REFORMAT = (
    f"Name: Reformatting CopyNode for Input Tensor 0 to conv1 + relu1, LayerType: Reformat, "
    f"Inputs: [ {tensor('x', 'Float')}], Outputs: [ {tensor('x2', 'Half')}], ParameterType: "
    "Reformat, Origin: REFORMAT, TacticValue: 0x3e8, StreamId: 0, Metadata: "
)
SHORT = [
    "Layer(Reformat): Reformatting CopyNode for Input Tensor 0 to conv1 + PWN(relu1), Tactic: 0x0, "
    "x[Float(1,3,512,768)] -> Reformatted Input Tensor 0 to conv1 + PWN(relu1)[Int8(1,3,512,768)]",
    "Layer(CaskConvolution): conv1 + PWN(relu1), Tactic: 0x02d9, Reformatted Input Tensor 0 to "
    "conv1 + PWN(relu1)[Int8(1,3,512,768)] -> (Unnamed Layer* 2) [Activation]_out[Int8(1,32,8,8)]",
    "Layer(Myelin): {ForeignNode[norm...(Unnamed Layer* 4183) [Shuffle]]}, Tactic: 0, "
    "191[Half(128,96,56,56)] -> out[Half(128,1000)]",
]


@pytest.fixture
def model():
    nodes = [
        helper.make_node(op, ["x"], [n], n) for op, n in (("Conv", "conv1"), ("ReduceL2", "n"))
    ]
    return make_graph(nodes, inputs={"x": (FLOAT, [1])}, outputs={"conv1": (FLOAT, [1])})


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("Half", "FP16"),
        ("Row major linear FP32", "FP32"),
        ("Channel major FP16 format where channel % 8 == 0", "FP16"),
        ("Thirty-two wide channel vectorized row major Int8 format", "INT8"),
        ("Half(64,1:8,...)", "FP16"),
        ("UInt8", "UInt8"),
        ("N/A due to dynamic shapes", "unknown"),
    ],
)
def test_word_of(text, word):
    assert word_of(text) == word


@pytest.mark.parametrize(
    ("inputs", "weights", "expected"),
    [
        (["Half"], "Half", "FP16"),
        (["Channel major FP16 format where channel % 8 == 0"], "Half", "FP16"),
        (["Thirty-two wide channel vectorized row major Int8 format"], "Int8", "INT8"),
        (["Channel major FP32 format where channel % 4 == 0"], "Float", "FP32"),
        (["Float", "Half"], "Half", "FP16"),  # a residual block: the first is the other summand
    ],
)
def test_the_list_of_tensorrt_8_6_to_10(model, inputs, weights, expected):
    tensors = [tensor(f"t{k}", kind) for k, kind in enumerate(inputs)]
    log = ["Engine generation completed.", "Layers:", REFORMAT, convolution(tensors, weights)]
    layers = read_layers(log)
    assert [layer.kind for layer in layers] == ["Reformat", "CaskConvolution"]
    assert layers[1].nodes == {"conv1", "relu1"} and layers[0].nodes == frozenset()
    assert read_types(model, layers).convolutions == {"conv1": expected}
    assert unread_lines(log) == []


def test_constants_among_the_inputs_are_no_inputs(model):
    product = (
        "Name: gemm_myl9_4, LayerType: gemm, Inputs: [ "
        + ", ".join(
            [
                tensor("__mye595_dconst", "Half", "64,64,1,1"),
                tensor("bias _ ONNXTRT_Broadcast_6_constantFloat", "Float", "1,64,1,1"),
                tensor("x", "Half"),
            ]
        )
        + f"], Outputs: [ {tensor('y', 'Half')}], TacticName: sm80, Metadata: {METADATA}"
    )
    assert read_types(model, read_layers([product])).convolutions == {"conv1": "FP16"}


def test_inputs_of_several_types_without_weights_are_unknown(model):
    mixed = convolution([tensor("a", "Float"), tensor("b", "Half")]).replace("Weights: ", "Other: ")
    assert read_types(model, read_layers([mixed])).unknown == ("conv1", "n")


def test_the_short_list(model):
    layers = read_layers(SHORT)
    assert [layer.kind for layer in layers] == ["Reformat", "CaskConvolution", "Myelin"]
    assert (layers[0].inputs, layers[0].outputs) == (("FP32",), ("INT8",))
    assert layers[2].inputs == ("FP16",) and "norm" not in layers[2].nodes
    types = read_types(model, layers)
    assert (types.convolutions, types.norms) == ({"conv1": "INT8"}, {"n": "unknown"})
    newer = (
        "Layer(CaskConvolution): conv1 + relu1, x (Float[-1,128,43,77]) -> y (Float[-1,2,43,77])"
    )
    assert read_types(model, read_layers([newer])).convolutions == {"conv1": "FP32"}


def test_a_line_that_cannot_be_read_is_counted():
    broken = [
        "Name: conv1, LayerType: CaskConvolution, Shapes: none",
        "Layer(CaskConvolution): conv1 of a form to come",
        "Name: x, IOMode: Input",
        "Layers:",
    ]
    assert unread_lines([*broken, *SHORT]) == broken[:2] and read_layers(broken) == []


@pytest.mark.parametrize("key", ["Format/Datatype", "Datatype"])
def test_the_inspector(model, key):
    def tensors(*kinds):
        return [{"Name": "t", "Dimensions": [1, 3, 8, 8], key: kind} for kind in kinds]

    layer = {
        "Name": "conv1 + relu1",
        "LayerType": "CaskConvolution",
        "Inputs": tensors("Row major linear FP16 format"),
        "Outputs": tensors("Half"),
        "Weights": {"Type": "Half", "Count": 9},
        "Metadata": METADATA,
    }
    layers = inspected_layers(json.dumps({"Layers": [layer, "a name alone"], "Bindings": ["x"]}))
    assert read_types(model, layers).convolutions == {"conv1": "FP16"}
    assert (layers[0].outputs, layers[0].weights) == (("FP16",), ("FP16",))
    layer |= {"Inputs": tensors("Float", "Int8"), "Constants": tensors("Int8")}
    del layer["Weights"]
    (layer,) = inspected_layers(json.dumps({"Layers": [layer]}))
    assert read_types(model, [layer]).convolutions == {"conv1": "INT8"}
    assert inspected_layers("{}") == []
