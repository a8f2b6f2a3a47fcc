"""DeSTSeg: teacher, denoising student and segmentation head, and the ablations of the paper.

Source: Zhang et al., DeSTSeg: Segmentation Guided Denoising Student-Teacher for Anomaly Detection,
CVPR 2023, arXiv:2211.11317; Tables 4 and 6 for the ablations.
"""

from functools import reduce

from torch import Tensor, mul

from edgeseg.errors import ConfigError
from edgeseg.model.blocks import WIDTH, upsample
from edgeseg.model.detector import Detector
from edgeseg.model.head import WIDTH as HEAD_WIDTH
from edgeseg.model.head import SegmentationHead
from edgeseg.model.similarity import (
    CosineDistances,
    FeatureConcatenation,
    HeadInput,
    SimilarityProduct,
    distance,
)
from edgeseg.model.student import EncoderStudent, Student
from edgeseg.model.teacher import Teacher

HEAD_INPUTS: dict[str, type[HeadInput]] = {
    "product": SimilarityProduct,
    "concatenation": FeatureConcatenation,
    "cosine": CosineDistances,
}


class DeSTSeg(Detector):
    """[B, 3, S, S'], normalized -> anomaly map [B, 1, S/4, S'/4] in (0, 1); both multiples of 32.

    decoder: whether the student has a decoder, or is an encoder only; head_input: the input of the
    head: product, concatenation or cosine. student_width, head_width: their channels, the student's
    at stride 4; head_stride: 4, or 8 for a head and a map of half the side.

    Without a head the map is the geometric mean over the levels of the cosine distances, each
    resized to the image: [B, 1, S, S'] in [0, 2]. The paper describes a sum; its released code and
    STPM multiply. The root does not change the order of the pixels and keeps values as large as the
    distances: the product of three small ones lies below every tolerance.
    """

    def __init__(
        self,
        teacher: Teacher,
        *,
        decoder: bool = True,
        head: bool = True,
        head_input: str = "product",
        student_width: int = WIDTH,
        head_width: int = HEAD_WIDTH,
        head_stride: int = 4,
    ) -> None:
        super().__init__(teacher)
        self.student = (Student if decoder else EncoderStudent)(teacher.channels, student_width)
        if head_input not in HEAD_INPUTS:
            raise ConfigError(
                f"invalid head_input: {head_input} (expected {', '.join(HEAD_INPUTS)})",
                remedy="--head-input product",
                code="config/head-input",
            )
        self.similarity = HEAD_INPUTS[head_input](halved=head_stride == 8)
        channels = sum(self.similarity.channels(width) for width in teacher.channels)
        self.head = SegmentationHead(channels, head_width) if head else None
        self.map_stride = head_stride if head else 1

    def logits(self, x: Tensor, known: list[Tensor] | None = None) -> Tensor:
        """Return the head's output before the sigmoid, [B, 1, S/4, S/4] (S/8 where halved)."""
        assert self.head is not None, "there is no head"
        logits: Tensor = self.head(self.head_input(x, known))
        return logits

    def head_input(self, x: Tensor, known: list[Tensor] | None = None) -> Tensor:
        """Return the input of the head: [B, C, h, w] on its grid."""
        teacher = self.teacher(x) if known is None else known
        similarity: Tensor = self.similarity(teacher, self.student(x))
        return similarity

    def forward(self, x: Tensor, known: list[Tensor] | None = None) -> Tensor:
        if self.head is not None:
            return self.logits(x, known).float().sigmoid()
        teacher = self.teacher(x) if known is None else known
        levels = zip(teacher, self.student(x), strict=True)
        distances = [upsample(distance(t, s), x.shape[2:]) for t, s in levels]
        product: Tensor = reduce(mul, [d.clamp_min(0) for d in distances])  # rounding: -6e-08
        return product ** (1 / len(distances))
