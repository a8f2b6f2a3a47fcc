"""The teacher's features of the good images, kept where every step sees the same images.

Neither the teacher nor a good image that is not rotated or lit anew changes in a training: one pass
over the images takes the place of one in each step. The pass walks through them in their order, so
that a resumed training keeps the very same numbers.
"""

import torch
from torch import Tensor

from edgeseg.model.detector import Detector
from edgeseg.model.teacher import STRIDES
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batches
from edgeseg.training.phases import Phase
from edgeseg.training.step import autocast, precision

MOST = 1 << 30  # bytes; ResNet18's features at 256 pixels are 0.9 MiB an image in bfloat16


def kept_bytes(
    config: TrainConfig, channels: list[int], images: int, steps: int, device: torch.device
) -> int:
    """Return the bytes that are kept for so many images and steps; 0: nothing is kept.

    Nothing is where the images change, the memory does not suffice, or the steps are too few. A GPU
    has the features sooner than the bus brings them.
    """
    changing = config.augmentation and (config.rotation != "none" or config.lighting > 0)
    if changing or device.type != "cpu" or steps * config.batch <= images:
        return 0
    levels = zip(channels, STRIDES, strict=True)
    values = sum(width * (config.image_size // stride) ** 2 for width, stride in levels)
    total = values * images * precision(device).itemsize
    return total if total <= MOST else 0


def keep_features(phase: Phase, detector: Detector, batches: Batches) -> None:
    """Give the batches what a phase's steps would compute again and again, or nothing."""
    channels, device = detector.teacher.channels, detector.mean.device
    batches.kept = None
    if phase.follows and kept_bytes(
        batches.config, channels, len(batches.images), phase.steps, device
    ):
        batches.kept = kept_features(detector, batches)


@torch.no_grad()
def kept_features(detector: Detector, batches: Batches) -> list[Tensor]:
    """Return the teacher's features of all good images: [N, h_k, w_k, C_k] for k = 0, 1, 2."""
    device = detector.mean.device
    kept: list[Tensor] = []
    done = 0
    for good in batches.good():
        with autocast(device):
            levels = detector.teacher(detector.normalize(good.to(device)))
        parts = [level.permute(0, 2, 3, 1) for level in levels]
        kept = kept or [part.new_empty(len(batches.images), *part.shape[1:]) for part in parts]
        for whole, part in zip(kept, parts, strict=True):
            whole[done : done + len(part)] = part
        done += len(good)
    return kept
