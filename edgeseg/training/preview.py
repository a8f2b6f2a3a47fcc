"""A preview of the synthetic anomalies, written before training starts."""

from pathlib import Path

import cv2
import numpy as np

from edgeseg.data.images import write_png
from edgeseg.training.batches import Batches

TILE = 160  # longest side, pixels
COLUMNS = 8


def write_preview(path: Path, batches: Batches) -> Path:
    """Write a grid of eight good images, their corrupted versions and the masks (rows).

    In every other column a known defect is pasted, if there are any with a mask.
    """
    rng = np.random.default_rng([batches.config.seed, 2])
    corrupt = any(batches.config.corrupts)
    columns = []
    for place in range(COLUMNS):
        clean, corrupted, mask = batches.triple(place % len(batches.images), rng, corrupt=corrupt)
        if (mixer := batches.mixer) and mixer.exact and place % 2:
            defect = mixer.exact[int(rng.integers(len(mixer.exact)))]
            corrupted, mask = mixer.paste(clean, defect, rng)
        white = np.repeat(mask[:, :, None], 3, axis=2).astype(np.uint8) * 255
        height, width = (max(round(n * TILE / max(mask.shape)), 1) for n in mask.shape)
        tiles = [cv2.resize(tile, (width, height)) for tile in (clean, corrupted, white)]
        columns.append(np.vstack(tiles))
    write_png(path, np.hstack(columns).astype(np.uint8))
    return path
