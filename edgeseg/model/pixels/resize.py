"""A frame's bytes to the picture that the network sees, resized as in training.

    frame uint8 [N, rows, columns, C]  ->  RGB float32 [N, 3, h, w] in 0..255

Two products make every plane of a format (`data/formats/planes.py`). First the rows: a row of a
frame is a line of bytes, whatever they mean, and each byte is read once. Then the columns, on the
few rows that are left. Both leave parts of sums, which are added at the end, where the data is
smallest. No sum has more terms than a window of the resize, and no value exceeds 255, so that
little is lost in FP16 (`quantize/fp16.py`).
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from edgeseg.data.formats.planes import Planes
from edgeseg.model.pixels.band import Band, TurnedBand
from edgeseg.model.pixels.blocks import Indices, reduced


class FrameResize(nn.Module):
    """One frame format and size; see the module."""

    def __init__(self, planes: Planes) -> None:
        super().__init__()
        sets, self.height, self.lines = planes.rows.shape
        self.lanes, self.width, self.line = planes.columns.shape
        rows = reduced(planes.rows.reshape(sets * self.height, self.lines))
        columns = reduced(planes.columns.reshape(self.lanes * self.width, self.line))
        self.padding = columns.padding, rows.padding
        turned = columns.weights.transpose(0, 2, 1).copy()
        self.columns = TurnedBand(turned, first=columns.first, second=columns.second)
        slots = rows.weights.shape[0] * rows.weights.shape[1]
        places = [
            None if index is None else _of_planes(index.reshape(sets, -1), slots, planes.pairs)
            for index in (rows.first, rows.second)
        ]
        self.rows = Band(rows.weights, first=places[0], second=places[1])
        self.color: Tensor | None
        self.low: Tensor | None
        self.bias: Tensor | None
        for name in ("color", "low", "bias"):
            values = getattr(planes, name)
            by_plane = None if values is None else torch.tensor(values.reshape(len(values), -1))
            self.register_buffer(name, by_plane, persistent=False)

    def forward(self, frame: Tensor) -> Tensor:
        n = len(frame)
        x = frame.float().reshape(n, self.lines, self.line)
        if any(self.padding):
            x = pad(x, (0, self.padding[0], 0, self.padding[1]))
        line = x.shape[2]
        x = self.rows(x.reshape(n, self.rows.blocks, -1, line))
        x = x.reshape(-1, self.columns.blocks, line // self.columns.blocks).transpose(0, 1)
        x = self.columns(x)  # [blocks, N * slots of the rows, slots]
        x = self.columns.picked(x.transpose(1, 2).flatten(0, 1), 0)
        x = x.reshape(self.lanes, self.width, -1).transpose(1, 2)
        x = x.reshape(self.lanes, n, -1, self.width).transpose(0, 1).flatten(1, 2)
        x = self.rows.picked(x, 1)  # [N, planes * h, w]
        return self._rgb(x.reshape(n, -1, self.height, self.width))

    def _rgb(self, planes: Tensor) -> Tensor:
        if self.color is None:
            return planes if planes.shape[1] == 3 else planes.expand(-1, 3, -1, -1)
        flat = planes.flatten(2)
        if self.low is not None:
            flat = torch.maximum(flat, self.low)
        rgb = self.color @ flat
        if self.bias is not None:
            rgb = (rgb + self.bias).clamp(0, 255)
        return rgb.reshape(len(planes), 3, self.height, self.width)


def _of_planes(rows: Indices, slots: int, pairs: tuple[tuple[int, int], ...]) -> Indices:
    """Return where the rows of each plane lie, of all lanes with `slots` each: [planes * h]."""
    return np.concatenate([rows[one] + lane * slots for one, lane in pairs])
