"""Whether a frame is a picture of the trained part: K numbers beside the score.

    brightness   mean gray value, 0 to 1
    contrast     deviation of the gray values, as a share of the brightness
    sharpness    log of the mean difference of diagonal neighbors
    red, blue    mean of the channel minus that of green, as a share of the brightness
    layout       log of the distance of brightness, contrast and sharpness in 4 x 4 cells
    features     log of the distance of the teacher's mean features at its three levels

A distance is that of Mahalanobis to good images, with a covariance that is shrunk towards its
diagonal (Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance matrices,
2004), divided by the number of dimensions. The students have no part in it, so that all good images
can be used to find its limits (fit_check.py).

Everything is FP32: a mean over a map loses its digits in FP16. There is no convolution, whose type
and ranges a lower precision would change.
"""

import torch
from torch import Tensor, nn

COLUMNS = ("brightness", "contrast", "sharpness", "red", "blue", "layout", "features")
CELLS = 4  # in each direction
SMALL = 1e-3  # keeps the log of a distance finite
FLOOR = 1.0  # gray level: below it there is the noise of the camera, and the rounding to bytes


class Distance(nn.Module):
    """[B, D] -> [B, 1], the log of the squared distance to good images, per dimension."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.whitening: Tensor
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("whitening", torch.eye(dimensions))

    def forward(self, x: Tensor) -> Tensor:
        white = (x - self.mean) @ self.whitening
        distance: Tensor = ((white * white).mean(dim=1, keepdim=True) + SMALL).log()
        return distance


class InputCheck(nn.Module):
    """The input check, on the network's image and the teacher's features.

    channels: of the teacher's levels; size: (height, width) of the image.
    """

    def __init__(self, channels: list[int], size: tuple[int, int]) -> None:
        super().__init__()
        self.layout = Distance(3 * CELLS**2)
        self.features = Distance(sum(channels))
        height, width = size
        for name, length in (("rows", height), ("columns", width)):
            matrix = averages(length)
            self.register_buffer(name, matrix, persistent=False)
            self.register_buffer(f"cell_{name}", (matrix > 0).float().T, persistent=False)
            self.register_buffer(f"inner_{name}", averages(length - 1), persistent=False)

    def forward(self, rgb: Tensor, levels: list[Tensor]) -> Tensor:
        """rgb float32 [B, 3, H, W] in 0..255, levels [B, C_k, h_k, w_k] -> float32 [B, K]."""
        plain, cells, pooled = self.measure(rgb, levels)
        return torch.cat([plain, self.layout(cells), self.features(pooled)], dim=1)

    def measure(self, rgb: Tensor, levels: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is compared: the plain columns [B, 5], and the two vectors [B, D]."""
        gray = rgb.mean(dim=1)
        light = self._cells(gray)
        # Not E[x^2] - E[x]^2, which loses all digits where a frame is bright and smooth.
        apart = gray - self._spread(light)
        light, squares = light.flatten(1), self._cells(apart * apart).flatten(1)
        steep = (gray[:, 1:, 1:] - gray[:, :-1, :-1]).abs() + (
            gray[:, 1:, :-1] - gray[:, :-1, 1:]
        ).abs()
        rows, columns = self.get_buffer("inner_rows"), self.get_buffer("inner_columns")
        sharp = (rows @ steep @ columns.T).flatten(1)
        mean = light.mean(dim=1, keepdim=True)
        between = light - mean
        spread = (squares + between * between).mean(dim=1, keepdim=True).sqrt()
        color = rgb.mean(dim=(2, 3))
        red, green, blue = (color[:, k : k + 1] for k in range(3))
        base = mean + FLOOR
        plain = torch.cat(
            [
                mean / 255,
                spread / base,
                (sharp.mean(dim=1, keepdim=True) + FLOOR).log(),
                (red - green) / base,
                (blue - green) / base,
            ],
            dim=1,
        )
        cells = torch.cat([light, squares.sqrt(), sharp], dim=1)
        pooled = torch.cat([level.float().mean(dim=(2, 3)) for level in levels], dim=1)
        return plain, (cells + FLOOR).log(), pooled

    def _cells(self, gray: Tensor) -> Tensor:
        """[B, H, W] -> [B, CELLS, CELLS], the mean of each cell."""
        rows, columns = self.get_buffer("rows"), self.get_buffer("columns")
        return rows @ gray @ columns.T

    def _spread(self, cells: Tensor) -> Tensor:
        """[B, CELLS, CELLS] -> [B, H, W], for each pixel the value of its cell."""
        rows, columns = self.get_buffer("cell_rows"), self.get_buffer("cell_columns")
        return rows @ cells @ columns.T


def averages(length: int) -> Tensor:
    """Return the matrix that averages `length` pixels to the cells, [CELLS, length]."""
    cell = torch.arange(length) * CELLS // length
    inside = (cell[None, :] == torch.arange(CELLS)[:, None]).float()
    return inside / inside.sum(dim=1, keepdim=True).clamp_min(1)
