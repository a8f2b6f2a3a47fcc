"""FP16 typing: where Half begins and ends, on graphs small enough to count by hand."""

from collections import Counter

import numpy as np
import pytest
from onnx import TensorProto, helper

from edgeseg.graph.files import read_graph
from edgeseg.quantize.fp16 import half_nodes, resize_nodes, to_fp16
from tests.kit.tiny import WEIGHT, conv, graph_of, node, run, types


@pytest.fixture
def small_destseg():
    """The order of DeSTSeg: normalize, teacher and student, unit vectors, head, sigmoid."""
    constants = {
        "weight": WEIGHT,
        "mean": np.float32(0.5),
        "axes": np.array([1]),
        "eps": np.float32(1e-12),
        "six": np.float32(6.0),
        "zero": np.float32(0.0),
        "sizes": np.array([1, 8, 12, 12]),
    }
    nodes = [
        node("Sub", "x mean", "normal"),
        conv("normal", "t1"),
        node("Clip", "t1 zero six", "t2"),
        conv("normal", "s1"),
        node("Relu", "s1", "s2"),
        conv("s2", "s3"),
        node("Add", "s3 s2", "s4"),
    ]
    for name, source in (("t", "t2"), ("s", "s4")):
        nodes += [
            node("ReduceL2", f"{source} axes", f"{name}_norm", keepdims=1),
            node("Clip", f"{name}_norm eps", f"{name}_safe"),
            node("Div", f"{source} {name}_safe", f"{name}_unit"),
        ]
    nodes += [
        node("Mul", "t_unit s_unit", "product"),
        helper.make_node(
            "Resize", ["product", "", "", "sizes"], ["large"], "resize:large", mode="linear"
        ),
        conv("large", "logits"),
        node("Sigmoid", "logits", "map"),
    ]
    return graph_of(nodes, constants, "map")


def test_half_lies_between_convolutions_and_nowhere_else(small_destseg):
    assert half_nodes(small_destseg) == {
        *("conv:t1", "clip:t2", "conv:s1", "relu:s2", "conv:s3", "add:s4"),
        *("resize:large", "conv:logits"),
    }


def test_every_tensor_has_its_type(small_destseg):
    found = types(to_fp16(small_destseg))
    for name in ("t1", "t2", "s2", "s3", "s4", "large", "logits"):
        assert found[name] == TensorProto.FLOAT16, name
    for name in ("x", "normal", "t_norm", "t_safe", "t_unit", "s_norm", "product", "map"):
        assert found[name] == TensorProto.FLOAT, name


def test_one_cast_for_each_tensor_at_each_border(small_destseg):
    casts = [n for n in to_fp16(small_destseg).graph.node if n.op_type == "Cast"]
    assert {n.output[0] for n in casts} == {
        *("normal/fp16", "product/fp16"),  # read by two convolutions, and by the resize
        *("t2/fp32", "s4/fp32", "logits/fp32"),  # the first two by the norm and the division
    }
    assert len(casts) == 5


def test_each_constant_is_converted_once(small_destseg):
    found = Counter(i.name for i in to_fp16(small_destseg).graph.initializer)
    assert found == Counter(
        ["weight/fp16", "mean", "axes", "eps", "six/fp16", "zero/fp16", "sizes"]
    )


def test_the_answers_and_the_metadata_stay(small_destseg):
    x = np.random.default_rng(1).random((1, 8, 6, 6)).astype(np.float32)
    typed = to_fp16(small_destseg)
    np.testing.assert_allclose(run(typed, x), run(small_destseg, x), atol=2e-3)
    assert [(p.key, p.value) for p in typed.metadata_props] == [("edgeseg.name", '"screws"')]


def test_zero_features_give_numbers(small_destseg):
    x = np.full((1, 8, 6, 6), 0.5, np.float32)  # the mean: every feature is zero
    np.testing.assert_array_equal(run(to_fp16(small_destseg), x), np.full((1, 8, 12, 12), 0.5))


def test_the_graph_that_was_given_stays_as_it_was(small_destseg):
    before = small_destseg.SerializeToString()
    to_fp16(small_destseg)
    assert small_destseg.SerializeToString() == before


