"""The depth of 16-bit training images is found before the first step, and goes into the graph."""

import cv2
import numpy as np

from edgeseg.loading import _graph_card
from edgeseg.training.prepare import read_images
from tests.kit.cards import make_run_card


def raw(path, value):
    assert cv2.imwrite(str(path), np.full((40, 40), value, np.uint16))
    return path


def test_training_and_held_out_images_share_one_depth(tmp_path):
    dark, bright = raw(tmp_path / "dark.png", 1000), raw(tmp_path / "bright.tif", 4095)
    images = read_images([dark], [bright], (32, 32), "stretch")
    assert images.bit_depth == 12
    assert {int(level) for level in np.unique(images.pixels[0])} == {62}  # 1000 * 255 / 4095


def test_the_depth_of_the_run_is_that_of_its_graph():
    card = make_run_card(bit_depth=12)
    assert _graph_card(card, "bgr", (1, 48, 64, 3)).bit_depth == 12
