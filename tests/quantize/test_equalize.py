"""Levels at one size: exact before quantization, closer after it."""

import dataclasses

import numpy as np
import pytest
from onnx import helper, numpy_helper

from edgeseg.graph.graph import Graph
from edgeseg.quantize.calibration_file import Range, Ranges
from edgeseg.quantize.equalize import equalize as equalize_in
from edgeseg.quantize.fp16 import half_nodes
from tests.kit.tiny import run, two_levels

SMALL = 0.05  # of the second level in `two_levels`


def equalize(model, ranges):
    """Return the equalized model and its ranges."""
    graph = Graph(model)
    ranges = equalize_in(graph, ranges)
    return graph.to_proto(), ranges


@pytest.fixture
def ranges():
    limits = {"p1": Range(0.8), "p2_large": Range(0.8 * SMALL), "cat": Range(0.8), "x": Range(3.0)}
    return Ranges(graph="tiny.onnx", graph_sha256="0" * 64, tensors=limits)


def test_the_answers_stay_the_same(ranges):
    model = two_levels()
    x = np.random.default_rng(0).normal(0, 1, (1, 8, 6, 6)).astype(np.float32)
    expected = run(model, x)
    model, _ = equalize(model, ranges)
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-5)


def test_the_smaller_level_is_multiplied_before_its_upsampling(ranges):
    model, _ = equalize(two_levels(), ranges)
    nodes = {n.name: n for n in model.graph.node}
    assert nodes["p2s/level"].op_type == "Mul"
    assert nodes["resize:p2_large"].input[0] == "p2s/level"
    assert list(nodes["concat:cat"].input) == ["p1", "p2_large"]
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    assert constants["p2s/level/factor"] == pytest.approx(1 / SMALL)


def test_every_reader_divides_its_weights(ranges):
    model = two_levels()
    before = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    model, _ = equalize(model, ranges)
    after = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    for name in ("wide", "short"):
        np.testing.assert_array_equal(after[f"{name}/level"][:, :8], before[name][:, :8])
        faint = before[name][:, 8:] * SMALL
        np.testing.assert_allclose(after[f"{name}/level"][:, 8:], faint, rtol=1e-6)
        assert name not in after
    reads = {n.name: n.input[1] for n in model.graph.node if n.op_type == "Conv"}
    assert (reads["head.b1"], reads["head.b4"]) == ("wide/level", "short/level")
    assert reads["head.b3"] == "weight"


def test_the_ranges_follow(ranges):
    _, found = equalize(two_levels(), ranges)
    assert found.limit("cat") == pytest.approx(0.8)
    assert found.limit("x") == 3.0


def test_the_new_products_are_no_halves(ranges):
    model, _ = equalize(two_levels(), ranges)
    assert "p2s/level" not in half_nodes(model)


def test_levels_of_one_size_are_left_as_they_are(ranges):
    limits = ranges.tensors | {"p2_large": Range(0.8)}
    model, _ = equalize(two_levels(), Ranges(graph="g", graph_sha256="0", tensors=limits))
    assert not any("/level" in n.name for n in model.graph.node)


def test_a_dead_level_is_left_as_it_is(ranges):
    limits = ranges.tensors | {"p2_large": Range(0.0)}
    model, _ = equalize(two_levels(), Ranges(graph="g", graph_sha256="0", tensors=limits))
    assert not any("/level" in n.name for n in model.graph.node)


def test_two_concatenations_of_one_level_have_a_factor_each(ranges):
    """No rewrite of ours leaves such a graph; another exporter may."""
    model = two_levels()
    nodes = model.graph.node
    place = next(i for i, node in enumerate(nodes) if node.name == "concat:cat")
    second = helper.make_node("Concat", list(nodes[place].input), ["cat2"], "concat:cat2", axis=1)
    nodes.insert(place + 1, second)
    next(node for node in nodes if node.name == "head.b4").input[0] = "cat2"
    x = np.random.default_rng(0).normal(0, 1, (1, 8, 6, 6)).astype(np.float32)
    expected = run(model, x)
    model, _ = equalize(
        model, dataclasses.replace(ranges, tensors=ranges.tensors | {"cat2": Range(0.8)})
    )
    names = [node.name for node in model.graph.node]
    assert len(set(names)) == len(names)
    np.testing.assert_allclose(run(model, x), expected, rtol=1e-5)
