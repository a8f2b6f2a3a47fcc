"""Where INT8 begins and ends, on graphs small enough to count by hand."""

import numpy as np
import onnx
import pytest

from edgeseg.graph.files import read_graph
from edgeseg.graph.graph import Graph, name_of
from edgeseg.quantize.placement import measured
from edgeseg.quantize.placement import place as place_in
from edgeseg.quantize.qdq import never_negative
from tests.kit.tiny import WEIGHT, conv, graph_of, node, two_levels

DEEP = WEIGHT[:, :1]


def place(model, **options):
    return place_in(Graph(model), **options)


def block(*end, constants=None):
    """x -> a -> relu b -> conv c -> relu d -> conv e, and what follows; writes y."""
    nodes = [conv("x", "a"), node("Relu", "a", "b"), conv("b", "c"), node("Relu", "c", "d")]
    return graph_of([*nodes, conv("d", "e"), *end], {"weight": WEIGHT} | (constants or {}), "y")


def test_convolutions_read_int8_and_write_what_they_wrote():
    placed = place(block(node("Relu", "e", "y")))
    assert placed.convolutions == ("conv:a", "conv:c", "conv:e")
    assert placed.edges == {
        "x": (("conv:a", 0),),
        "b": (("conv:c", 0),),
        "d": (("conv:e", 0),),
    }
    assert placed.weights == ("weight",)
    assert placed.left == {}


@pytest.mark.parametrize(("inputs", "index"), [("e b", 1), ("b e", 0)])
def test_the_skip_of_a_residual_shares_its_tensors_pair(inputs, index):
    placed = place(block(node("Add", inputs, "f"), conv("f", "y")))
    assert placed.edges["b"] == (("conv:c", 0), ("add:f", index))
    assert "e" not in placed.edges


@pytest.mark.parametrize(("inputs", "index"), [("e s", 1), ("s e", 0)])
def test_where_two_convolutions_meet_the_shorter_path_is_the_skip(inputs, index):
    placed = place(block(conv("b", "s"), node("Add", inputs, "y")))
    assert placed.edges["b"] == (("conv:c", 0), ("conv:s", 0))
    assert placed.edges["s"] == (("add:y", index),)
    assert "e" not in placed.edges


def test_two_paths_of_one_length_have_one_skip():
    placed = place(graph_of([conv("x", "a"), conv("x", "b"), node("Add", "a b", "y")], W, "y"))
    assert [name for name in placed.edges if name != "x"] == ["b"]


W = {"weight": WEIGHT}


def test_a_convolution_that_is_kept_takes_no_part():
    model = block(conv("b", "s"), node("Add", "e s", "y"))
    kept = place(model, keep=frozenset({"conv:e"}))
    assert kept.convolutions == ("conv:a", "conv:c", "conv:s")
    assert set(kept.edges) == {"x", "b"}  # no convolution of INT8 to fuse the addition with
    assert kept.left == {"conv:e": "kept"}
    skip = place(model, keep=frozenset({"conv:s"}))
    assert set(skip.edges) == {"x", "b", "d"}  # its result stays as exact as it is


def test_an_addition_of_a_constant_is_no_residual():
    model = block(node("Add", "e one", "y"), constants={"one": np.float32(1)})
    assert set(place(model).edges) == {"x", "b", "d"}


def test_an_addition_behind_no_convolution_is_left_alone():
    model = block(node("Relu", "e", "f"), node("Add", "f b", "y"))
    assert place(model).edges["b"] == (("conv:c", 0),)


def test_the_stem_reads_a_picture():
    stem = {"stem": WEIGHT[:, :3], "weight": WEIGHT}
    model = graph_of([conv("x", "a", "stem"), conv("a", "y")], stem, "y", channels=3)
    placed = place(model)
    assert placed.left == {"conv:a": "stem"}
    assert not place(model, processor="cpu").left
    assert measured(Graph(model))["x"] == "rest"  # the network input
    assert placed.convolutions == ("conv:y",)


def test_a_depthwise_convolution_is_left_alone():
    model = graph_of([conv("x", "a", "deep", group=8), conv("a", "y")], {"deep": DEEP} | W, "y")
    placed = place(model)
    assert placed.left == {"conv:a": "depthwise"}
    assert placed.convolutions == ("conv:y",)


