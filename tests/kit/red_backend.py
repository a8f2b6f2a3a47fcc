"""A backend with known outputs: the anomaly map is the red channel, 0 to 1."""

import numpy as np

from edgeseg.data.images import write_png
from edgeseg.runtime.base import OnHost
from tests.kit.cards import make_card

SIDE = 16
TOP = 4


class RedBackend(OnHost):
    """Counts runs, and records that it was closed."""

    name = "red 1.0, CPU"

    def __init__(self, batch=1, threshold=0.5, image_threshold=0.5):
        self.card = make_card(
            SIDE,
            SIDE,
            batch=batch,
            frame_format="rgb",
            side=SIDE,
            name="plates",
            threshold=threshold,
            image_threshold=image_threshold,
            training={"top": TOP},
        )
        self.runs = 0
        self.closed = False

    def bind(self, slot):
        self.slot = slot

    def run(self):
        self.runs += 1
        slot = self.slot
        slot.anomaly_map[:] = slot.frame[..., 0] / np.float32(255)
        slot.score[:] = np.sort(slot.anomaly_map.reshape(len(slot.score), -1))[:, -TOP:].mean(1)
        slot.mask[:] = np.where(slot.anomaly_map > slot.threshold, 255, 0)

    def close(self):
        self.closed = True


def write_image(path, red, where=(slice(0, 4), slice(0, 4)), side=SIDE):
    """Write a blue image with one patch of the given red, 0 to 255."""
    image = np.zeros((side, side, 3), np.uint8)
    image[..., 2] = 200
    image[(*where, 0)] = red
    write_png(path, image)
    return path
