"""Where the student agrees with the teacher: the evidence that the head turns into a mask.

Source: DeSTSeg, Zhang et al., CVPR 2023, Eq. (2).
Axes: B images; h, w the stride-4 grid, 64 x 64 for a 256 x 256 image; C the sum of the widths.
"""

from torch import Tensor, cat, nn
from torch.linalg import vector_norm
from torch.nn.functional import interpolate

EPS = 1e-12  # the authors' value; 0 in float16, so this module stays float32 in every export


class Agreement(nn.Module):
    """Multiply unit feature vectors, level by level, on the finest grid.

    teacher, student: [B, C_k, h / 2^k, w / 2^k] for k = 0, 1, 2
    returns:          [B, C, h, w] in [-1, 1]; over one level the channels sum to the cosine

    The sign is the authors': the head reads the negated product, so that disagreement is high.
    """

    def forward(self, teacher: list[Tensor], student: list[Tensor]) -> Tensor:
        grid = student[0].shape[2:]
        products = [-unit(t) * unit(s) for t, s in zip(teacher, student, strict=True)]
        finest, *coarser = products
        return cat([finest, *(interpolate(p, grid, mode="bilinear") for p in coarser)], dim=1)


def unit(x: Tensor) -> Tensor:
    """Scale the channel vector at each position to length 1; a zero vector stays zero."""
    x = x.float()
    norm: Tensor = vector_norm(x, dim=1, keepdim=True)
    # Not `norm + EPS`: the exporter's optimizer takes an added 1e-12 for zero and drops it.
    return x / norm.clamp_min(EPS)
