"""Small graphs whose verdicts are known, as a server gets them."""

import dataclasses

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgeseg.cards import InputLimit
from tests.kit.red_graph import CARD, SIDE, red_graph

CHECKED = dataclasses.replace(
    CARD, name="checked", input_check=(InputLimit(name="brightness", high=0.5),)
)


def save_plates(path, *, red=1.0, card=CARD):
    """Write the red graph, whose map is `red` times the red channel."""
    graph = red_graph(card=card)
    (constant,) = (each for each in graph.graph.initializer if each.name == "red")
    scaled = numpy_helper.to_array(constant) * np.float32(red)
    constant.CopyFrom(numpy_helper.from_array(scaled, "red"))
    onnx.save(graph, path)
    return path


def save_checked(path):
    """Write a red graph with an input check, whose score of a black frame is NaN."""
    graph = red_graph(card=CHECKED)
    (score,) = (node for node in graph.graph.node if list(node.output) == ["score"])
    score.output[0] = "largest"
    graph.graph.node.append(helper.make_node("Mul", ["largest", "largest"], ["square"], "square"))
    graph.graph.node.append(helper.make_node("Div", ["square", "largest"], ["score"], "nan"))
    onnx.save(graph, path)
    return path


def plate(level=0, *, whole=False):
    """A frame [1, 16, 16, 3] with a red patch, or all red, of a level."""
    frame = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    frame[0, 2:6, 3:9, 0] = level
    if whole:
        frame[..., 0] = level
    return frame
