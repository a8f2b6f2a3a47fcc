"""Training batches, a pure function of (seed, phase, step), so that a resumed run repeats them."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from edgeseg.data.augment import relight, rotate
from edgeseg.data.defective.mix import DefectMixer
from edgeseg.data.defective.read import KnownDefect
from edgeseg.data.images import Image, Mask
from edgeseg.data.synth import Corruptor, trained_corruptor
from edgeseg.data.textures import FolderTextures, ProceduralTextures
from edgeseg.frame.geometry import Size, middle
from edgeseg.recipes import TrainConfig

HEAD = 1
"""Index of the head's phase."""


@dataclass(frozen=True)
class Batch:
    """clean, corrupted: uint8 [B, 3, S, S'], channels last; mask: bool [B, 1, S, S']."""

    clean: Tensor
    corrupted: Tensor
    mask: Tensor
    target: list[Tensor] | None = None
    """Cached features of the teacher for clean: [B, C_k, h_k, w_k], channels last."""
    among: Tensor | None = None
    """bool [B, 1, S, S']: the pixels that a defect without a mask is among; None: there is none."""

    def to(self, device: torch.device) -> "Batch":
        clean, corrupted, mask = (
            t.to(device, non_blocking=True) for t in (self.clean, self.corrupted, self.mask)
        )
        among = None if self.among is None else self.among.to(device, non_blocking=True)
        return Batch(clean, corrupted, mask, self.target, among)


