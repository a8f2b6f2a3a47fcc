"""The two losses of DeSTSeg: cosine distance for the student, focal and L1 for the head.

Source: Zhang et al., CVPR 2023, Eq. (2)-(7).
"""

from torch import Tensor
from torch.nn.functional import interpolate, logsigmoid

from edgeseg.model.agreement import unit


def cosine_loss(teacher: list[Tensor], student: list[Tensor]) -> Tensor:
    """Cosine distance, Eq. (3) and (4): mean over positions, summed over levels **and images**.

    teacher, student: [B, C_k, h_k, w_k], k = 0, 1, 2. The paper's learning rate of 0.4 belongs to
    a sum over the batch, as the authors' code has it; with a mean the student hardly learns.
    """
    total = teacher[0].new_zeros(())
    for t, s in zip(teacher, student, strict=True):
        distance = 1 - (unit(t) * unit(s)).sum(dim=1)
        total = total + distance.mean(dim=(1, 2)).sum()
    return total


def head_loss(logits: Tensor, mask: Tensor, gamma: float) -> Tensor:
    """Focal loss plus L1, Eq. (5)-(7), mean over positions and images.

    logits [B, 1, h, w]; mask float [B, 1, S, S] in {0, 1}, brought to h x w and cut at 0.5.
    """
    target = shrink(mask, logits.shape[2:])
    sign = 2 * target - 1
    signed = sign * logits.float()  # its sigmoid is p of Eq. (5)
    miss = (-signed).sigmoid()  # 1 - p, which for a binary mask is |M - Y| of Eq. (6)
    focal = -(miss**gamma) * logsigmoid(signed)
    return focal.mean() + miss.mean()


def shrink(mask: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bring a mask [B, 1, S, S] to the map's size: bilinear, not antialiased, then >= 0.5."""
    small = interpolate(mask, tuple(size), mode="bilinear", align_corners=False)
    return (small >= 0.5).float()
