"""How large the numbers get that FP16 has to hold."""

import dataclasses

import numpy as np
import onnx
import pytest

from edgeseg.quantize.ranges import Peak, largest


def test_the_largest_magnitude_of_any_frame_and_node(tenfold, graph_card):
    card = dataclasses.replace(graph_card, frame_shape=(1, 1, 4, 4))
    frames = [np.full((1, 1, 4, 4), level, np.uint8) for level in (1, 7, 3)]
    assert largest(tenfold, card, frozenset({"conv0", "conv1"}), frames) == Peak("conv1", 700.0)
    peak = largest(tenfold, card, frozenset({"conv0", "conv3"}), frames)
    assert peak == Peak("conv3", 70000.0)
    assert not peak.fits
    assert [o.name for o in tenfold.graph.output] == ["y"]


@pytest.mark.parametrize(
    ("value", "fits"), [(65504.0, True), (65505.0, False), (np.inf, False), (np.nan, False)]
)
def test_half_ends_at_65504(value, fits):
    assert Peak("node", value).fits is fits


def test_the_graphs_own_outputs_may_be_watched_too(tenfold, graph_card):
    model = onnx.ModelProto()
    model.CopyFrom(tenfold)
    frames = [np.ones((1, 1, 4, 4), np.uint8)]
    assert largest(model, graph_card, frozenset({"conv0"}), frames).value == 10.0