def between(middle, constants):
    """conv -> middle -> conv; `middle` reads a and writes b."""
    return graph_of([conv("x", "a"), middle, conv("b", "c")], {"weight": WEIGHT} | constants, "c")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("an epsilon that would be 0", 1e-12, False),
        ("a subnormal", 3e-5, False),
        ("an overflow", 70000.0, False),
        ("an ordinary limit", 6.0, True),
        ("zero", 0.0, True),
    ],
)
def test_a_scalar_that_half_cannot_hold_keeps_its_node_in_float(name, value, expected):
    model = between(node("Clip", "a limit", "b"), {"limit": np.float32(value)})
    assert ("clip:b" in half_nodes(model)) is expected
    to_fp16(model)


def test_tiny_weights_are_no_epsilon_and_large_ones_overflow():
    tiny = WEIGHT.copy()
    tiny[0, 0, 0, 0] = 1e-12
    assert "conv:a" in half_nodes(graph_of([conv("x", "a")], {"weight": tiny}, "b_unused"))
    tiny[0, 0, 0, 1] = 7e4
    model = graph_of([conv("x", "a"), node("Relu", "a", "b")], {"weight": tiny}, "b")
    assert half_nodes(model) == frozenset()
    assert not any(n.op_type == "Cast" for n in to_fp16(model).graph.node)


def test_an_add_is_half_only_between_two_halves():
    residual = between(node("Add", "a a", "b"), {})
    assert "add:b" in half_nodes(residual)
    offset = between(node("Add", "a offset", "b"), {"offset": np.float32(1.0)})
    assert "add:b" not in half_nodes(offset)


def test_a_resizes_scales_stay_float():
    scales = {"scales": np.array([1, 1, 2, 2], np.float32)}
    resize = helper.make_node("Resize", ["a", "", "scales"], ["b"], "resize:b", mode="linear")
    typed = to_fp16(between(resize, scales))
    assert types(typed)["b"] == TensorProto.FLOAT16
    assert "scales" in {i.name for i in typed.graph.initializer}


def test_means_stay_float():
    mean = node("ReduceMean", "a", "b", keepdims=1)
    assert "reducemean:b" not in half_nodes(between(mean, {}))


def test_nodes_that_are_kept_stay_float_and_no_others(small_destseg):
    keep = frozenset(("conv:s3", "norm"))
    assert half_nodes(small_destseg, keep) == half_nodes(small_destseg) - {"conv:s3"}
    typed = to_fp16(small_destseg, keep=keep)
    found = types(typed)
    assert found["s3"] == TensorProto.FLOAT
    assert found["s2"] == found["s4"] == TensorProto.FLOAT16
    constants = {i.name for i in typed.graph.initializer}
    assert {"weight", "weight/fp16"} <= constants  # one convolution reads it as it was
    x = np.random.default_rng(1).random((1, 8, 6, 6)).astype(np.float32)
    np.testing.assert_allclose(run(typed, x), run(small_destseg, x), atol=2e-3)


def test_all_nodes_kept_is_the_graph_as_it_was(small_destseg):
    names = frozenset(n.name for n in small_destseg.graph.node)
    typed = to_fp16(small_destseg, keep=names)
    assert [n.op_type for n in typed.graph.node] == [n.op_type for n in small_destseg.graph.node]


def test_an_output_of_the_graph_stays_float():
    model = graph_of([conv("x", "a"), conv("a", "b")], {"weight": WEIGHT}, "b")
    assert half_nodes(model) == {"conv:a"}
    assert types(to_fp16(model))["b"] == TensorProto.FLOAT


def test_the_whole_model(exported):
    model = read_graph(exported.graph)[0]
    half = half_nodes(model)
    kinds = {n.name: n.op_type for n in model.graph.node}
    convolutions = {name for name, kind in kinds.items() if kind == "Conv"}
    assert convolutions <= half
    assert len(convolutions) == 70
    assert {kinds[name] for name in half} == {
        *("Conv", "Relu", "Add", "MaxPool", "Resize", "Concat", "MatMul", "Reshape", "Transpose"),
        "Gather",  # of the frame's resize
    }
    assert resize_nodes(model) < half
    products = {name for name in resize_nodes(model) if kinds[name] == "MatMul"}
    assert products == {"resize.parts.0.rows", "resize.parts.0.columns"}
    typed = to_fp16(model)
    weights = sum(len(i.raw_data) for i in model.graph.initializer)
    assert sum(len(i.raw_data) for i in typed.graph.initializer) < 0.51 * weights
    found = types(typed)
    assert all(found[n] == TensorProto.FLOAT for n in ("threshold", "score", "anomaly_map"))
    assert all(found[n] == TensorProto.UINT8 for n in ("frame", "mask"))
