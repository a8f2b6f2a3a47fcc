"""The base class of the detectors: an image in, an anomaly map out, one teacher inside."""

import torch
from torch import Tensor, nn

from edgeseg.model.contrast import LocalContrast
from edgeseg.model.input_check import InputCheck
from edgeseg.model.teacher import Teacher

Maps = Tensor | tuple[Tensor, Tensor]
"""The anomaly map; or the map and another one, from which the image score is computed."""


class Detector(nn.Module):
    """[B, 3, S, S'], normalized -> anomaly map [B, 1, s, s'], higher is more anomalous.

    `forward` takes the teacher's features as `known`, if the caller has them.

    Two maps may be returned: see Maps. The fused graph enlarges the first to [B, 1, S, S']. S and
    S' are multiples of 32.
    """

    map_stride = 1
    """S / s and S' / s'."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.teacher = teacher
        self.contrast: LocalContrast | None = None
        """Replaces the teacher's mean and standard deviation, if set."""
        self.check: InputCheck | None = None
        """Fitted after the training; None in runs without one."""
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(teacher.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(teacher.std).view(1, 3, 1, 1))

    def normalize(self, rgb: Tensor) -> Tensor:
        """[B, 3, S, S'] in 0..255 -> the input of teacher and students."""
        if self.contrast is not None:
            normalized: Tensor = self.contrast(rgb.float())
            return normalized
        return (rgb / 255 - self.mean) / self.std
