"""Tiles in the graph: a frame's picture is cut, all tiles run as one batch, their maps are joined.

    image [N, 3, H, W] -> cut -> [T N, 3, S, S'] -> network -> maps [T N, 1, S, S'] -> join ->
    [N, 1, H, W], where H x W is the grid

Where two tiles overlap, the weight moves linearly from one to the other: next to its edge, where
its network sees the least, a tile counts for almost nothing. Each map is multiplied by the gain of
its tile first (gains.py).

The input check is that of the whole frame: the image as it is before the cut, and the teacher's
mean features over all tiles.

In the batch the tiles of a column follow each other, and the frames of a batch within a tile: two
slices along one axis each make and join all of them.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from edgeseg.frame.geometry import Size
from edgeseg.frame.tiles import Tiles

AT_ONCE = 8
"""Tiles that PyTorch runs at once, which bounds its memory. A graph runs all of them at once."""
Found = tuple[Tensor, Tensor | None, list[Tensor] | None]
"""The anomaly map, another map for the score, the teacher's features."""


class Tiling(nn.Module):
    """Runs a network on tiles of a size; see the module."""

    def __init__(self, tiles: Tiles, size: Size) -> None:
        super().__init__()
        self.tiles = tiles
        self.gains: Tensor | None
        self.score_gains: Tensor | None
        boxes = list(tiles.boxes(size))
        self.down = [box.rows for box in boxes[:: tiles.columns]]
        self.right = [box.columns for box in boxes[: tiles.columns]]
        for axis, shared in zip(("down", "right"), tiles.overlap, strict=True):
            rising = (torch.arange(shared) + 0.5) / max(shared, 1)
            rising = rising[:, None] if axis == "down" else rising
            self.register_buffer(f"rising_{axis}", rising, persistent=False)
        for name, gains in (("gains", tiles.gains), ("score_gains", tiles.score_gains)):
            by_column = None
            if gains:
                table = torch.tensor(gains).reshape(tiles.rows, tiles.columns)
                by_column = table.T.reshape(-1, 1, 1, 1)
            self.register_buffer(name, by_column, persistent=False)

    def forward(self, image: Tensor, network: Callable[[Tensor], Found]) -> Found:
        """[N, C, H, W] -> the maps of the grid, and the mean features [N, C_k, T, 1]."""
        cut = self.cut(image)
        portions = [cut] if torch.compiler.is_exporting() else torch.split(cut, AT_ONCE)
        maps, scored, means = zip(*(_reduced(network(part)) for part in portions), strict=True)
        return (
            self.join(_cat(maps), self.gains),
            None if scored[0] is None else self.join(_cat(scored), self.score_gains),
            None if means[0] is None else self._by_frame(means),
        )

    def features(self, image: Tensor, teacher: Callable[[Tensor], list[Tensor]]) -> list[Tensor]:
        """Return the teacher's mean features of an image, as `forward` does."""
        return self._by_frame(
            [_means(teacher(part)) for part in torch.split(self.cut(image), AT_ONCE)]
        )

    def cut(self, image: Tensor) -> Tensor:
        """[N, C, H, W] -> [T N, C, S, S']."""
        lines = _cat([image[:, :, place] for place in self.down])
        return _cat([lines[:, :, :, place] for place in self.right])

    def join(self, maps: Tensor, gains: Tensor | None = None) -> Tensor:
        """[T N, 1, S, S'] -> [N, 1, H, W]; gains: [T, 1, 1, 1]."""
        if gains is not None:
            shape = maps.shape
            maps = (maps.reshape(len(gains), -1, *shape[2:]) * gains).reshape(shape)
        lines = blend(maps.chunk(self.tiles.columns), self.get_buffer("rising_right"), 3)
        return blend(lines.chunk(self.tiles.rows), self.get_buffer("rising_down"), 2)

    def _by_frame(self, portions: Sequence[list[Tensor]]) -> list[Tensor]:
        """Return means [T N, C_k], in portions, as [N, C_k, T, 1]."""
        levels = (_cat(parts) for parts in zip(*portions, strict=True))
        count = self.tiles.count
        return [x.reshape(count, -1, x.shape[1]).permute(1, 2, 0)[..., None] for x in levels]


def blend(parts: Sequence[Tensor], rising: Tensor, dim: int) -> Tensor:
    """Join tiles along a dimension; rising: weights of the next one where two overlap."""
    shared, side = rising.numel(), parts[0].shape[dim]
    if not shared or len(parts) == 1:
        return _cat(parts, dim)
    pieces = [parts[0].narrow(dim, 0, side - shared)]
    for one, next_one in pairwise(parts):
        tail, head = one.narrow(dim, side - shared, shared), next_one.narrow(dim, 0, shared)
        pieces.append(tail + (head - tail) * rising)
        last = next_one is parts[-1]
        if (alone := side - shared * (1 if last else 2)) > 0:
            pieces.append(next_one.narrow(dim, shared, alone))
    return _cat(pieces, dim)


def _reduced(found: Found) -> tuple[Tensor, Tensor | None, list[Tensor] | None]:
    whole, scored, known = found
    return whole, scored, None if known is None else _means(known)


def _means(known: list[Tensor]) -> list[Tensor]:
    return [level.float().mean(dim=(2, 3)) for level in known]


def _cat(parts: Sequence[Tensor], dim: int = 0) -> Tensor:
    return torch.cat(list(parts), dim) if len(parts) > 1 else parts[0]
