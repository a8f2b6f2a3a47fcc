"""The segmentation head as it is exported: the same outputs up to rounding, with fewer MACs.

Training's modules stay as they are; `export_form` returns a copy that shares their weights. Two
identities save MACs:

`LevelConv`: a convolution takes the same channels of a level at every position, so it may come
before the level's upsampling, at a sixteenth of the positions where the grid is four times finer.
One 1x1 convolution computes the k * k * O products of all taps. What remains is a sum over the taps
of shifted, interpolated maps, which is linear along each axis: two products with constant matrices,
[w, w/s * k] and [h, h/s * k], that contain the zero padding. For the stride-16 level of ResNet18 at
256 x 256 that replaces 2.5 billion MACs of the first block with 0.1 billion.

`PooledBias`: the pooled branch of ASPP is constant over the map, and a 3x3 convolution of a
constant with zero padding has nine different values per output channel: four corners, four edges,
inside. So the branch becomes a bias: a product for the nine values, and one with zeros and ones
that spreads them over the map. With 256 of 1024 channels and a 64 x 64 map that saves 2.4 billion
MACs.

Both put the channels last in between, as INT8 kernels do.
"""

import copy

import torch
from torch import Tensor, cat, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from edgeseg.data.images import resize_matrix
from edgeseg.frame.geometry import Size
from edgeseg.model.blocks import BasicBlock, upsample
from edgeseg.model.fused import Fused
from edgeseg.model.head import Aspp, SegmentationHead
from edgeseg.model.similarity import HeadInput

WORTH = 8.0
"""Convolve a level before its upsampling if that saves this many MACs for each one spent in the
matrix products, which stay in floating point in an INT8 graph.

With 3, which includes the stride-8 level of ResNet18, INT8 at 256 x 256 lost 3 % of its speed; with
8, which leaves stride 16 only, FP32 and INT8 both became faster.
"""
SEEN = torch.tensor([[0.0, 1, 1], [1, 1, 1], [1, 1, 0]])
"""Which of three taps read the map: in its first row, in any between, in its last."""


def export_form(module: nn.Module) -> nn.Module:
    """Return the module to export; the same object where there is no head, as in STPM."""
    if not isinstance(module, Fused) or (head := head_of(module)) is None:
        return module
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    exported = copy.deepcopy(module, shared)
    detector = exported.detector
    inputs = detector.get_submodule("similarity")
    assert isinstance(inputs, HeadInput)
    channels = [inputs.channels(width) for width in detector.teacher.channels]
    height, width = module.network_size
    shifts = [max(3 if inputs.halved else 2, 2 + k) for k in range(len(channels))]
    sizes = [(height >> shift, width >> shift) for shift in shifts]
    detector.similarity = Levels(inputs)
    detector.head = ExportHead(head, channels, sizes)
    return exported.eval()


def head_of(module: Fused) -> SegmentationHead | None:
    """Return the head of an exported module, if it has one."""
    head = getattr(module.detector, "head", None)
    return head if isinstance(head, SegmentationHead) else None


class Levels(nn.Module):
    """The head's input before upsampling and concatenation: [B, C_k, h_k, w_k] per level."""

    def __init__(self, inputs: HeadInput) -> None:
        super().__init__()
        self.inputs = inputs

    def forward(self, teacher: list[Tensor], student: list[Tensor]) -> list[Tensor]:
        return self.inputs.levels(teacher, student)


