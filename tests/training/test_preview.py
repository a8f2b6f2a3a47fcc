"""The preview of the synthetic anomalies."""

from types import SimpleNamespace

import numpy as np

from edgeseg.data.images import read_image
from edgeseg.training.preview import COLUMNS, TILE, write_preview


class Triples:
    """Batches of a network that sees wide images."""

    config = SimpleNamespace(seed=0, corrupts=(True,))
    images = range(3)
    mixer = None

    def triple(self, place, rng, *, corrupt):
        clean = np.full((32, 64, 3), 10 * place, np.uint8)
        mask = np.zeros((32, 64), bool)
        mask[8:24, 8:24] = True
        return clean, np.full_like(clean, 200), mask


def test_the_preview_shows_good_corrupted_and_mask_and_does_not_stretch(tmp_path):
    picture = read_image(write_preview(tmp_path / "preview.png", Triples()))
    assert picture.shape == (3 * TILE // 2, COLUMNS * TILE, 3)
    good, corrupted, mask = np.split(picture, 3)
    assert good[0, TILE + 1, 0] == 10 and (corrupted == 200).all()
    marked = np.argwhere(mask[:, :TILE, 0] > 127)
    assert np.ptp(marked[:, 0]) == np.ptp(marked[:, 1]), "a square of the image stays a square"
