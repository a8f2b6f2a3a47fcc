"""The denoising student: sees a corrupted image, answers with the features of the clean one.

Source: DeSTSeg, Zhang et al., CVPR 2023, section 3.2: a ResNet18 encoder from scratch and a
reversed ResNet18 as decoder, bilinear upsampling in place of strides, no skip connections.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import interpolate

from edgeseg.extras import require
from edgeseg.model.blocks import BasicBlock, initialize

WIDTHS = (64, 128, 256, 512)  # of ResNet18 at stride 4, 8, 16, 32


class Student(nn.Module):
    """[B, 3, S, S], normalized -> maps like the teacher's: three, at stride 4, 8 and 16.

    Where the teacher's widths are not ResNet18's, a 1x1 convolution ends each level: it may be
    negative, as the features of an inverted-residual backbone are.
    """

    def __init__(self, channels: list[int]) -> None:
        super().__init__()
        timm = require("timm", extra="train")
        self.encoder: Any = timm.create_model(
            "resnet18", features_only=True, out_indices=(1, 2, 3, 4)
        )
        self.layer4 = _stage(WIDTHS[3], WIDTHS[3])
        self.layer3 = _stage(WIDTHS[3], WIDTHS[2])
        self.layer2 = _stage(WIDTHS[2], WIDTHS[1])
        self.layer1 = _stage(WIDTHS[1], WIDTHS[0])
        self.ends = nn.ModuleList(
            nn.Identity() if width == end else nn.Conv2d(width, end, 1)
            for width, end in zip(WIDTHS[:3], channels, strict=True)
        )
        for part in (self.layer4, self.layer3, self.layer2, self.layer1, self.ends):
            initialize(part)

    def forward(self, x: Tensor) -> list[Tensor]:
        stride4, stride8, stride16, stride32 = self.encoder(x)
        level3 = self.layer3(_upsample_to(self.layer4(stride32), stride16))
        level2 = self.layer2(_upsample_to(level3, stride8))
        level1 = self.layer1(_upsample_to(level2, stride4))
        levels = (level1, level2, level3)
        return [end(level) for end, level in zip(self.ends, levels, strict=True)]


def _stage(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        BasicBlock(channels_in, channels_out), BasicBlock(channels_out, channels_out)
    )


def _upsample_to(x: Tensor, like: Tensor) -> Tensor:
    return interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
