"""The residual block of ResNet18 and ResNet34, of which students and head are built.

Source: He et al., Deep Residual Learning for Image Recognition, CVPR 2016, figure 3.
"""

from torch import Tensor, nn
from torch.nn.functional import interpolate

WIDTHS = (64, 128, 256, 512)  # of ResNet18 at stride 4, 8, 16, 32
WIDTH = WIDTHS[0]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: [B, in, h, w] -> [B, out, h, w], never negative.

    stride: of the first convolution; 2 halves h and w.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if channels_in != channels_out or stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        summed: Tensor = self.relu(residual + self.downsample(x))
        return summed


def stage(channels_in: int, channels_out: int) -> nn.Sequential:
    """Return a stage of ResNet18 without its stride: two blocks."""
    return nn.Sequential(
        BasicBlock(channels_in, channels_out), BasicBlock(channels_out, channels_out)
    )


def projections(channels: list[int], width: int = WIDTH) -> nn.ModuleList:
    """Return 1x1 convolutions from a ResNet18's first three levels to the teacher's channels.

    width: the ResNet18's channels at the first level. Identity where the channels are equal.
    """
    return nn.ModuleList(
        nn.Identity() if own == wanted else nn.Conv2d(own, wanted, 1)
        for own, wanted in zip((width, 2 * width, 4 * width), channels, strict=True)
    )


def upsample(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """Resize [B, C, h, w] to (height, width), bilinear."""
    return interpolate(x, size, mode="bilinear", align_corners=False)


def initialize(module: nn.Module) -> None:
    """Initialize convolutions by Kaiming fan-out, as the authors' released code does."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
