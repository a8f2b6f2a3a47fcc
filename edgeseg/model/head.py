"""The segmentation head: two residual blocks and atrous spatial pyramid pooling, at stride 4.

Source: DeSTSeg, section 3.3; the ASPP of Chen et al., arXiv:1706.05587, with the rates and the 3x3
fusion of the authors' released code. It has 81 % of the model's MACs in training.
"""

from torch import Tensor, cat, nn
from torch.nn.functional import conv2d

from edgeseg.model.blocks import BasicBlock

WIDTH = 256
RATES = (6, 12, 18)


class SegmentationHead(nn.Module):
    """[B, C, h, w] -> logits [B, 1, h, w], positive where anomalous.

    `blocks` and `aspp` have learning rates of their own. The weights have PyTorch's default
    initialization: with the student's fan-out rule the last convolution, of one channel, returns
    such large logits that the loss takes hundreds of steps to reach that of an empty mask. width:
    the channels inside; the MACs grow with its square.
    """

    def __init__(self, channels: int, width: int = WIDTH) -> None:
        super().__init__()
        self.blocks = nn.Sequential(BasicBlock(channels, width), BasicBlock(width, width))
        self.aspp = nn.Sequential(
            Aspp(width, width), *_conv_bn_relu(width, width, 3), nn.Conv2d(width, 1, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.aspp(self.blocks(x))
        return logits


class Aspp(nn.Module):
    """[B, in, h, w] -> [B, out, h, w]: the mean and three dilated views, fused by a 3x3."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), *_conv_bn_relu(channels_in, channels_out, 1)
        )
        self.views = nn.ModuleList(
            nn.Sequential(*_conv_bn_relu(channels_in, channels_out, 3, rate)) for rate in RATES
        )
        parts = 1 + len(RATES)
        self.fusion = nn.Sequential(*_conv_bn_relu(parts * channels_out, channels_out, 3))

    def forward(self, x: Tensor) -> Tensor:
        pooled, views = self.pool(x), [view(x) for view in self.views]
        if self.training:
            return self._constant_apart(pooled, cat(views, dim=1))
        fused: Tensor = self.fusion(cat([pooled.expand(-1, -1, *x.shape[2:]), *views], dim=1))
        return fused

    def _constant_apart(self, pooled: Tensor, views: Tensor) -> Tensor:
        """Fuse without convolving the constant branch; for export see export_head.PooledBias.

        A 3x3 convolution of a constant has nine values, those of a 3 x 3 map: four corners, four
        edges and the inside. That saves about a twelfth of the head's MACs. h, w: 2 or more.
        """
        convolution, norm, relu = self.fusion
        width = pooled.shape[1]
        weight = convolution.get_parameter("weight")
        nine = conv2d(pooled.expand(-1, -1, 3, 3), weight[:, :width], padding=1)
        for axis in (2, 3):
            first, inside, last = nine.chunk(3, axis)
            shape = [*nine.shape]
            shape[axis] = views.shape[axis] - 2
            nine = cat([first, inside.expand(shape), last], dim=axis)
        fused: Tensor = relu(norm(conv2d(views, weight[:, width:], padding=1) + nine))
        return fused


def _conv_bn_relu(channels_in: int, channels_out: int, size: int, rate: int = 1) -> list[nn.Module]:
    padding = rate * (size // 2)
    return [
        nn.Conv2d(channels_in, channels_out, size, padding=padding, dilation=rate, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    ]
