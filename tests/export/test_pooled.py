"""The pooled branch as a bias: the same logits at every border, and what is left alone."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from edgeseg.export.pooled import pooled
from edgeseg.graph.graph import Graph
from edgeseg.graph.modules import node_macs
from tests.kit.hand_made import FLOAT, graph, node
from tests.kit.small_head import WIDTH, answer, features

FUSION = "head.aspp.0.fusion.0"


def fusion(height, width, *, batch=1, place=0, constants=None, **attributes):
    """Means m and views v, w into one convolution: what the pass looks for, and nothing else."""
    rng = np.random.default_rng(1)
    parts = ["v", "w"]
    parts.insert(place, "e")
    nodes = [
        node("Expand", ["m", "size"], "e", "expand"),
        node("Concat", parts, "c", "concat", axis=1),
        node("Conv", ["c", "weight", "bias"], "logits", "fusion", **{"pads": [1] * 4} | attributes),
    ]
    shape = [batch, 3, height, width]
    values = {
        "size": np.array(shape),
        "weight": rng.normal(size=(5, 9, 3, 3)).astype(np.float32),
        "bias": rng.normal(size=5).astype(np.float32),
    }
    return graph(
        nodes,
        constants=values | (constants or {}),
        inputs={"m": (FLOAT, [batch, 3, 1, 1]), "v": (FLOAT, shape), "w": (FLOAT, shape)},
        outputs={"logits": (FLOAT, None)},
    )


def fed(height, width, batch=1):
    rng = np.random.default_rng(2)
    shapes = {"m": (batch, 3, 1, 1), "v": (batch, 3, height, width), "w": (batch, 3, height, width)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(("height", "width"), [(2, 2), (2, 5), (3, 3), (7, 4), (24, 40)])
def test_every_position_of_every_size(height, width, place):
    model = fusion(height, width, batch=2, place=place)
    feeds = fed(height, width, 2)
    before, after = answer(model, feeds), answer(pooled(model), feeds)
    assert before.std() > 1
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_corners_edges_and_inside_by_hand():
    """Ones everywhere: 4 taps of 3 channels in a corner, 6 at an edge, 9 inside."""
    ones = {"weight": np.ones((5, 9, 3, 3), np.float32), "bias": np.zeros(5, np.float32)}
    model = pooled(fusion(4, 5, constants=ones))
    feeds = {name: np.full_like(value, name == "m") for name, value in fed(4, 5).items()}
    expected = 3 * np.array([[4, 6, 6, 6, 4], [6, 9, 9, 9, 6], [6, 9, 9, 9, 6], [4, 6, 6, 6, 4]])
    np.testing.assert_array_equal(answer(model, feeds)[0, 0], expected)


def test_the_head_answers_the_same(head):
    """The border by itself: there the nine values differ, and errors would hide in a mean."""
    side, model = head
    feeds = features(side, side)
    before, after = answer(model, feeds)[0, 0], answer(pooled(model), feeds)[0, 0]
    assert before.std() > 1e-2
    rows, columns = slice(None), slice(None)
    borders = [(0, columns), (-1, columns), (rows, 0), (rows, -1)]
    for area in [*borders, (slice(1, -1), slice(1, -1))]:
        np.testing.assert_allclose(after[area], before[area], atol=1e-5)


def test_the_fusion_reads_the_views_alone(head):
    side, model = head
    rewritten = pooled(model)
    weights = {i.name: numpy_helper.to_array(i) for i in rewritten.graph.initializer}
    found = {n.name: n for n in rewritten.graph.node}[FUSION]
    assert weights[found.input[1]].shape == (WIDTH, 3 * WIDTH, 3, 3)
    assert "Expand" not in {n.op_type for n in rewritten.graph.node}
    before, after = node_macs(Graph(model)), node_macs(Graph(rewritten))
    assert before[FUSION] - after[FUSION] == 9 * WIDTH * WIDTH * side * side
    assert sum(after.values()) < sum(before.values())


def test_the_convolutions_keep_their_names(head):
    convolutions = [
        [n.name for n in model.graph.node if n.op_type == "Conv"]
        for model in (head[1], pooled(head[1]))
    ]
    assert convolutions[0] == convolutions[1]


def test_the_graph_that_is_given_stays_as_it_is():
    model = fusion(4, 5)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    assert pooled(model) is not model
    assert model == copy


@pytest.mark.parametrize(
    "other",
    [
        {"strides": [2, 2]},
        {"dilations": [2, 2], "pads": [2] * 4},
        {"pads": [0] * 4},
        {"pads": [1, 0, 1, 0]},
        {"pads": [0] * 4, "auto_pad": "SAME_UPPER"},
        {
            "constants": {
                "weight": np.ones((6, 3, 3, 3), np.float32),
                "bias": np.ones(6, np.float32),
            },
            "group": 3,
        },
        {"constants": {"weight": np.ones((5, 9, 1, 1), np.float32)}, "pads": [0] * 4},
    ],
    ids=str,
)
def test_another_convolution_is_left_alone(other):
    model = fusion(4, 5, **other)
    assert pooled(model) is model


def test_a_map_without_an_inside_row_is_left_alone():
    model = fusion(1, 5)
    assert pooled(model) is model


def test_a_concatenation_with_a_second_reader_is_left_alone():
    model = fusion(4, 5)
    model.graph.node.append(node("Relu", ["c"], "other", "second"))
    assert pooled(model) is model
