"""Run image files through a backend, in batches of its graph."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.images import fill_frame, read_image
from edgeseg.errors import ModelError
from edgeseg.progress import task
from edgeseg.runtime.base import Backend


@dataclass(frozen=True)
class Outcome:
    """The outputs for one image; the arrays are views, valid until the next outcome."""

    path: Path
    size: tuple[int, int]
    """(height, width) of the image file."""
    score: float
    anomaly_map: NDArray[np.float32]
    """[S, S]"""
    mask: NDArray[np.uint8]
    """[H, W], at frame size."""


def run_images(backend: Backend, paths: Sequence[Path], *, title: str) -> Iterator[Outcome]:
    """Yield the outcome of each image file, in order, with a progress bar named `title`.

    Errors: DataError for a file that cannot be read, ModelError for a map that is not finite.
    """
    card = backend.card
    slot = backend.new_slot()
    backend.bind(slot)
    batch = len(slot.frame)
    with task(title, len(paths)) as bar:
        for start in range(0, len(paths), batch):
            part = paths[start : start + batch]
            sizes = []
            # The last batch may be short; the other frames keep their content.
            for frame, path in zip(slot.frame, part, strict=False):
                image = read_image(path, card.bit_depth)
                sizes.append(image.shape[:2])
                fill_frame(frame, image, source="rgb", target=card.frame_format)
            backend.run()
            for place, (path, size) in enumerate(zip(part, sizes, strict=True)):
                outcome = Outcome(
                    path, size, float(slot.score[place]), slot.anomaly_map[place], slot.mask[place]
                )
                _check_finite(backend, outcome)
                yield outcome
                bar.advance()


def _check_finite(backend: Backend, outcome: Outcome) -> None:
    if not (np.isfinite(outcome.score) and np.isfinite(outcome.anomaly_map).all()):
        raise ModelError(
            f"NaN or Inf in the output of {backend.card.name} on {backend.name} for {outcome.path}",
            remedy="edgeseg verify compares models; edgeseg build-engine --precision fp32",
            code="model/not-finite",
        )