class ExportHead(nn.Module):
    """The head on levels of several sizes: list of [B, C_k, h_k, w_k] -> logits [B, 1, h, w].

    channels, sizes: of each level, (h_k, w_k); the first has the size of the grid.
    """

    def __init__(self, head: SegmentationHead, channels: list[int], sizes: list[Size]) -> None:
        super().__init__()
        first, second = head.blocks
        assert isinstance(first, BasicBlock)
        self.moved = moved_levels(first, channels, sizes)
        self.blocks = nn.Sequential(LevelBlock(first, channels, sizes, self.moved), second)
        aspp, *rest = head.aspp
        assert isinstance(aspp, Aspp)
        self.aspp = nn.Sequential(PooledBias(aspp, sizes[0]), *rest)

    def forward(self, levels: list[Tensor]) -> Tensor:
        size = levels[0].shape[2:]
        kept = [
            level if level.shape[2:] == size else upsample(level, size)
            for k, level in enumerate(levels)
            if k not in self.moved
        ]
        first, second = self.blocks
        block = first(
            cat(kept, dim=1) if len(kept) > 1 else kept[0], [levels[k] for k in self.moved]
        )
        logits: Tensor = self.aspp(second(block))
        return logits


class LevelBlock(nn.Module):
    """The head's first residual block, with its convolutions of the input as `LevelConv`."""

    def __init__(
        self, block: BasicBlock, channels: list[int], sizes: list[Size], moved: list[int]
    ) -> None:
        super().__init__()
        self.conv1 = LevelConv(_folded(block.conv1, block.bn1), channels, sizes, moved)
        self.conv2, self.bn2, self.relu = block.conv2, block.bn2, block.relu
        self.downsample: LevelConv | None = None
        if isinstance(block.downsample, nn.Sequential):
            shortcut = _folded(*block.downsample)
            self.downsample = LevelConv(shortcut, channels, sizes, moved)

    def forward(self, kept: Tensor, moved: list[Tensor]) -> Tensor:
        residual = self.bn2(self.conv2(self.relu(self.conv1(kept, moved))))
        shortcut = kept if self.downsample is None else self.downsample(kept, moved)
        summed: Tensor = self.relu(residual + shortcut)
        return summed


class LevelConv(nn.Module):
    """A convolution of concatenated levels: kept [B, C, h, w], moved [B, C_k, h_k, w_k] ->
    [B, O, h, w]."""

    def __init__(
        self, convolution: nn.Conv2d, channels: list[int], sizes: list[Size], moved: list[int]
    ) -> None:
        super().__init__()
        self.size, self.taps = sizes[0], convolution.kernel_size[0]
        self.outputs = convolution.out_channels
        parts = torch.split(convolution.weight.detach(), channels, dim=1)
        kept = cat([part for k, part in enumerate(parts) if k not in moved], dim=1)
        self.kept = _convolution(kept, convolution.bias)
        # Output channels ordered by tap row, tap column, output: [O, C, k, k] -> [k * k * O, C].
        self.moved = nn.ModuleList(
            _convolution(parts[k].permute(2, 3, 0, 1).reshape(-1, channels[k], 1, 1)) for k in moved
        )
        for index, k in enumerate(moved):
            across = interpolation(self.size[1], sizes[k][1], self.taps)
            self.register_buffer(f"across{index}", across, persistent=False)
        down = [interpolation(self.size[0], sizes[k][0], self.taps) for k in moved]
        self.register_buffer("down", cat(down, dim=1) if moved else None, persistent=False)

    def forward(self, kept: Tensor, moved: list[Tensor]) -> Tensor:
        summed: Tensor = self.kept(kept)
        if not moved:
            return summed
        lines = [self._lines(index, level) for index, level in enumerate(moved)]
        total = self.get_buffer("down") @ (cat(lines, dim=2) if len(lines) > 1 else lines[0])
        shape = (kept.shape[0], *self.size, self.outputs)
        return summed + total.reshape(shape).permute(0, 3, 1, 2)

    def _lines(self, index: int, level: Tensor) -> Tensor:
        """Return [B, 1, h_k * k, w * O]: a level's rows per tap row, summed along the width."""
        batch, _, height, width = level.shape
        k = self.taps
        taps = self.moved[index](level).permute(0, 2, 3, 1)
        if k > 1:  # [B, h_k, w_k, k * k * O] -> [B, h_k * k, w_k * k, O]
            taps = taps.reshape(batch * height, width, k, k * self.outputs).permute(0, 2, 1, 3)
            taps = taps.reshape(batch, height * k, width * k, self.outputs)
        wide: Tensor = self.get_buffer(f"across{index}") @ taps
        return wide.reshape(batch, 1, height * k, self.size[1] * self.outputs)


