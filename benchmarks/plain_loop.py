"""The plain loop: a training as one writes it first, from the paper and a tutorial.

FP32 in PyTorch's usual order of memory; every photo decoded and every texture read at each step, in
between the steps; all weights want gradients, so that the frozen networks build a graph that nobody
walks back; the head's constant view is convolved like the others. The networks, the losses and the
anomalies are edgeseg's own.
"""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from edgeseg.data.augment import relight, rotate
from edgeseg.data.images import Image, Mask, read_image, resize
from edgeseg.data.synth import trained_corruptor
from edgeseg.data.textures import FolderTextures
from edgeseg.model.detector import Detector
from edgeseg.model.dskd import DSKD
from edgeseg.model.head import Aspp
from edgeseg.recipes import TrainConfig
from edgeseg.training.losses import cosine_loss, dskd_loss, head_loss
from edgeseg.training.phases import Phase

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(clean, corrupted, both normalized; mask float32 [B, 1, S, S]) -> what is lowered."""


class Plain:
    """Trains a detector of its own on photos that it reads anew."""

    def __init__(self, config: TrainConfig, photos: list[Path], detector: Detector) -> None:
        self.config, self.photos = config, photos
        self.detector = detector.requires_grad_(True)
        assert config.textures is not None
        self.corruptor = trained_corruptor(asdict(config), ReadEachTime(config.textures))
        self.losses: dict[str, Loss] = {
            "student": self._students if isinstance(detector, DSKD) else self._student,
            "head": self._head,
        }

    def begin(self, phase: Phase) -> torch.optim.Optimizer:
        """Return the optimizer of a phase."""
        self.detector.eval()
        phase.trained.train()
        for module in phase.trained.modules():
            if isinstance(module, Aspp):
                module.training = False  # itself, not its parts: it fuses all views by one product
        parameters = [
            {"params": list(part.parameters()), "lr": rate} for part, rate in phase.learning_rates
        ]
        if self.config.optimizer == "adam":
            return torch.optim.Adam(parameters, betas=(self.config.momentum, 0.999))
        decay = self.config.weight_decay
        return torch.optim.SGD(parameters, momentum=self.config.momentum, weight_decay=decay)

    def step(self, phase: Phase, optimizer: torch.optim.Optimizer, step: int) -> None:
        """Make one step."""
        rng = np.random.default_rng([self.config.seed, phase.index, step])
        places = rng.integers(len(self.photos), size=self.config.batch)
        triples = [self._triple(self.photos[k], rng, phase.index) for k in places]
        clean, corrupted, mask = (torch.from_numpy(np.stack(p)) for p in zip(*triples, strict=True))
        pictures = (
            self.detector.normalize(t.permute(0, 3, 1, 2).float()) for t in (clean, corrupted)
        )
        loss = self.losses[phase.name](*pictures, mask[:, None].float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        float(loss.detach())

    def _triple(self, path: Path, rng: Generator, phase: int) -> tuple[Image, Image, Mask]:
        side = self.config.image_size
        clean = resize(read_image(path), side, side)
        clean = relight(rotate(clean, self.config.rotation, rng), self.config.lighting, rng)
        if self.config.corrupts[phase]:
            return (clean, *self.corruptor.corrupt(clean, rng))
        return clean, clean, np.zeros((side, side), np.bool_)

    def _student(self, clean: Tensor, corrupted: Tensor, mask: Tensor) -> Tensor:
        target = [level.detach() for level in self.detector.teacher(clean)]
        return cosine_loss(target, self.detector.student(corrupted))

    def _students(self, clean: Tensor, corrupted: Tensor, mask: Tensor) -> Tensor:
        teacher = [level.detach() for level in self.detector.teacher(clean)]
        return dskd_loss(self.detector.pairs(clean, teacher), self.config.distance_weight)

    def _head(self, clean: Tensor, corrupted: Tensor, mask: Tensor) -> Tensor:
        logits = self.detector.head(self.detector.evidence(corrupted).detach())
        return head_loss(logits, mask, self.config.focal_gamma, l1=self.config.l1)


class ReadEachTime(FolderTextures):
    """A folder of textures, each read and resized anew when it is drawn."""

    def draw(self, rng: Generator, side: int) -> Image:
        return resize(read_image(self.paths[rng.integers(len(self.paths))]), side, side)
