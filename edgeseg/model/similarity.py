"""Where the student's features match the teacher's: what the segmentation head reads.

Source: DeSTSeg, Zhang et al., CVPR 2023, Eq. (2) and (3); section 4.5 for the two alternatives.
Axes: B images; h, w the stride-4 grid, 64 x 64 for a 256 x 256 image; C the sum of the levels'
channels. With `halved` the grid has stride 8: the finest level is averaged there, 2 x 2 to one.
"""

from torch import Tensor, cat, nn
from torch.linalg import vector_norm
from torch.nn.functional import avg_pool2d

from edgeseg.model.blocks import upsample

EPS = 1e-12  # the authors' value; 0 in FP16, so this module stays FP32 in every export


class HeadInput(nn.Module):
    """Combines the features of teacher and student, level by level, on one grid.

    teacher, student: [B, C_k, h / 2^k, w / 2^k] for k = 0, 1, 2; returns [B, C, h, w].
    """

    def __init__(self, *, halved: bool = False) -> None:
        super().__init__()
        self.halved = halved

    def forward(self, teacher: list[Tensor], student: list[Tensor]) -> Tensor:
        finest, *coarser = self.levels(teacher, student)
        return cat([finest, *(upsample(level, finest.shape[2:]) for level in coarser)], dim=1)

    def levels(self, teacher: list[Tensor], student: list[Tensor]) -> list[Tensor]:
        """Return the levels before the upsampling, the finest first."""
        finest, *coarser = [self.level(t, s) for t, s in zip(teacher, student, strict=True)]
        return [avg_pool2d(finest, 2) if self.halved else finest, *coarser]

    def level(self, teacher: Tensor, student: Tensor) -> Tensor:
        """Combine the features of one level."""
        raise NotImplementedError

    @staticmethod
    def channels(width: int) -> int:
        """Return the channels of a level whose features have `width`."""
        return width


class SimilarityProduct(HeadInput):
    """The negated product of the unit feature vectors, in [-1, 1]; over one level its channels sum
    to the negated cosine.

    The sign is the authors': the head's input is high where the features differ.
    """

    def level(self, teacher: Tensor, student: Tensor) -> Tensor:
        return -unit(teacher) * unit(student)


class FeatureConcatenation(HeadInput):
    """The features themselves, the teacher's and the student's of each level."""

    def level(self, teacher: Tensor, student: Tensor) -> Tensor:
        return cat([teacher, student], dim=1)

    @staticmethod
    def channels(width: int) -> int:
        return 2 * width


class CosineDistances(HeadInput):
    """One number in [0, 2] per level and position."""

    def level(self, teacher: Tensor, student: Tensor) -> Tensor:
        return distance(teacher, student)

    @staticmethod
    def channels(width: int) -> int:
        return 1


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Cosine distance, Eq. (3): [B, C, h, w], twice -> [B, 1, h, w] in [0, 2]."""
    return 1 - (unit(a) * unit(b)).sum(dim=1, keepdim=True)


def unit(x: Tensor) -> Tensor:
    """Scale the channel vector at each position to length 1; a zero vector stays zero."""
    x = x.float()
    norm: Tensor = vector_norm(x, dim=1, keepdim=True)
    # Not `norm + EPS`: the exporter's optimizer takes an added 1e-12 for zero and drops it.
    return x / norm.clamp_min(EPS)
