"""Pictures of a training: a preview of the synthetic anomalies, and maps for the trackers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch

from edgeseg.data.frames import evenly
from edgeseg.data.images import Image, write_png
from edgeseg.model.destseg import DeSTSeg
from edgeseg.model.detector import Detector
from edgeseg.model.dskd import DSKD
from edgeseg.tracking.tracking import Tracking
from edgeseg.training.batches import Batches
from edgeseg.training.phases import Phase
from edgeseg.training.step import autocast

TILE = 160  # longest side, pixels
COLUMNS = 8
TRIES = 8  # drawings of an anomaly, of which one in three has no pixel
MAPS = 6  # held-out images whose maps are shown
TIMES = 4  # pictures of maps in each phase


def write_preview(path: Path, batches: Batches) -> Path:
    """Write a grid of eight good images, their corrupted versions and the masks (rows).

    In every other column a known defect is pasted, if there are any with a mask.
    """
    write_png(path, draw_preview(batches))
    return path


def draw_preview(batches: Batches) -> Image:
    """Return the picture of `write_preview`, RGB."""
    rng = np.random.default_rng([batches.config.seed, 2])
    corrupt = any(batches.config.corrupts)
    columns = []
    for place in range(COLUMNS):
        clean, corrupted, mask = batches.triple(place % len(batches.images), rng, corrupt=corrupt)
        if (mixer := batches.mixer) and mixer.exact and place % 2:
            defect = mixer.exact[int(rng.integers(len(mixer.exact)))]
            corrupted, mask = mixer.paste(clean, defect, rng)
        columns.append(_column(clean, corrupted, _gray(mask)))
    return np.hstack(columns)


class Watcher:
    """Tells the trackers of each step, and shows maps of images that are not trained on.

    held: the held-out images; anomalies are drawn on some of them, always the same.
    """

    def __init__(
        self, tracking: Tracking, detector: Detector, batches: Batches, held: list[Image]
    ) -> None:
        self.tracking, self.detector = tracking, detector
        self._pairs = _pairs(batches, held) if tracking else []

    def tell(self, phase: Phase, first: int, step: int, **values: float) -> None:
        """Record the values of a step. first: the number of steps in the phases before."""
        if not self.tracking:
            return
        self.tracking.put(first + step, {f"{phase.name}/{k}": v for k, v in values.items()})
        if (step + 1) % max(phase.steps // TIMES, 1) == 0:
            maps = self._maps(phase)
            masks = [mask for _, mask in self._pairs]
            means = {"inside": _mean(maps, masks), "outside": _mean(maps, [~m for m in masks])}
            self.tracking.put(first + step, {f"held-out map/{k}": v for k, v in means.items()})
            top = max(max(float(each.max()) for each in maps), 1e-9)
            columns = [
                _column(image, _gray(mask), _gray(found / top))
                for (image, mask), found in zip(self._pairs, maps, strict=True)
            ]
            self.tracking.picture(first + step, "held-out maps", np.hstack(columns))

    @torch.inference_mode()
    def _maps(self, phase: Phase) -> list[np.ndarray]:
        """Return the map of each image, float32 [S, S'], without a head that is not trained yet."""
        images = torch.from_numpy(np.stack([image for image, _ in self._pairs]))
        x = self.detector.normalize(images.permute(0, 3, 1, 2).to(self.detector.mean.device))
        self.detector.eval()
        try:
            with _without_head(self.detector, hidden=phase.uses_teacher), autocast(x.device):
                maps = self.detector(x)
        finally:
            phase.trained.train()
        maps = (maps[0] if isinstance(maps, tuple) else maps).float()
        sized = torch.nn.functional.interpolate(maps, x.shape[2:], mode="bilinear")
        return [*sized[:, 0].cpu().numpy()]


def _pairs(batches: Batches, held: list[Image]) -> list[tuple[Image, np.ndarray]]:
    """Draw an anomaly on some images: [(uint8 [S, S', 3], mask bool [S, S'])]."""
    rng = np.random.default_rng([batches.config.seed, 3])
    found = []
    for index in evenly(len(held) or len(batches.images), MAPS):
        clean = (held or batches.images)[index]
        corruptor = batches.corruptors[index % len(batches.corruptors)]
        for _ in range(TRIES):
            image, mask = corruptor.corrupt(clean, rng)
            if mask.any():
                break
        found.append((batches.fill(image), batches.fill(mask)))
    return found


@contextmanager
def _without_head(detector: Detector, *, hidden: bool) -> Iterator[None]:
    assert isinstance(detector, DeSTSeg | DSKD), "unknown detector"
    head = detector.head
    try:
        detector.head = None if hidden else head
        yield
    finally:
        detector.head = head


def _mean(maps: list[np.ndarray], masks: list[np.ndarray]) -> float:
    """Return the mean of maps where masks are set, 0 where none is."""
    values = np.concatenate([each[mask] for each, mask in zip(maps, masks, strict=True)])
    return float(values.mean()) if values.size else 0.0


def _gray(values: np.ndarray) -> Image:
    """0..1 or bool [h, w] -> RGB uint8 [h, w, 3]."""
    return np.repeat(np.rint(255 * values[:, :, None]).astype(np.uint8), 3, axis=2)


def _column(*pictures: Image) -> Image:
    """Return pictures of one size below each other, at most TILE pixels wide and high."""
    shape = pictures[0].shape
    height, width = (max(round(n * TILE / max(shape[:2])), 1) for n in shape[:2])
    return np.vstack([cv2.resize(each, (width, height)) for each in pictures]).astype(np.uint8)
