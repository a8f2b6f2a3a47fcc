"""A ResNet18 of another width, as the encoder of a student that is smaller than the paper's.

Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1; a width of 64
is theirs, and timm's implementation is used for it (`student.py`).
"""

from itertools import pairwise

from torch import Tensor, nn

from edgeseg.model.blocks import BasicBlock, initialize, stage


class LightEncoder(nn.Module):
    """[B, 3, S, S'], normalized -> maps at stride 4, 8, ..., of width, 2 width, ... channels."""

    def __init__(self, width: int, stages: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        widths = [width << level for level in range(stages)]
        halvings = [
            nn.Sequential(BasicBlock(narrow, wide, stride=2), BasicBlock(wide, wide))
            for narrow, wide in pairwise(widths)
        ]
        self.stages = nn.ModuleList([stage(width, width), *halvings])
        initialize(self)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        levels = []
        for layer in self.stages:
            x = layer(x)
            levels.append(x)
        return levels
