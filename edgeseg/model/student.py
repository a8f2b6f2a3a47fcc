"""The students of DeSTSeg: the denoising encoder-decoder, and the encoder alone.

Source: DeSTSeg, Zhang et al., CVPR 2023, section 3.2: a ResNet18 encoder from scratch and a
reversed ResNet18 as decoder, bilinear upsampling in place of strides, no skip connections. Widths
below 64 are not in the paper; half the width has a quarter of the MACs.
"""

from typing import Any

from torch import Tensor, nn

from edgeseg.model.blocks import WIDTH, initialize, projections, stage, upsample
from edgeseg.model.resnet import LightEncoder
from edgeseg.packages.extras import require


class Student(nn.Module):
    """[B, 3, S, S'], normalized -> maps like the teacher's: three, at stride 4, 8 and 16.

    Reads a corrupted image and predicts the teacher's features of the clean one. Where the channels
    of teacher and student differ, a 1x1 convolution ends each level. width: channels at stride 4.
    """

    def __init__(self, channels: list[int], width: int = WIDTH) -> None:
        super().__init__()
        self.encoder = _encoder(width, stages=4)
        self.layer4 = stage(8 * width, 8 * width)
        self.layer3 = stage(8 * width, 4 * width)
        self.layer2 = stage(4 * width, 2 * width)
        self.layer1 = stage(2 * width, width)
        self.ends = projections(channels, width)
        for part in (self.layer4, self.layer3, self.layer2, self.layer1, self.ends):
            initialize(part)

    def forward(self, x: Tensor) -> list[Tensor]:
        stride4, stride8, stride16, stride32 = self.encoder(x)
        level3 = self.layer3(upsample(self.layer4(stride32), stride16.shape[2:]))
        level2 = self.layer2(upsample(level3, stride8.shape[2:]))
        level1 = self.layer1(upsample(level2, stride4.shape[2:]))
        levels = (level1, level2, level3)
        return [end(level) for end, level in zip(self.ends, levels, strict=True)]


class EncoderStudent(nn.Module):
    """[B, 3, S, S'], normalized -> maps like the teacher's: a ResNet18 without its last stage.

    The student of STPM (Wang et al., BMVC 2021), and the encoder of DSKD. Both papers use the
    teacher's own network; here it is ResNet18 for every teacher, as in the decoders, and a 1x1
    convolution ends each level where the channels differ.
    """

    def __init__(self, channels: list[int], width: int = WIDTH) -> None:
        super().__init__()
        self.encoder = _encoder(width, stages=3)
        self.ends = projections(channels, width)
        initialize(self.ends)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [end(level) for end, level in zip(self.ends, self.encoder(x), strict=True)]


def _encoder(width: int, stages: int) -> Any:
    """Return a ResNet18 with random weights that returns its first stages."""
    if width != WIDTH:
        return LightEncoder(width, stages)
    timm = require("timm", extra="train")
    indices = tuple(range(1, stages + 1))
    return timm.create_model("resnet18", features_only=True, out_indices=indices)
