"""Where the student agrees with the teacher: the evidence that the head turns into a mask.

Source: DeSTSeg, Zhang et al., CVPR 2023, Eq. (2) and (3); section 4.5 for the two alternatives.
Axes: B images; h, w the stride-4 grid, 64 x 64 for a 256 x 256 image; C the sum of the widths. A
reading with `halved` is on the stride-8 grid: the finest level is averaged there, 2 x 2 to one.
"""

from torch import Tensor, cat, nn
from torch.linalg import vector_norm
from torch.nn.functional import avg_pool2d

from edgeseg.model.blocks import upsample

EPS = 1e-12  # the authors' value; 0 in float16, so this module stays float32 in every export


class Reading(nn.Module):
    """What the head reads of teacher and student, on one grid."""

    def __init__(self, *, halved: bool = False) -> None:
        super().__init__()
        self.halved = halved

    def joined(self, levels: list[Tensor]) -> Tensor:
        """Concatenate the levels on the grid."""
        finest, *coarser = levels
        if self.halved:
            finest = avg_pool2d(finest, 2)
        return cat([finest, *(upsample(level, finest.shape[2:]) for level in coarser)], dim=1)


class Agreement(Reading):
    """Multiply unit feature vectors, level by level, on the finest grid.

    teacher, student: [B, C_k, h / 2^k, w / 2^k] for k = 0, 1, 2
    returns:          [B, C, h, w] in [-1, 1]; over one level the channels sum to the cosine

    The sign is the authors': the head reads the negated product, so that disagreement is high.
    """

    def forward(self, teacher: list[Tensor], student: list[Tensor]) -> Tensor:
        return self.joined([-unit(t) * unit(s) for t, s in zip(teacher, student, strict=True)])


class Concatenation(Reading):
    """The features themselves, the teacher's and the student's of each level: [B, 2 C, h, w]."""

    def forward(self, teacher: list[Tensor], student: list[Tensor]) -> Tensor:
        return self.joined([cat([t, s], dim=1) for t, s in zip(teacher, student, strict=True)])


class CosineDistances(Reading):
    """One number for each level: [B, 3, h, w] in [0, 2]."""

    def forward(self, teacher: list[Tensor], student: list[Tensor]) -> Tensor:
        return self.joined([distance(t, s) for t, s in zip(teacher, student, strict=True)])


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Cosine distance, Eq. (3): [B, C, h, w], twice -> [B, 1, h, w] in [0, 2]."""
    return 1 - (unit(a) * unit(b)).sum(dim=1, keepdim=True)


def unit(x: Tensor) -> Tensor:
    """Scale the channel vector at each position to length 1; a zero vector stays zero."""
    x = x.float()
    norm: Tensor = vector_norm(x, dim=1, keepdim=True)
    # Not `norm + EPS`: the exporter's optimizer takes an added 1e-12 for zero and drops it.
    return x / norm.clamp_min(EPS)
