"""Local contrast normalization of the network input, against uneven lighting.

Source: Jarrett et al., What is the Best Multi-Stage Architecture for Object Recognition?, ICCV
2009, section 2.1, over the grey values: all three channels share one mean and one deviation, so
that colors keep their relation to their surroundings.
"""

import torch
from torch import Tensor, nn

from edgeseg.data.images import blur_matrix
from edgeseg.frame.geometry import Size

FLOOR = 2.0  # gray levels: keeps the sensor noise of a smooth surface small


class LocalContrast(nn.Module):
    """[B, 3, S, S'] in 0..255 -> [B, 3, S, S'] with a local mean near 0 and a deviation near 1.

    size: (S, S'); sigma: of the Gaussian, in pixels.
    """

    def __init__(self, size: Size, sigma: float) -> None:
        super().__init__()
        self.rows: Tensor
        self.columns: Tensor
        for axis, side in zip(("rows", "columns"), size, strict=True):
            blur = torch.from_numpy(blur_matrix(side, sigma))
            self.register_buffer(axis, blur, persistent=False)

    def forward(self, rgb: Tensor) -> Tensor:
        mean = self._around(rgb.mean(dim=1, keepdim=True))
        apart = rgb - mean
        grey = apart.mean(dim=1, keepdim=True)
        # Not E[x^2] - E[x]^2, which loses all digits where a surface is bright and smooth.
        deviation = (self._around(grey * grey) + FLOOR**2).sqrt()
        return apart / deviation

    def _around(self, x: Tensor) -> Tensor:
        """Return the Gaussian mean around each pixel: [B, 1, S, S']."""
        with torch.autocast(x.device.type, enabled=False):
            around: Tensor = self.rows @ x @ self.columns.T
        return around
