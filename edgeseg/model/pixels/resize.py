"""A frame's bytes to the picture that the network sees, resized as in training.

    frame uint8 [N, rows, columns, C]  ->  RGB float32 [N, 3, h, w] in 0..255

Two products make the planes of a format (`data/formats/planes.py`). First the rows: a row of a
frame is a line of bytes, whatever they mean, and each byte is read once. Then the columns, on the
few rows that are left. Both leave parts of sums, which are added at the end, where the data is
smallest. No sum has more terms than a window of the resize, and no value exceeds 255, so that
little is lost in FP16 (`quantize/fp16.py`).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from edgeseg.data.formats.planes import Part, Planes
from edgeseg.model.pixels.band import Band, TurnedBand
from edgeseg.model.pixels.blocks import reduced


class FrameResize(nn.Module):
    """One frame format and size; see the module."""

    def __init__(self, planes: Planes) -> None:
        super().__init__()
        self.parts = nn.ModuleList(PartResize(part) for part in planes.parts)
        self.color: Tensor | None
        self.low: Tensor | None
        self.bias: Tensor | None
        for name in ("color", "low", "bias"):
            values = getattr(planes, name)
            by_plane = None if values is None else torch.tensor(values.reshape(len(values), -1))
            self.register_buffer(name, by_plane, persistent=False)

    def forward(self, frame: Tensor) -> Tensor:
        lines = frame.float().flatten(2)  # [N, lines, bytes]
        found = [part(lines) for part in self.parts]
        planes = torch.cat(found, dim=1) if len(found) > 1 else found[0]
        if self.color is None:
            return planes if planes.shape[1] == 3 else planes.expand(-1, 3, -1, -1)
        flat = planes.flatten(2)
        if self.low is not None:
            flat = torch.maximum(flat, self.low)
        rgb = self.color @ flat
        if self.bias is not None:
            rgb = (rgb + self.bias).clamp(0, 255)
        return rgb.reshape(len(planes), 3, *planes.shape[2:])


class PartResize(nn.Module):
    """Planes that share their rows: lines [N, lines of the frame, bytes] -> [N, planes, h, w]."""

    def __init__(self, part: Part) -> None:
        super().__init__()
        self.height, self.lines = part.rows.shape
        self.planes, self.width, _ = part.columns.shape
        self.start = part.start
        rows, columns = (
            reduced(part.rows),
            reduced(part.columns.reshape(self.planes * self.width, -1)),
        )
        self.padding = columns.padding, rows.padding
        turned = columns.weights.transpose(0, 2, 1).copy()
        self.columns = TurnedBand(turned, first=columns.first, second=columns.second)
        self.rows = Band(rows.weights, first=rows.first, second=rows.second)

    def forward(self, x: Tensor) -> Tensor:
        n = len(x)
        if self.lines < x.shape[1]:
            x = x[:, self.start : self.start + self.lines]
        if any(self.padding):
            x = pad(x, (0, self.padding[0], 0, self.padding[1]))
        line = x.shape[2]
        x = self.rows(x.reshape(n, self.rows.blocks, -1, line))
        x = x.reshape(-1, self.columns.blocks, line // self.columns.blocks).transpose(0, 1)
        x = self.columns(x)  # [blocks, N * slots of the rows, slots]
        x = self.columns.picked(x.transpose(1, 2).flatten(0, 1), 0)
        x = x.reshape(self.planes, self.width, -1).transpose(1, 2)
        x = x.reshape(self.planes, n, -1, self.width).transpose(0, 1)
        return self.rows.picked(x, 2)
