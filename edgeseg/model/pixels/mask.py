"""The anomaly map at the size of the frame, compared with the threshold.

    map float32 [N, 1, h, w], threshold float32 [1]  ->  mask uint8 [N, H, W], 0 or 255

The map is enlarged bilinearly, first the columns and then the rows, by products in blocks
(blocks.py): CPU runtimes resize a single channel several times slower.

The threshold is subtracted first, where the map is small, and the difference multiplied by 2^100.
What is enlarged then is either 0 or far beyond 255, so clipping to bytes is the comparison, in one
pass over the frame's pixels instead of three. (A map above 1e8 would overflow.)
"""

import torch
from torch import Tensor, nn

from edgeseg.data.images import sampling_matrix
from edgeseg.frame.geometry import Size
from edgeseg.model.pixels.band import Band, TurnedBand
from edgeseg.model.pixels.blocks import windowed

STEEP = 2.0**100


class FrameMask(nn.Module):
    """One size of maps and frames; of equal sizes nothing is enlarged."""

    def __init__(self, size: Size, frame_size: Size) -> None:
        super().__init__()
        self.size, self.frame_size = size, frame_size
        rows, columns = (
            windowed(sampling_matrix(*sides)) for sides in zip(size, frame_size, strict=True)
        )
        self.rows = Band(rows.weights, places=rows.places)
        turned = columns.weights.transpose(0, 2, 1).copy()
        self.columns = TurnedBand(turned, places=columns.places)

    def forward(self, x: Tensor, threshold: Tensor, inside: Tensor | None = None) -> Tensor:
        """inside: bool [1, H, W], where the mask may be other than 0."""
        # Scalars: a new tensor would be a copy from the host, which waits and cannot be captured.
        x = (x.squeeze(1) - threshold) * STEEP
        if self.size != self.frame_size:
            x = self._enlarged(x)
        x = x.clamp(0.0, 255.0)
        return (x if inside is None else torch.where(inside, x, 0.0)).byte()

    def _enlarged(self, x: Tensor) -> Tensor:
        n, height, _ = x.shape
        x = x.flatten(0, 1).index_select(1, self.columns.get_buffer("places"))
        x = x.reshape(n * height, self.columns.blocks, -1).transpose(0, 1)
        x = self.columns(x).transpose(0, 1).reshape(n, height, -1)
        x = x[:, :, : self.frame_size[1]] if x.shape[2] > self.frame_size[1] else x
        x = x.index_select(1, self.rows.get_buffer("places"))
        x = self.rows(x.reshape(n, self.rows.blocks, -1, x.shape[2])).flatten(1, 2)
        return x[:, : self.frame_size[0]] if x.shape[1] > self.frame_size[0] else x
