"""The losses of DeSTSeg's student and head, and of DSKD's two students.

Sources: DeSTSeg, Zhang et al., CVPR 2023, Eq. (2)-(7); DSKD, Yao, Eq. (4)-(7).
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate, logsigmoid

from edgeseg.model.dskd import FeatureLevels, discrepancy
from edgeseg.model.similarity import distance

HIGHEST = 0.02
"""Share of the positions that a defect is among which count as anomalous, without a mask."""


def cosine_loss(teacher: list[Tensor], student: list[Tensor]) -> Tensor:
    """Cosine distance, Eq. (3) and (4): mean over positions, summed over levels **and images**.

    teacher, student: [B, C_k, h_k, w_k], k = 0, 1, 2. The learning rate of 0.4 in the paper is
    for a sum over the batch, as in the released code; with a mean the student hardly learns.
    """
    total = teacher[0].new_zeros(())
    for t, s in zip(teacher, student, strict=True):
        total = total + distance(t, s).mean(dim=(1, 2, 3)).sum()
    return total


def dskd_loss(pairs: list[tuple[FeatureLevels, FeatureLevels]], weight: float) -> Tensor:
    """Eq. (7), summed over the students: mean over positions, levels and images.

    pairs: (target, student), each [B, C_k, h_k, w_k] for k = 0, 1, 2; weight: lambda. The
    gradients of the terms are separate, so minimizing the sum does both updates of Algorithm 1.
    """
    total = pairs[0][0][0].new_zeros(())
    for target, student in pairs:
        levels = zip(target, student, strict=True)
        means = [discrepancy(a, b, weight).mean() for a, b in levels]
        total = total + sum(means) / len(means)
    return total


def head_loss(
    logits: Tensor, mask: Tensor, gamma: float, *, l1: bool = True, among: Tensor | None = None
) -> Tensor:
    """Focal loss plus L1, Eq. (5)-(7), mean over positions and images; without L1, Eq. (5).

    logits [B, 1, h, w]; mask float [B, 1, S, S'] in {0, 1}, resized to h x w (see `shrink`). among:
    float [B, 1, S, S'], 1 where the truth is not known but that a defect is there: of these
    positions, those with the highest logits count as anomalous, and the others not at all.
    """
    target = shrink(mask, logits.shape[2:])
    counted: Tensor | float = 1.0
    if among is not None:
        unknown = shrink(among, logits.shape[2:])
        highest = _highest(logits.detach(), unknown)
        target, counted = torch.maximum(target, highest), 1 - unknown + highest
    sign = 2 * target - 1
    signed = sign * logits.float()  # sigmoid(signed) is p of Eq. (5)
    miss = (-signed).sigmoid()  # 1 - p, equal to |M - Y| of Eq. (6) for a binary mask
    focal = -(miss**gamma) * logsigmoid(signed)
    return ((focal + miss) * counted).mean() if l1 else (focal * counted).mean()


def _highest(values: Tensor, among: Tensor) -> Tensor:
    """Mark the highest values among some positions of each image, float [B, 1, h, w] in {0, 1}."""
    found = torch.zeros_like(among)
    images = zip(values.flatten(1), among.flatten(1), found.flatten(1), strict=True)
    for image, places, marks in images:
        inside = places.nonzero().flatten()
        if len(inside):
            count = max(round(HIGHEST * len(inside)), 1)
            marks[inside[image[inside].topk(count).indices]] = 1.0
    return found


def shrink(mask: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize a mask [B, 1, S, S']: bilinear without antialiasing, then >= 0.5."""
    small = interpolate(mask, tuple(size), mode="bilinear", align_corners=False)
    return (small >= 0.5).float()
