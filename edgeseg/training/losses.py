"""The losses: DeSTSeg's of its student and of its head, and DSKD's of its two students.

Sources: DeSTSeg, Zhang et al., CVPR 2023, Eq. (2)-(7); DSKD, Yao, Eq. (4)-(7).
"""

from torch import Tensor
from torch.nn.functional import interpolate, logsigmoid

from edgeseg.model.dskd import Levels, discrepancy
from edgeseg.model.similarity import distance


def cosine_loss(teacher: list[Tensor], student: list[Tensor]) -> Tensor:
    """Cosine distance, Eq. (3) and (4): mean over positions, summed over levels **and images**.

    teacher, student: [B, C_k, h_k, w_k], k = 0, 1, 2. The paper's learning rate of 0.4 belongs to
    a sum over the batch, as the authors' code has it; with a mean the student hardly learns.
    """
    total = teacher[0].new_zeros(())
    for t, s in zip(teacher, student, strict=True):
        total = total + distance(t, s).mean(dim=(1, 2, 3)).sum()
    return total


def dskd_loss(pairs: list[tuple[Levels, Levels]], weight: float) -> Tensor:
    """Eq. (7), summed over the students: mean over positions, levels and images.

    pairs: (followed, follower), each [B, C_k, h_k, w_k] for k = 0, 1, 2; weight: lambda. Each
    student learns from its own term alone, so that the sum is the two updates of Algorithm 1.
    """
    total = pairs[0][0][0].new_zeros(())
    for followed, follower in pairs:
        levels = zip(followed, follower, strict=True)
        means = [discrepancy(a, b, weight).mean() for a, b in levels]
        total = total + sum(means) / len(means)
    return total


def head_loss(logits: Tensor, mask: Tensor, gamma: float, *, l1: bool = True) -> Tensor:
    """Focal loss plus L1, Eq. (5)-(7), mean over positions and images; without L1, Eq. (5).

    logits [B, 1, h, w]; mask float [B, 1, S, S] in {0, 1}, brought to h x w and cut at 0.5.
    """
    target = shrink(mask, logits.shape[2:])
    sign = 2 * target - 1
    signed = sign * logits.float()  # its sigmoid is p of Eq. (5)
    miss = (-signed).sigmoid()  # 1 - p, which for a binary mask is |M - Y| of Eq. (6)
    focal = -(miss**gamma) * logsigmoid(signed)
    return focal.mean() + miss.mean() if l1 else focal.mean()


def shrink(mask: Tensor, size: tuple[int, ...]) -> Tensor:
    """Bring a mask [B, 1, S, S] to the map's size: bilinear, not antialiased, then >= 0.5."""
    small = interpolate(mask, tuple(size), mode="bilinear", align_corners=False)
    return (small >= 0.5).float()
