"""Blocks: which nodes change their precision together."""

import pytest
from onnx import helper

from edgeseg.graph.blocks import block_name, blocks_of
from edgeseg.graph.files import read_graph
from edgeseg.quantize.fp16 import half_nodes


@pytest.mark.parametrize(
    ("path", "block"),
    [
        ("teacher.encoder.conv1", "teacher.encoder.conv1"),
        ("teacher.encoder.layer2.0.downsample.0", "teacher.encoder.layer2.0"),
        ("teacher.encoder.blocks.3.10.conv_dw", "teacher.encoder.blocks.3.10"),
        ("student.ends.1", "student.ends.1"),
        ("head.aspp.0.views.2.0", "head.aspp.0"),
    ],
)
def test_a_block_ends_at_the_first_run_of_numbers(path, block):
    assert block_name(path) == block


def graph(*nodes):
    """Nodes from `name: inputs -> output`."""
    made = []
    for line in nodes:
        name, _, flow = line.partition(": ")
        sources, _, target = flow.partition(" -> ")
        made.append(helper.make_node("Any", sources.split(), [target], name))
    return helper.make_model(helper.make_graph(made, "test", [], []))


def divided(model, *left_out):
    among = frozenset(node.name for node in model.graph.node) - set(left_out)
    return {block.name: set(block.nodes) for block in blocks_of(model, among)}


def test_a_sum_belongs_to_the_later_of_its_branches():
    model = graph("a.0.conv: x -> x1", "relu: x1 -> x2", "a.1.conv: x2 -> x3", "add: x2 x3 -> x4")
    assert divided(model) == {"a.0": {"a.0.conv", "relu"}, "a.1": {"a.1.conv", "add"}}


def test_what_has_no_path_before_it_belongs_to_the_one_behind():
    model = graph("island: x -> x1", "resize: x1 -> x2", "cat: x2 -> x3", "a.0.conv: x3 -> x4")
    assert divided(model, "island") == {"a.0": {"resize", "cat", "a.0.conv"}}


def test_a_block_ends_where_a_node_is_left_out():
    model = graph("a.0.conv: x -> x1", "norm: x1 -> x2", "resize: x2 -> x3", "b.0.conv: x3 -> x4")
    assert divided(model, "norm") == {"a.0": {"a.0.conv"}, "b.0": {"resize", "b.0.conv"}}


def test_a_node_that_reaches_no_path_is_in_no_block():
    assert divided(graph("a.0.conv: x -> x1", "lost: y -> z")) == {"a.0": {"a.0.conv"}}


def test_the_whole_model_is_divided(exported):
    model = read_graph(exported.graph)[0]
    half = half_nodes(model)
    blocks = blocks_of(model, half)
    names = [block.name for block in blocks]
    assert names[:3] == ["resize.parts.0", "teacher.encoder.conv1", "teacher.encoder.layer1.0"]
    assert names[-1] == "head.aspp.4"
    assert len(names) == len(set(names)) == 30
    assert sum(len(block.nodes) for block in blocks) == len(half)
    assert frozenset().union(*(block.nodes for block in blocks)) == half
