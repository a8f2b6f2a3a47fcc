"""DSKD: one teacher and two students with inverted structures, an encoder and a decoder.

Source: Yao, Dual-Student Knowledge Distillation Networks for Unsupervised Anomaly Detection,
section 3; Figure 8 and Tables 7 to 9 for the ablations.

Eq. (3) divides each feature vector by its *squared* norm. Here it is divided by its norm: the text
and both algorithms call it an l2 normalization, STPM (the baseline) divides by the norm, and with
the square the vectors would have the length 1 / |F|, without bound where a feature is faint. Then
the Euclidean term of Eq. (4) equals the cosine term of Eq. (5), so lambda scales the loss and the
map, and changes no ranking; it is kept so that values are the paper's.

The paper normalizes images "by the l2 function"; here they are normalized by the teacher's mean and
standard deviation, which its weights need. Table 6 has 39.3 M parameters and 6.17 G; with ResNet18
these are 16.6 M and 6.67 G multiply-accumulates for 256 x 256: the paper does not say how its
blocks are built.

Not in the paper: DeSTSeg's head on the similarity of teacher and decoder. The head knows only
synthetic defects and misses some real ones; the discrepancy was trained without defects, but
localizes them roughly. So the head sharpens the map, and the score is computed from the discrepancy
alone, unless real defects are known: then what the head's highest logit is above usual is added.
Also a decoder that repairs synthetic defects, as DeSTSeg's student does: it then differs
from the teacher in the whole of a defect. Also the score of some levels beside the map of all
levels: the finest level localizes a defect best and separates it from good parts worst
(docs/experiments.md has the measurements).
"""

from collections.abc import Iterable
from functools import reduce

import torch
from torch import Tensor, add, cat, nn

from edgeseg.data.images import blur_matrix, resize_matrix
from edgeseg.frame.geometry import Size
from edgeseg.model.blocks import WIDTH, BasicBlock, initialize, projections, stage, upsample
from edgeseg.model.detector import Detector, Maps
from edgeseg.model.head import WIDTH as HEAD_WIDTH
from edgeseg.model.head import SegmentationHead
from edgeseg.model.similarity import SimilarityProduct, unit
from edgeseg.model.student import EncoderStudent
from edgeseg.model.teacher import Teacher

SIGMA = 4.0  # of the Gaussian of Eq. (9), in pixels of the map
UNSEEN = 0.05  # of the discrepancy is left in the map where the head sees nothing
HEAD_ABOVE, HEAD_WEIGHT = 3.0, 2.0
FEWEST = 10  # good images, for the head's term of the score
LEVELS = {"all": (0, 1, 2), "m1": (0,), "m2": (1,), "m3": (2,), "m23": (1, 2)}
AXES = ("rows", "columns")
ENCODED, DECODED = ("ds", "t-e", "e-d"), ("ds", "t-d", "e-d")  # structures with such a student

FeatureLevels = list[Tensor]


