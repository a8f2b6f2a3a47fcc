"""Cache of the teacher's features of the training images.

While the images are neither rotated nor relit, their features do not change: one pass over all
images replaces one pass per step. The images are processed in order, so that a resumed training
caches the same values.
"""

import torch
from torch import Tensor

from edgeseg.frame.geometry import Size
from edgeseg.model.detector import Detector
from edgeseg.model.teacher import STRIDES
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batches
from edgeseg.training.phases import Phase
from edgeseg.training.step import autocast, precision

MAX_BYTES = 1 << 30  # ResNet18's features at 256 pixels take 0.9 MiB per image in BF16


def cache_bytes(
    config: TrainConfig,
    network: Size,
    channels: list[int],
    images: int,
    steps: int,
    device: torch.device,
) -> int:
    """Return the bytes of the cache for a number of images and steps; 0 disables it.

    It is disabled if the images change, if it exceeds MAX_BYTES, if the steps are too few, and on
    a GPU, which computes the features faster than the bus transfers them.
    """
    changing = config.augmentation and (config.rotation != "none" or config.lighting > 0)
    if changing or device.type != "cpu" or steps * config.batch <= images:
        return 0
    levels = zip(channels, STRIDES, strict=True)
    height, width = network
    values = sum(wide * (height // stride) * (width // stride) for wide, stride in levels)
    total = values * images * precision(device).itemsize
    return total if total <= MAX_BYTES else 0


def fill_cache(phase: Phase, detector: Detector, batches: Batches) -> None:
    """Set the features of `batches` for a phase, or clear them."""
    channels, device = detector.teacher.channels, detector.mean.device
    images = len(batches.images)
    useful = phase.uses_teacher and cache_bytes(
        batches.config, batches.network, channels, images, phase.steps, device
    )
    batches.features = teacher_features(detector, batches) if useful else None


@torch.no_grad()
def teacher_features(detector: Detector, batches: Batches) -> list[Tensor]:
    """Return the teacher's features of all images: [N, h_k, w_k, C_k] for k = 0, 1, 2."""
    device = detector.mean.device
    found: list[Tensor] = []
    done = 0
    for good in batches.good():
        with autocast(device):
            levels = detector.teacher(detector.normalize(good.to(device)))
        parts = [level.permute(0, 2, 3, 1) for level in levels]
        found = found or [part.new_empty(len(batches.images), *part.shape[1:]) for part in parts]
        for whole, part in zip(found, parts, strict=True):
            whole[done : done + len(part)] = part
        done += len(good)
    return found
