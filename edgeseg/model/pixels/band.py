"""A product with a banded matrix that was cut into blocks (blocks.py), as a module.

`exporter/trace.py` names the products of the graph after these modules: `resize.parts.0.rows`,
`mask.columns`. The names tell them from all other products.
"""

import torch
from torch import Tensor, nn

from edgeseg.data.images import Weights
from edgeseg.model.pixels.blocks import Indices


class Band(nn.Module):
    """The matrices of the blocks, [blocks, m, k], and the indices that picked or will pick."""

    def __init__(self, weights: Weights, **indices: Indices | None) -> None:
        super().__init__()
        self.band: Tensor
        self.first: Tensor
        self.second: Tensor | None
        self.register_buffer("band", torch.from_numpy(weights), persistent=False)
        self.blocks = len(weights)
        for name, index in indices.items():
            values = None if index is None else torch.from_numpy(index.copy())
            self.register_buffer(name, values, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., blocks, k, n] -> [..., blocks, m, n]."""
        return torch.matmul(self.band, x)

    def picked(self, x: Tensor, dim: int) -> Tensor:
        """Return the sums along a dimension: of its slots `first`, and `second` where given."""
        sums = x.index_select(dim, self.first)
        return sums if self.second is None else sums + x.index_select(dim, self.second)


class TurnedBand(Band):
    """The same from the right: [blocks, n, k] @ [blocks, k, m]."""

    def forward(self, x: Tensor) -> Tensor:
        """[blocks, n, k] -> [blocks, n, m]."""
        return torch.matmul(x, self.band)