class Batches:
    """Good images, rotated, relit and corrupted at random for each step.

    In a phase whose loss does not use synthetic anomalies, corrupted equals clean. defects: take
    the place of a part of the synthetic anomalies in the phase of the head.
    """

    def __init__(
        self,
        images: Sequence[Image],
        config: TrainConfig,
        defects: Sequence[KnownDefect] = (),
        *,
        network: Size | None = None,
        inside: Sequence[Mask] = (),
    ) -> None:
        """Images: of `read_images`; network: its size, by default that of the first image.

        inside: where anomalies may be, bool [h, w] of the images' size, for each tile of an image;
        (): everywhere.
        """
        self.images = images
        self.config = config
        self.network: Size = network or (images[0].shape[0], images[0].shape[1])
        self.mixer = DefectMixer(defects) if defects else None
        self.features: list[Tensor] | None = None
        """Cached features of the teacher for all images, [N, h_k, w_k, C_k]."""
        textures = FolderTextures(config.textures) if config.textures else ProceduralTextures()
        settings = asdict(config)
        masks: Sequence[Mask | None] = inside or [None]
        self.corruptors = [trained_corruptor(settings, textures, images, each) for each in masks]

    def make(self, phase: int, step: int) -> Batch:
        """Return the batch of one step."""
        rng = np.random.default_rng([self.config.seed, phase, step])
        corrupt = self.config.corrupts[phase]
        indices = self._indices(phase, step)
        if self.mixer is not None and phase == HEAD:
            return self._with_defects(self.mixer, indices, rng)
        triples = [self.triple(index, rng, corrupt=corrupt) for index in indices]
        clean, corrupted, mask = (np.stack(part) for part in zip(*triples, strict=True))
        return Batch(
            torch.from_numpy(clean).permute(0, 3, 1, 2),
            torch.from_numpy(corrupted).permute(0, 3, 1, 2),
            torch.from_numpy(mask)[:, None],
            self._target(indices),
        )

    def _with_defects(self, mixer: DefectMixer, indices: list[int], rng: Generator) -> Batch:
        """Return a batch with known defects among the synthetic anomalies; the head needs no clean
        image."""
        images, masks, among = [], [], []
        for index in indices:
            kind = mixer.choose(rng)
            _, image, mask = self._content(index, rng, corrupt=kind is None)
            region = np.zeros_like(mask)
            if kind is not None:
                defect, pasted = kind
                if pasted:
                    pair = mixer.paste(image, defect, rng)
                    image, mask = self._corruptor(index).restrict(image, *pair)
                else:
                    image, mask = self._changed(defect, rng)
                    mask, region = (mask, region) if defect.exact else (region, mask)
            images.append(self.fill(image))
            masks.append(self.fill(mask))
            among.append(self.fill(region))
        corrupted = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        weak = torch.from_numpy(np.stack(among))[:, None] if np.any(among) else None
        return Batch(corrupted, corrupted, torch.from_numpy(np.stack(masks))[:, None], None, weak)

    def _changed(self, defect: KnownDefect, rng: Generator) -> tuple[Image, np.ndarray]:
        """Return a defective image, rotated and relit like a good one, and its region."""
        config = self.config
        if not config.augmentation:
            return defect.image, defect.region
        layers = np.dstack([defect.image, defect.region.astype(np.uint8) * 255])
        turned = rotate(layers, config.rotation, rng)
        return relight(turned[:, :, :3], config.lighting, rng), turned[:, :, 3] > 127

    def good(self) -> Iterator[Tensor]:
        """Yield every image once, unchanged: uint8 [B, 3, S, S']."""
        return self.filled(self.images)

    def filled(self, images: Sequence[Image]) -> Iterator[Tensor]:
        """Yield batches of images at the network's size, unchanged: uint8 [B, 3, S, S']."""
        for first in range(0, len(images), self.config.batch):
            some = [self.fill(image) for image in images[first : first + self.config.batch]]
            yield torch.from_numpy(np.stack(some)).permute(0, 3, 1, 2)

    def triple(
        self, index: int, rng: Generator, *, corrupt: bool = True
    ) -> tuple[Image, Image, np.ndarray]:
        """Return an augmented image, its corrupted version, and the mask of the difference.

        All have the network's size. What an image leaves free is filled after its corruption, as in
        a frame, so an anomaly that reaches the edge goes on there, in the mask too.
        """
        clean, corrupted, mask = self._content(index, rng, corrupt=corrupt)
        return self.fill(clean), self.fill(corrupted), self.fill(mask)

    def _content(
        self, index: int, rng: Generator, *, corrupt: bool
    ) -> tuple[Image, Image, np.ndarray]:
        """Return the same at the size of the image, before it is filled."""
        config, clean = self.config, self.images[index]
        if config.augmentation:
            clean = relight(rotate(clean, config.rotation, rng), config.lighting, rng)
        if not corrupt:
            return clean, clean, np.zeros(clean.shape[:2], np.bool_)
        return (clean, *self._corruptor(index).corrupt(clean, rng))

    def _corruptor(self, index: int) -> Corruptor:
        """Return that of an image; tiles of an image follow each other."""
        return self.corruptors[index % len(self.corruptors)]

    def fill(self, image: np.ndarray) -> np.ndarray:
        """Put an image or a mask [h, w(, 3)] in the middle of the network's size, edges repeated.

        One of that size is returned as it is.
        """
        if image.shape[:2] == self.network:
            return image
        box = middle((image.shape[0], image.shape[1]), self.network)
        around = [
            (start, side - start - length)
            for start, side, length in zip(box, self.network, box.size, strict=False)
        ]
        around += [(0, 0)] * (image.ndim - 2)
        return np.pad(image, around, mode="edge")

    def stream(self, phase: int, start: int, stop: int, *, threads: int = 1) -> Iterator[Batch]:
        """Yield the batches of steps start..stop-1; each thread prepares one of the next ones."""
        steps = iter(range(start, stop))
        with ThreadPoolExecutor(threads, thread_name_prefix="batches") as pool:
            pending = deque(pool.submit(self.make, phase, step) for step in islice(steps, threads))
            while pending:
                batch = pending.popleft().result()
                pending.extend(pool.submit(self.make, phase, step) for step in islice(steps, 1))
                yield batch

    def _target(self, indices: list[int]) -> list[Tensor] | None:
        if self.features is None:
            return None
        chosen = torch.tensor(indices)
        return [level.index_select(0, chosen).permute(0, 3, 1, 2) for level in self.features]

    def _indices(self, phase: int, step: int) -> list[int]:
        """Return the images of a step, in an order that is shuffled for each epoch."""
        count, first = len(self.images), step * self.config.batch
        places = range(first, first + self.config.batch)
        orders = {
            epoch: np.random.default_rng([self.config.seed, phase, epoch, 1]).permutation(count)
            for epoch in {place // count for place in places}
        }
        return [int(orders[place // count][place % count]) for place in places]
