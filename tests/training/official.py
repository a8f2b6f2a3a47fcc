"""The released DeSTSeg network as functional calls on a flat dict of its tensors.

Written from the paper and from the names and shapes of a released checkpoint, without
`edgeseg.model`: an independent reference for what an imported run must predict.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

MEAN = torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1)
STD = torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1)
ASPP = "segmentation_net.head.0.aspp_"
EPS = 1e-5  # of batch normalization, PyTorch's own


def shapes():
    """Yield (name, shape, dtype) in the file's order; a scalar has the shape ()."""
    for net, last in (("teacher_net", 3), ("student_net", 4)):
        if net == "student_net":
            for stage, wide, narrow in ((4, 512, 512), (3, 512, 256), (2, 256, 128), (1, 128, 64)):
                yield from stage_shapes(f"{net}.decoder_layer{stage}", wide, narrow)
        yield f"{net}.encoder.conv1.weight", (64, 3, 7, 7), torch.float32
        yield from norm_shapes(f"{net}.encoder.bn1", 64)
        for stage in range(1, last + 1):
            width = 32 * 2**stage
            before = width if stage == 1 else width // 2
            yield from stage_shapes(f"{net}.encoder.layer{stage}", before, width)
    yield from stage_shapes("segmentation_net.res", 448, 256)
    for index, size in enumerate((1, 3, 3, 3)):
        name = f"{ASPP}feature_extractors.{index}{'.1' if index == 0 else ''}"
        yield f"{name}.conv.weight", (256, 256, size, size), torch.float32
        yield from norm_shapes(f"{name}.norm", 256)
    yield f"{ASPP}fusion_layer.conv.weight", (256, 1024, 3, 3), torch.float32
    yield from norm_shapes(f"{ASPP}fusion_layer.norm", 256)
    yield "segmentation_net.head.1.weight", (256, 256, 3, 3), torch.float32
    yield from norm_shapes("segmentation_net.head.2", 256)
    yield "segmentation_net.head.4.weight", (1, 256, 1, 1), torch.float32
    yield "segmentation_net.head.4.bias", (1,), torch.float32


def stage_shapes(name, before, width):
    for block, entering in enumerate((before, width)):
        for conv, source in ((1, entering), (2, width)):
            yield f"{name}.{block}.conv{conv}.weight", (width, source, 3, 3), torch.float32
            yield from norm_shapes(f"{name}.{block}.bn{conv}", width)
        if entering != width:
            yield f"{name}.{block}.downsample.0.weight", (width, entering, 1, 1), torch.float32
            yield from norm_shapes(f"{name}.{block}.downsample.1", width)


def norm_shapes(name, width):
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (width,), torch.float32
    yield f"{name}.num_batches_tracked", (), torch.int64


def random_state(seed: int) -> dict[str, Tensor]:
    """Return weights whose map is neither flat nor saturated; every tensor differs."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape, dtype in shapes():
        if dtype is torch.int64:
            state[name] = torch.randint(1, 5000, shape, generator=generator)
        elif len(shape) == 4:
            deviation = (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
            state[name] = deviation * torch.randn(shape, generator=generator)
        else:
            spread = 0.2 * torch.rand(shape, generator=generator)
            around = 0.9 if name.endswith(("weight", "running_var")) else -0.1
            state[name] = around + spread
    state["segmentation_net.res.0.conv1.weight"] *= 10  # the product's values are small
    state["segmentation_net.res.0.downsample.0.weight"] *= 10
    return state


def anomaly_map(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """[B, 3, S, S], normalized -> their map, upsampled to [B, S, S]."""
    teacher = encode(state, "teacher_net.encoder", x, 3)
    *_, deepest = features = encode(state, "student_net.encoder", x, 4)
    level = stage(state, "student_net.decoder_layer4", deepest)
    student = []
    for number in (3, 2, 1):
        level = bilinear(level, features[number - 1].shape[2:])
        level = stage(state, f"student_net.decoder_layer{number}", level)
        student.insert(0, level)
    products = [-unit(t) * unit(s) for t, s in zip(teacher, student, strict=True)]
    grid = products[0].shape[2:]
    h = stage(state, "segmentation_net.res", torch.cat([bilinear(p, grid) for p in products], 1))
    extractor = f"{ASPP}feature_extractors"
    pooled = conv_norm_relu(state, f"{extractor}.0.1", F.adaptive_avg_pool2d(h, 1))
    views = [conv_norm_relu(state, f"{extractor}.{k}", h, rate=6 * k) for k in (1, 2, 3)]
    h = torch.cat([bilinear(pooled, grid), *views], dim=1)
    h = conv_norm_relu(state, f"{ASPP}fusion_layer", h)
    h = F.conv2d(h, state["segmentation_net.head.1.weight"], padding=1)
    h = norm(state, "segmentation_net.head.2", h).relu()
    h = F.conv2d(h, state["segmentation_net.head.4.weight"], state["segmentation_net.head.4.bias"])
    return bilinear(h.sigmoid(), x.shape[2:])[:, 0]


def encode(state, name, x, last):
    x = F.conv2d(x, state[f"{name}.conv1.weight"], stride=2, padding=3)
    x = F.max_pool2d(norm(state, f"{name}.bn1", x).relu(), 3, stride=2, padding=1)
    found = []
    for number in range(1, last + 1):
        x = stage(state, f"{name}.layer{number}", x, stride=1 if number == 1 else 2)
        found.append(x)
    return found


def stage(state, name, x, stride=1):
    for place in (0, 1):
        block = f"{name}.{place}"
        step = stride if place == 0 else 1
        shortcut = x
        if f"{block}.downsample.0.weight" in state:
            shortcut = F.conv2d(x, state[f"{block}.downsample.0.weight"], stride=step)
            shortcut = norm(state, f"{block}.downsample.1", shortcut)
        x = F.conv2d(x, state[f"{block}.conv1.weight"], stride=step, padding=1)
        x = F.conv2d(
            norm(state, f"{block}.bn1", x).relu(), state[f"{block}.conv2.weight"], padding=1
        )
        x = (norm(state, f"{block}.bn2", x) + shortcut).relu()
    return x


def conv_norm_relu(state, name, x, rate=1):
    weight = state[f"{name}.conv.weight"]
    padding = rate * (weight.shape[-1] // 2)
    return norm(state, f"{name}.norm", F.conv2d(x, weight, padding=padding, dilation=rate)).relu()


def norm(state, name, x):
    parts = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return F.batch_norm(x, *parts, eps=EPS)


def unit(x):
    return x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-12)


def bilinear(x, size):
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
