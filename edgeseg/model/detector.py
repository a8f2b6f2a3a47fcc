"""What every detector is: a picture in, an anomaly map out, one teacher inside."""

import torch
from torch import Tensor, nn

from edgeseg.model.contrast import LocalContrast
from edgeseg.model.teacher import Teacher

Maps = Tensor | tuple[Tensor, Tensor]
"""The anomaly map, or that and another one, which the image score is taken from."""


class Detector(nn.Module):
    """[B, 3, S, S], normalized -> anomaly map [B, 1, s, s], higher is more anomalous; s <= S.

    The answer may be two maps: see Maps. The fused graph brings the first to [B, 1, S, S] where it
    is smaller. S is a multiple of 32.
    """

    map_stride = 1
    """S / s."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.teacher = teacher
        self.contrast: LocalContrast | None = None
        """In place of the teacher's mean and deviation, where the training chose it."""
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(teacher.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(teacher.std).view(1, 3, 1, 1))

    def normalize(self, rgb: Tensor) -> Tensor:
        """[B, 3, S, S] in 0..255 -> what teacher and students read."""
        if self.contrast is not None:
            even: Tensor = self.contrast(rgb.float())
            return even
        return (rgb / 255 - self.mean) / self.std
