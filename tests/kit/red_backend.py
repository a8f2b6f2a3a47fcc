"""A backend and images for tests of the evaluation: the anomaly map is the red channel, 0 to 1."""

import numpy as np

from edgeseg.data.images import write_png
from tests.kit.cards import make_card
from tests.kit.fakes import RedBackend

SIDE = 16


class PlateBackend(RedBackend):
    """A RedBackend for RGB frames of 16 x 16, the size of the map; score: mean of the highest 4."""

    def __init__(self, batch=1, **changes):
        known = {"name": "plates", "image_threshold": 0.5, "training": {"top": 4}}
        size = {"batch": batch, "frame_format": "rgb", "side": SIDE}
        super().__init__(make_card(SIDE, SIDE, **size, **known | changes))

    def run(self):
        super().run()
        values = self._slot.anomaly_map.reshape(len(self._slot.score), -1)
        self._slot.score[:] = np.sort(values)[:, -4:].mean(1)


def write_image(path, red, where=(slice(0, 4), slice(0, 4)), side=SIDE):
    """Write a blue image with one patch of the given red, 0 to 255."""
    image = np.zeros((side, side, 3), np.uint8)
    image[..., 2] = 200
    image[(*where, 0)] = red
    write_png(path, image)
    return path
