"""How much memory a training on the CPU takes, before it is begun: what a small one keeps, scaled.

What a step keeps for its backward pass is counted on two small images with random weights; it grows
with the pixels and with the batch. Everything else is added up.
"""

import dataclasses
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from edgeseg.model.detectors import build_detector
from edgeseg.model.teacher import Teacher
from edgeseg.recipes import TrainConfig
from edgeseg.training.batches import Batch
from edgeseg.training.feature_cache import kept_bytes
from edgeseg.training.phases import phases
from edgeseg.training.train import json_config

SIDE = 64  # pixels of the small images
PROCESS = 850 << 20  # an interpreter with PyTorch, before its first step
SLACK = 1.5  # what the libraries work in beside it, and what the allocator leaves unused


def training_bytes(config: TrainConfig, images: int) -> int:
    """Return about how many bytes a training on so many images takes at its largest."""
    small = dataclasses.replace(config, image_size=SIDE, batch=2, top=1)
    detector = build_detector(small.model, Teacher(small.teacher), json_config(small), SIDE)
    detector.eval()
    kept = features = 0
    for phase in phases(detector, small, images):
        phase.trained.train()
        kept = max(kept, _kept(partial(phase.loss, _batch(small.batch)), detector))
        if phase.follows:
            device = detector.mean.device
            features = kept_bytes(config, detector.teacher.channels, images, phase.steps, device)
    pixels = config.image_size**2
    kept = kept * config.batch * pixels // (small.batch * SIDE**2)
    weights = sum(p.nbytes for p in detector.parameters())
    trained = sum(p.nbytes for p in detector.parameters() if p.requires_grad)
    states = 3 if config.optimizer == "adam" else 2  # and one gradient, among them
    decoded = 3 * pixels * images
    return PROCESS + weights + states * trained + decoded + features + round(SLACK * kept)


def _batch(images: int) -> Batch:
    noise = torch.randint(0, 256, (images, 3, SIDE, SIDE), dtype=torch.uint8)
    return Batch(noise, noise, torch.zeros(images, 1, SIDE, SIDE, dtype=torch.bool))


def _kept(make_loss: Callable[[], Tensor], detector: nn.Module) -> int:
    """Return the bytes that autograd keeps of a loss, each tensor once, the weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in detector.parameters()}
    storages: dict[int, Tensor] = {}  # alive, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        make_loss()
    activations = (t for place, t in storages.items() if place not in weights)
    return sum(tensor.untyped_storage().nbytes() for tensor in activations)
