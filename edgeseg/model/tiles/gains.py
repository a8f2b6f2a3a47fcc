"""What makes the maps of all tiles comparable: a gain for each, from good images.

A tile with an edge, a screw or a reflection has higher values on good parts than a plain one, and
one threshold for the frame would be that of the worst tile. So each tile has limits of its own: its
map is multiplied by the mean peak of all tiles over its own mean peak, and the thresholds of the
frame then suit all of them. A peak is the highest value of a good image in the tile, where it is
inspected; for the image score, the mean of as many values as the score averages.

The images are those of the training: on them the order of the tiles is that of other good images,
and the held-out images, which the thresholds come from, stay unseen. A gain is at most LARGEST and
at least its inverse: a tile of nothing but background would else be all noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeseg.data.frames import evenly
from edgeseg.data.images import Image
from edgeseg.frame.geometry import Box
from edgeseg.frame.tiles import Tiles
from edgeseg.log import log
from edgeseg.model.fused import Fused
from edgeseg.progress import task

LARGEST = 3.0
FEWEST, MOST, TILES = 10, 100, 1000
"""Images that are measured: about as many as have TILES tiles, within these bounds."""

Peaks = NDArray[np.float64]


def gains_images(count: int, tiles: Tiles | None) -> int:
    """Return how many of a number of good images are measured."""
    return min(count, max(FEWEST, min(MOST, TILES // tiles.count))) if tiles else 0


@torch.no_grad()
def fit_gains(module: Fused, count: int, picture: Callable[[int], Image]) -> Tiles:
    """Return the tiles of a module with gains.

    count: of good images; picture: place -> the grid of one, uint8 [H, W, 3].
    """
    tiling = module.tiling
    assert tiling is not None, "there are no tiles"
    boxes = [_inside(box, module.content) for box in tiling.tiles.boxes(module.network_size)]
    places = evenly(count, gains_images(count, tiling.tiles))
    device = next(module.buffers()).device
    peaks, scores = [], []
    with task("tiles", len(places)) as bar:
        for place in places:
            image = torch.from_numpy(np.ascontiguousarray(picture(int(place)))).permute(2, 0, 1)
            whole, scored, _ = tiling(image[None].float().to(device), module.found)
            if inspected := module.inspected:
                whole = inspected(whole)
                scored = None if scored is None else inspected(scored)
            peaks.append(_peaks(whole, boxes, 1))
            scores.append(_peaks(whole if scored is None else scored, boxes, module.top))
            bar.advance()
    gains = gains_of(np.array(peaks))
    # Where one map serves both, it has one gain: that of its peaks.
    own = scored is not None
    log.info(f"gains of the tiles: {min(gains):.2f} to {max(gains):.2f}")
    return replace(tiling.tiles, gains=gains, score_gains=gains_of(np.array(scores)) if own else ())


def gains_of(peaks: Peaks) -> tuple[float, ...]:
    """Return the gains of T tiles from the peaks [n, T] of good images."""
    means = peaks.mean(axis=0)
    seen = means > 0
    if not seen.any():
        return (1.0,) * len(means)
    gains = np.where(seen, means[seen].mean() / np.where(seen, means, 1.0), 1.0)
    return tuple(np.clip(gains, 1 / LARGEST, LARGEST).round(4).tolist())


def _peaks(whole: Tensor, boxes: Sequence[Box | None], top: int) -> list[float]:
    """Return the mean of the `top` highest values of each box in a map [1, 1, H, W]."""
    found = []
    for box in boxes:
        if box is None:
            found.append(0.0)
            continue
        values = whole[0, 0, box.rows, box.columns].flatten()
        found.append(float(values.topk(min(top, prod(box.size))).values.mean()))
    return found


def _inside(box: Box, content: Box) -> Box | None:
    """Return the part of a tile that shows the frame."""
    top, left = max(box.top, content.top), max(box.left, content.left)
    bottom = min(box.top + box.height, content.top + content.height)
    right = min(box.left + box.width, content.left + content.width)
    return Box(top, left, bottom - top, right - left) if bottom > top and right > left else None