def test_the_head_ends_and_pools_in_its_own_type():
    nodes = [
        node("ReduceMean", "x axes", "mean", keepdims=1),
        node("Conv", "mean point", "a"),
        conv("x", "b"),
        node("Add", "a b", "c"),
        conv("c", "y", "last"),
    ]
    constants = {"axes": np.array([2, 3]), "point": WEIGHT[:, :, :1, :1], "last": WEIGHT[:1]}
    placed = place(graph_of(nodes, constants | W, "y"))
    assert placed.left == {"conv:a": "pooled", "conv:y": "output"}
    assert placed.convolutions == ("conv:b",)


def test_weights_that_are_computed_are_not_quantized():
    nodes = [node("Mul", "weight two", "w2"), conv("x", "y", "w2")]
    assert place(graph_of(nodes, W | {"two": np.float32(2)}, "y")).convolutions == ()


def test_the_similarity_is_kept_or_equalized():
    model = two_levels()
    kept = place(model)
    assert kept.left == {"head.b1": "similarity", "head.b4": "similarity", "head.logits": "output"}
    assert set(kept.edges) == {"x", "t1", "s1", "b2"}
    taken = place(model, similarity="equalized")
    assert taken.left == {"head.logits": "output"}
    assert set(taken.edges) - set(kept.edges) == {"cat", "b4"}
    assert taken.edges["cat"] == (("head.b1", 0), ("head.b4", 0))


def test_what_is_measured_serves_every_placement():
    assert measured(Graph(two_levels())) == {
        **{"x": "rest", "t1": "teacher", "s1": "student"},
        **dict.fromkeys(("cat", "p1", "p2_large"), "similarity"),
        **dict.fromkeys(("b2", "b3", "b4"), "head"),  # b3 for the CPU
    }


def test_on_a_cpu_an_addition_reads_int8_on_both_sides():
    model = block(node("Add", "e b", "f"), conv("f", "y"))
    placed = place(model, processor="cpu")
    assert placed.edges["e"] == (("add:f", 0),)
    assert placed.edges["b"] == (("conv:c", 0), ("add:f", 1))
    kept = place(block(conv("b", "s"), node("Add", "e s", "y")), processor="cpu", keep=S)
    assert not {"e", "s"} & set(kept.edges)


S = frozenset({"conv:s"})


def test_on_a_cpu_the_heads_concatenation_reads_int8():
    model = two_levels()
    nodes = {n.name: n for n in model.graph.node}
    nodes["head.logits"].input[0] = "views"
    nodes["head.logits"].input[1] = "wide"
    views = node("Concat", "b6 b2", "views", axis=1)
    model.graph.node.insert(list(model.graph.node).index(nodes["head.logits"]), views)
    assert "b6" not in place(model).edges
    placed = place(model, processor="cpu")
    assert placed.edges["b6"] == (("concat:views", 0),)
    assert placed.edges["b2"] == (("head.b3", 0), ("concat:views", 1))
    assert placed.edges["views"] == (("head.logits", 0),)
    assert "p1" not in placed.edges


def test_tensors_that_are_never_negative():
    nodes = [
        *(conv("x", "a"), node("Relu", "a", "b"), conv("b", "c"), node("Clip", "c zero six", "d")),
        *(node("MaxPool", "d", "e", kernel_shape=[1, 1]), node("Add", "b e", "f")),
        *(node("Add", "a f", "g"), node("Clip", "g less six", "h"), node("Concat", "h f", "y")),
    ]
    limits = {"zero": np.float32(0), "less": np.float32(-1), "six": np.float32(6)}
    nodes[-1].attribute.append(onnx.helper.make_attribute("axis", 1))
    found = never_negative(Graph(graph_of(nodes, W | limits, "y")))
    assert {name_of(tensor) for tensor in found} == {"b", "d", "e", "f"}


def test_the_whole_model(exported):
    model = read_graph(exported.graph)[0]
    placed = place(model)
    first = "head.blocks.0"
    assert placed.left == {
        "teacher.encoder.conv1": "stem",
        "student.encoder.conv1": "stem",
        **{
            f"{first}.{name}": "similarity"
            for conv in ("conv1", "downsample")
            for name in (f"{conv}.kept", f"{conv}.moved.0", f"{conv}.moved.1")
        },
        "head.aspp.0.pool.1": "pooled",
        "head.aspp.4": "output",
    }
    assert len(placed.convolutions) == 60
    kinds = {n.name: n.op_type for n in model.graph.node}
    readers = [kinds[name] for edges in placed.edges.values() for name, _ in edges]
    assert (readers.count("Conv"), readers.count("Add"), len(readers)) == (60, 24, 84)
    assert len(placed.edges) == 59
    assert place(model, similarity="equalized").left.keys() == {
        *("teacher.encoder.conv1", "student.encoder.conv1"),
        *("head.aspp.0.pool.1", "head.aspp.4"),
    }