class DSKD(Detector):
    """[B, 3, S, S'], normalized -> anomaly map [B, 1, S, S'], Eq. (8) and (9), not negative.

    network_size: (S, S'), multiples of 32; weight: lambda. structure: which student learns from
    which network; the last pair is the one whose discrepancy is the map:

        ds     the encoder from the teacher; the decoder from the teacher, fed by the encoder
        t-e    the encoder from the teacher
        t-d    the decoder from the teacher, fed by the teacher
        e-d    the encoder from the teacher; the decoder from the encoder, fed by it

    maps, score_maps: the levels of the map, and of the image score; by default the same. head:
    whether a head of `head_width` channels reads the similarity of the last pair and sharpens the
    map; map_root: by the square root of the discrepancy, so that the head weighs more. head_score:
    whether the head also raises the image score, for a head that knows real defects: the term

        max(0, scale x highest logit + offset)

    of `fit_head_score` is added; it never lowers a score. With a head or other levels, two maps are
    returned, the second one for the score.
    """

    def __init__(
        self,
        teacher: Teacher,
        *,
        network_size: Size,
        weight: float = 0.1,
        structure: str = "ds",
        embedding: bool = True,
        maps: str = "all",
        score_maps: str | None = None,
        student_width: int = WIDTH,
        head: bool = False,
        head_width: int = HEAD_WIDTH,
        map_root: bool = False,
        head_score: bool = False,
    ) -> None:
        super().__init__(teacher)
        self.weight = weight
        self.map_root = map_root
        self.structure = structure
        self.student = Students(teacher.channels, structure, student_width, embedding=embedding)
        self.similarity = SimilarityProduct()
        self.head = SegmentationHead(sum(teacher.channels), head_width) if head else None
        self.head_score = head and head_score
        if self.head_score:  # 0: the head does not change the score
            self.score_scale: Tensor
            self.score_offset: Tensor
            self.register_buffer("score_scale", torch.zeros(()))
            self.register_buffer("score_offset", torch.zeros(()))
        self.levels, self.score_levels = LEVELS[maps], LEVELS[score_maps or maps]
        # Upsampling and blur are linear: one matrix for each axis and level does both.
        for axis, side in zip(AXES, network_size, strict=True):
            blur = blur_matrix(side, SIGMA)
            for k in {*self.levels, *self.score_levels}:
                matrix = torch.from_numpy(blur @ resize_matrix(side >> (2 + k), side))
                self.register_buffer(f"smooth_{axis}{k}", matrix, persistent=False)

    def pairs(
        self, x: Tensor, known: FeatureLevels | None = None
    ) -> list[tuple[FeatureLevels, FeatureLevels]]:
        """Return the features of each target and of its student; the last pair is measured.

        known: the teacher's features of x, if the caller has them.

        Each student learns by its own loss only, as in Algorithm 1: targets and the input of the
        decoder carry no gradient.
        """
        teacher: FeatureLevels = self.teacher(x) if known is None else known
        if self.student.encoder is None:
            return [(teacher, self.student.decode(teacher))]
        encoded: FeatureLevels = self.student.encoder(x)
        if self.structure == "t-e":
            return [(teacher, encoded)]
        fixed = [level.detach() for level in encoded]
        followed = teacher if self.structure == "ds" else fixed
        return [(teacher, encoded), (followed, self.student.decode(fixed))]

    def repairing_pairs(
        self, clean: Tensor, corrupted: Tensor, known: FeatureLevels | None = None
    ) -> list[tuple[FeatureLevels, FeatureLevels]]:
        """Return the pairs of a training whose decoder repairs; for the structure ds.

        The first half of the images is clean, the others have anomalies. The encoder learns from
        the first half, as in the paper; the decoder answers to all with the teacher's features of
        the clean images, as DeSTSeg's denoising student does. known: those, if the caller has them.
        """
        teacher: FeatureLevels = self.teacher(clean) if known is None else known
        half = (len(clean) + 1) // 2
        assert self.student.encoder is not None, "the structure ds has an encoder"
        encoded: FeatureLevels = self.student.encoder(cat([clean[:half], corrupted[half:]]))
        answer = self.student.decode([level.detach() for level in encoded])
        first = [level[:half] for level in teacher], [level[:half] for level in encoded]
        return [first, (teacher, answer)]

    def head_input(self, x: Tensor) -> Tensor:
        """Return the input of the head: [B, C, S/4, S/4]."""
        similarity: Tensor = self.similarity(*self.pairs(x)[-1])
        return similarity

    @torch.no_grad()
    def fit_head_score(self, good: Iterable[Tensor]) -> bool:
        """Place the head's term of the score by good images that were not trained on.

        good: batches, uint8 [B, 3, S, S']. The term is 0 up to HEAD_ABOVE standard deviations above
        the mean of their highest logits, which good images hardly reach; from there a deviation of
        the logit counts as HEAD_WEIGHT deviations of the discrepancy. False, and no term: there are
        fewer than FEWEST images.
        """
        measured = [self.peaks(self.normalize(batch.to(self.mean.device))) for batch in good]
        self.score_scale.zero_()
        self.score_offset.zero_()
        if sum(len(apart) for apart, _ in measured) < FEWEST:
            return False
        apart, logits = (cat(part).double() for part in zip(*measured, strict=True))
        spread = logits.std().clamp_min(1e-6)
        scale = HEAD_WEIGHT * apart.std() / spread
        self.score_scale.fill_(float(scale))
        self.score_offset.fill_(float(-scale * (logits.mean() + HEAD_ABOVE * spread)))
        return True

    def peaks(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the highest discrepancy and the highest logit of the head of each image: [B]."""
        assert self.head is not None, "there is no head"
        followed, follower = self.pairs(x)[-1]
        apart = reduce(add, [self._full(k, followed[k], follower[k]) for k in self.score_levels])
        logits = self.head(self.similarity(followed, follower)).float()
        return apart.flatten(1).amax(1), logits.flatten(1).amax(1)

    def forward(self, x: Tensor, known: FeatureLevels | None = None) -> Maps:
        followed, follower = self.pairs(x, known)[-1]
        used = {*self.levels, *self.score_levels}
        full = {k: self._full(k, followed[k], follower[k]) for k in used}
        apart = reduce(add, [full[k] for k in self.levels])
        scored = apart
        if self.score_levels != self.levels:
            scored = reduce(add, [full[k] for k in self.score_levels])
        if self.head is not None:
            logits = self.head(self.similarity(followed, follower)).float()
            found = logits.sigmoid()
            if self.head_score:
                peak = logits.amax((2, 3), keepdim=True)
                scored = scored + (self.score_scale * peak + self.score_offset).relu()
            # Rounding can leave a discrepancy of -1e-7, whose root is NaN.
            shaped = apart.clamp_min(0).sqrt() if self.map_root else apart
            return shaped * (UNSEEN + upsample(found, apart.shape[2:])), scored
        return apart if scored is apart else (apart, scored)

    def _full(self, k: int, followed: Tensor, follower: Tensor) -> Tensor:
        """Return a level's discrepancy, upsampled and blurred: [B, 1, S, S']."""
        rows, columns = (self.get_buffer(f"smooth_{axis}{k}") for axis in AXES)
        return rows @ discrepancy(followed, follower, self.weight) @ columns.T


class Students(nn.Module):
    """The encoder, the embedding and the decoder, as far as a structure has them."""

    def __init__(self, channels: list[int], structure: str, width: int, *, embedding: bool) -> None:
        super().__init__()
        self.encoder = EncoderStudent(channels, width) if structure in ENCODED else None
        self.embedding: nn.Module | None = None
        self.decoder: nn.Module | None = None
        if structure in DECODED:
            self.embedding = (Embedding if embedding else Downsampling)(channels, width)
            self.decoder = Decoder(channels, width)

    def decode(self, levels: FeatureLevels) -> FeatureLevels:
        """Return the decoder's answer to an encoder's features."""
        assert self.embedding is not None and self.decoder is not None
        answer: FeatureLevels = self.decoder(self.embedding(levels))
        return answer


class Embedding(nn.Module):
    """Deep feature embedding, section 3.2: three levels -> [B, 8 width, S/32, S/32].

    The finer levels are brought to the coarsest by 3x3 convolutions with stride 2, concatenated
    with it, and fused by a residual block. That it halves the size once more is the model it refers
    to (Deng and Li, Reverse Distillation, CVPR 2022). The features come as they are: Figure 4 and
    the text say F, though Algorithm 2 normalizes them first.
    """

    def __init__(self, channels: list[int], width: int = WIDTH) -> None:
        super().__init__()
        first, second, third = channels
        self.down1 = nn.Sequential(*_halving(first, second), *_halving(second, third))
        self.down2 = nn.Sequential(*_halving(second, third))
        self.fusion = BasicBlock(3 * third, 8 * width, stride=2)
        initialize(self)

    def forward(self, levels: FeatureLevels) -> Tensor:
        fine, middle, coarse = levels
        fused: Tensor = self.fusion(cat([self.down1(fine), self.down2(middle), coarse], dim=1))
        return fused


class Downsampling(nn.Module):
    """In place of the embedding, Table 8: the coarsest level alone -> [B, 8 width, S/32, S/32]."""

    def __init__(self, channels: list[int], width: int = WIDTH) -> None:
        super().__init__()
        self.down3 = nn.Sequential(*_halving(channels[2], 8 * width))
        initialize(self)

    def forward(self, levels: FeatureLevels) -> Tensor:
        down: Tensor = self.down3(levels[2])
        return down


class Decoder(nn.Module):
    """A reversed ResNet18: [B, 8 width, S/32, S/32] -> maps like the teacher's at 4, 8 and 16."""

    def __init__(self, channels: list[int], width: int = WIDTH) -> None:
        super().__init__()
        self.layer3 = stage(8 * width, 4 * width)
        self.layer2 = stage(4 * width, 2 * width)
        self.layer1 = stage(2 * width, width)
        self.ends = projections(channels, width)
        initialize(self)

    def forward(self, embedded: Tensor) -> FeatureLevels:
        levels: FeatureLevels = []
        x = embedded
        for layer in (self.layer3, self.layer2, self.layer1):
            height, width = x.shape[2:]
            x = layer(upsample(x, (2 * height, 2 * width)))
            levels.insert(0, x)
        return [end(level) for end, level in zip(self.ends, levels, strict=True)]


def discrepancy(followed: Tensor, follower: Tensor, weight: float) -> Tensor:
    """Eq. (4) to (6): [B, C, h, w], twice -> [B, 1, h, w] in [0, 2 + 2 weight]."""
    a, b = unit(followed), unit(follower)
    apart = a - b
    euclidean = 0.5 * (apart * apart).sum(dim=1, keepdim=True)
    cosine = 1 - (a * b).sum(dim=1, keepdim=True)
    return weight * euclidean + cosine


def _halving(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [
        nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]
