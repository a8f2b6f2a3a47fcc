"""Convolutions before the upsampling: the same logits to the last row, and what is left alone."""

import numpy as np
import onnx
import pytest
from torch import from_numpy
from torch.nn.functional import interpolate

from edgeseg.export import taps as rewrite
from edgeseg.export.taps import interpolation, taps
from edgeseg.graph.graph import Graph
from edgeseg.graph.modules import node_macs
from tests.kit.hand_made import FLOAT, graph, node
from tests.kit.small_head import answer, features

LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}


@pytest.fixture
def always(monkeypatch):
    """Whatever it costs: these maps are too small for it to be worth while."""
    monkeypatch.setattr(rewrite, "WORTH", 0.0)


def joined(fine, coarse, *, kernel=3, batch=1, sizes=True, resize=None, **attributes):
    """x and an upsampled z into one convolution: what the pass looks for, and nothing else."""
    rng = np.random.default_rng(1)
    attributes = {"pads": [kernel // 2] * 4} | attributes
    scales = ["sizes"] if sizes else []
    scaled = ["", *scales] if sizes else ["scales"]
    nodes = [
        node("Resize", ["z", "", *scaled], "up", "resize", **(LINEAR | (resize or {}))),
        node("Concat", ["x", "up"], "c", "concat", axis=1),
        node("Conv", ["c", "weight", "bias"], "logits", "conv", **attributes),
    ]
    constants = {
        "sizes": np.array([batch, 6, *fine]),
        "scales": np.array([1, 1, fine[0] / coarse[0], fine[1] / coarse[1]], np.float32),
        "weight": rng.normal(size=(5, 8, kernel, kernel)).astype(np.float32),
        "bias": rng.normal(size=5).astype(np.float32),
    }
    inputs = {"x": (FLOAT, [batch, 2, *fine]), "z": (FLOAT, [batch, 6, *coarse])}
    return graph(nodes, constants=constants, inputs=inputs, outputs={"logits": (FLOAT, None)})


def fed(fine, coarse, batch=1):
    rng = np.random.default_rng(2)
    shapes = {"x": (batch, 2, *fine), "z": (batch, 6, *coarse)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize(("fine", "coarse"), [(8, 4), (8, 2), (12, 3), (10, 4), (5, 3), (4, 1)])
def test_the_matrix_is_pytorchs_interpolation(fine, coarse):
    line = np.random.default_rng(0).normal(size=coarse).astype(np.float32)
    expected = interpolate(from_numpy(line)[None, None], fine, mode="linear")[0, 0].numpy()
    np.testing.assert_allclose(interpolation(fine, coarse, 1) @ line, expected, atol=1e-6)


def test_the_matrix_of_three_taps_by_hand():
    """Two values on four places are 1, 3/4 : 1/4, 1/4 : 3/4, 1; the outer taps read one zero."""
    plain = np.array([[4, 0], [3, 1], [1, 3], [0, 4]]) / 4
    zero = np.zeros((1, 2))
    left, right = np.vstack([zero, plain[:-1]]), np.vstack([plain[1:], zero])
    expected = np.stack([left, plain, right], axis=2).reshape(4, 6)
    np.testing.assert_array_equal(interpolation(4, 2, 3), expected)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(
    ("fine", "coarse"), [((8, 8), (4, 4)), ((8, 12), (2, 3)), ((7, 5), (3, 2)), ((4, 6), (1, 1))]
)
def test_every_position_of_every_size(always, fine, coarse, kernel):
    model = joined(fine, coarse, kernel=kernel, batch=2)
    feeds = fed(fine, coarse, 2)
    rewritten = taps(model)
    assert "Resize" not in {n.op_type for n in rewritten.graph.node}
    before, after = answer(model, feeds), answer(rewritten, feeds)
    assert before.std() > 1
    np.testing.assert_allclose(after, before, atol=1e-4)


def test_the_head_answers_the_same(always, head):
    """Both levels, both convolutions; the border by itself, where the taps read zeros."""
    side, model = head
    rewritten = taps(model)
    moved = {n.name.split("/taps/")[0] for n in rewritten.graph.node if "/taps/" in n.name}
    assert moved == {"head.blocks.0.conv1", "head.blocks.0.downsample.0"}
    assert "Resize" not in {n.op_type for n in rewritten.graph.node}
    feeds = features(side, side)
    before, after = answer(model, feeds)[0, 0], answer(rewritten, feeds)[0, 0]
    assert before.std() > 1e-2
    rows, columns = slice(None), slice(None)
    borders = [(0, columns), (-1, columns), (rows, 0), (rows, -1)]
    for area in [*borders, (slice(1, -1), slice(1, -1))]:
        np.testing.assert_allclose(after[area], before[area], atol=1e-5)


def test_only_what_is_worth_while_is_moved():
    """Where the map is small beside its channels: 6 channels are too few, 600 are enough."""
    assert taps(few := joined((16, 16), (4, 4))) is few
    model = joined((16, 16), (4, 4))
    wide = np.random.default_rng(1).normal(size=(5, 602, 3, 3)).astype(np.float32)
    for constant in model.graph.initializer:
        if constant.name == "weight":
            constant.CopyFrom(onnx.numpy_helper.from_array(wide, "weight"))
        elif constant.name == "sizes":
            constant.CopyFrom(onnx.numpy_helper.from_array(np.array([1, 600, 16, 16]), "sizes"))
    model.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 600
    del model.graph.value_info[:]
    rewritten = taps(onnx.shape_inference.infer_shapes(model))
    macs = node_macs(Graph(rewritten))
    assert macs["conv"] == 2 * 5 * 9 * 16 * 16
    assert macs["conv/taps/0"] == 600 * 5 * 9 * 4 * 4
    products = (macs["conv/taps/0/wide"], macs["conv/taps/sum"])
    assert products == (5 * 3 * 4 * 16 * 12, 5 * 16 * 16 * 12)


@pytest.mark.parametrize(
    "other",
    [
        {"strides": [2, 2]},
        {"dilations": [2, 2], "pads": [2] * 4},
        {"pads": [0] * 4},
        {"resize": {"coordinate_transformation_mode": "align_corners"}},
        {"resize": {"mode": "nearest"}},
        {"resize": {"antialias": 1}},
        {"sizes": False},
    ],
    ids=str,
)
def test_another_convolution_or_resize_is_left_alone(always, other):
    model = joined((8, 8), (4, 4), **other)
    assert taps(model) is model


def test_a_resize_that_others_read_stays(always):
    model = joined((8, 8), (4, 4))
    model.graph.node.append(node("Relu", ["up"], "second", "other"))
    model.graph.output.append(onnx.helper.make_tensor_value_info("second", FLOAT, None))
    rewritten = taps(onnx.shape_inference.infer_shapes(model))
    assert [n.name for n in rewritten.graph.node if n.op_type == "Resize"] == ["resize"]
    feeds = fed((8, 8), (4, 4))
    np.testing.assert_allclose(answer(rewritten, feeds), answer(model, feeds), atol=1e-4)


@pytest.mark.parametrize(("worth", "moved"), [(1.2, 2), (1.3, 0)])
def test_what_reads_one_concatenation_decides_together(monkeypatch, worth, moved):
    """Saved for each one spent: 1.35 for the 3x3 alone, 0.75 for the 1x1, 1.25 for both."""
    monkeypatch.setattr(rewrite, "WORTH", worth)
    model = joined((8, 8), (4, 4))
    weight = np.random.default_rng(3).normal(size=(5, 8, 1, 1)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weight, "one"))
    model.graph.node.append(node("Conv", ["c", "one"], "second", "skip"))
    model.graph.output.append(onnx.helper.make_tensor_value_info("second", FLOAT, None))
    rewritten = taps(onnx.shape_inference.infer_shapes(model))
    assert sum(n.name.endswith("/taps/add") for n in rewritten.graph.node) == moved
    assert ("Resize" in {n.op_type for n in rewritten.graph.node}) == (not moved)
