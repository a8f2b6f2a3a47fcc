"""DeSTSeg: teacher, denoising student and segmentation head, joined.

Source: Zhang et al., DeSTSeg: Segmentation Guided Denoising Student-Teacher for Anomaly Detection,
CVPR 2023, arXiv:2211.11317.
"""

import torch
from torch import Tensor, nn

from edgeseg.model.agreement import Agreement
from edgeseg.model.head import SegmentationHead
from edgeseg.model.student import Student
from edgeseg.model.teacher import Teacher


class DeSTSeg(nn.Module):
    """[B, 3, S, S], normalized -> anomaly map [B, 1, S/4, S/4] in (0, 1); S a multiple of 32."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.teacher = teacher
        self.student = Student(teacher.channels)
        self.agreement = Agreement()
        self.head = SegmentationHead(sum(teacher.channels))
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(teacher.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(teacher.std).view(1, 3, 1, 1))

    def normalize(self, rgb: Tensor) -> Tensor:
        """[B, 3, S, S] in 0..255 -> what teacher and student read."""
        return (rgb / 255 - self.mean) / self.std

    def logits(self, x: Tensor) -> Tensor:
        """Return the head's output before the sigmoid, [B, 1, S/4, S/4]."""
        agreement = self.agreement(self.teacher(x), self.student(x))
        logits: Tensor = self.head(agreement)
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.logits(x).float().sigmoid()