class PooledBias(nn.Module):
    """ASPP with its pooled branch as a bias of nine values: [B, in, h, w] -> [B, out, h, w]."""

    def __init__(self, aspp: Aspp, size: Size) -> None:
        super().__init__()
        self.pool, self.views = aspp.pool, aspp.views
        *convolution, relu = aspp.fusion
        fused, self.relu = _folded(*convolution), relu
        self.outputs, self.channels = fused.out_channels, fused.in_channels // (1 + len(aspp.views))
        parts = [self.channels, fused.in_channels - self.channels]
        pooled, views = torch.split(fused.weight.detach(), parts, dim=1)
        self.fusion = _convolution(views, fused.bias)
        nine = torch.einsum("ocij,ri,sj->crso", pooled.double(), SEEN.double(), SEEN.double())
        regions = torch.einsum("ry,sx->yxrs", *(_thirds(side) for side in size))
        self.register_buffer("weight", nine.reshape(self.channels, -1).float(), persistent=False)
        self.register_buffer("regions", regions.reshape(-1, 9), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        pooled = self.pool(x).reshape(batch, 1, 1, self.channels)
        nine = (pooled @ self.get_buffer("weight")).reshape(batch, 1, 9, self.outputs)
        bias = (self.get_buffer("regions") @ nine).reshape(batch, height, width, self.outputs)
        views = self.fusion(cat([view(x) for view in self.views], dim=1))
        fused: Tensor = self.relu(views + bias.permute(0, 3, 1, 2))
        return fused


def moved_levels(block: BasicBlock, channels: list[int], sizes: list[Size]) -> list[int]:
    """Return the levels to convolve before their upsampling.

    The convolutions that read the concatenation decide together: a level that one of them still
    needs on the grid would be upsampled and concatenated all the same.
    """
    if not isinstance(block.downsample, nn.Sequential):
        return []
    height, width = sizes[0]
    readers = [m for m in (block.conv1, *block.downsample) if isinstance(m, nn.Conv2d)]
    found = []
    for level, (inputs, (rows, columns)) in enumerate(zip(channels, sizes, strict=True)):
        saved = spent = 0
        for reader in readers:
            taps, outputs = reader.kernel_size[0], reader.out_channels
            saved += taps**2 * inputs * outputs * (height * width - rows * columns)
            spent += taps * outputs * rows * width * (taps * columns + height)
        if saved > WORTH * spent:
            found.append(level)
    return found


def _thirds(side: int) -> Tensor:
    """Return which of `side` positions are the first, between, and the last: [3, side]."""
    thirds = torch.zeros(3, side)
    thirds[0, 0] = thirds[2, -1] = 1
    thirds[1, 1:-1] = 1
    return thirds


def interpolation(fine: int, coarse: int, taps: int) -> Tensor:
    """[fine, coarse * taps]: bilinear interpolation along one axis, shifted by each tap.

    Positions outside the map are the convolution's zero padding.
    """
    matrix = torch.tensor(resize_matrix(coarse, fine))
    border = taps // 2
    padded = nn.functional.pad(matrix, (0, 0, border, border))
    shifted = torch.stack([padded[tap : tap + fine] for tap in range(taps)], dim=2)
    return shifted.reshape(fine, coarse * taps)


def _folded(convolution: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """Return a convolution with the batch normalization after it in its weights."""
    assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(convolution, norm)


def _convolution(weight: Tensor, bias: Tensor | None = None) -> nn.Conv2d:
    """Return a convolution that keeps the size of the map."""
    outputs, inputs, size, _ = weight.shape
    made = nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias is not None)
    made.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    made.bias = bias if bias is None else nn.Parameter(bias, requires_grad=False)
    return made
