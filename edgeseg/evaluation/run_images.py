"""Run image files through a backend, in batches of its graph."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.damaged import DamagedImages
from edgeseg.data.images import Image, fill_frame, read_image
from edgeseg.errors import DataError, ModelError
from edgeseg.frame.geometry import Box, Size, fit
from edgeseg.frame.locate import STILL, Shift, placed
from edgeseg.progress import task
from edgeseg.runtime.base import Backend, Slot
from edgeseg.verdict.rule import Rule


@dataclass(frozen=True)
class Outcome:
    """The outputs for one image; the arrays are views, valid until the next outcome."""

    place: int
    """Of its path among those that were given."""
    path: Path
    score: float
    anomaly_map: NDArray[np.float32]
    """[h, w], what the network's map has of the image"""
    mask: NDArray[np.uint8]
    """[H, W], what the frame's mask has of the image"""
    box: Box
    """Where the image lies in the network's map."""
    input_check: NDArray[np.float32]
    """[K], of the card's `input_check`; empty where the model has no check."""
    size: Size
    """(height, width) of the image."""
    shift: Shift | None
    """How far the image was moved, so that the part is in its place; None: it was not found."""

    def in_image(self) -> NDArray[np.float32]:
        """Return the map where it is in the image itself."""
        return (self.shift or STILL).back(self.anomaly_map, self.size, smooth=True)

    def scale(self, rule: Rule) -> tuple[float, float]:
        """Return how many pixels of the picture a pixel of the mask spans, (x, y)."""
        return rule.scale(self.size, (self.mask.shape[0], self.mask.shape[1]))


def run_images(
    backend: Backend, paths: Sequence[Path], *, title: str, damaged: DamagedImages
) -> Iterator[Outcome]:
    """Yield the outcome of each image file, in order, with a progress bar named `title`.

    damaged: gets the files that cannot be read; those have no outcome. Errors: DataError if all
    are damaged, ModelError for a map that is not finite.
    """
    card = backend.card
    slot = backend.new_slot()
    backend.bind(slot)
    filled: list[tuple[int, Size, Shift | None]] = []
    with task(title, len(paths)) as bar:
        for place, path in enumerate(paths):
            image = _read(path, card.bit_depth, damaged)
            if image is not None:
                image, shift = placed(image, card.roi)
                frame = slot.frame[len(filled)]
                kind, aspect = card.frame_format, card.aspect
                fill_frame(frame, image, source="rgb", target=kind, aspect=aspect)
                filled.append((place, (image.shape[0], image.shape[1]), shift))
            # The last batch may be short; the other frames keep their content.
            if filled and (len(filled) == len(slot.frame) or place == len(paths) - 1):
                backend.run()
                for n, (done, size, shift) in enumerate(filled):
                    found = _outcome(backend, slot, n, done, paths[done], size)
                    yield replace(found, shift=shift)
                filled = []
            bar.advance()
    damaged.refuse_all(len(paths))


def _read(path: Path, bit_depth: int, damaged: DamagedImages) -> Image | None:
    try:
        return read_image(path, bit_depth)
    except DataError as error:
        damaged.add(path, error)
        return None


def _outcome(backend: Backend, slot: Slot, n: int, place: int, path: Path, size: Size) -> Outcome:
    card = backend.card
    box, shown = card.content_of(size), fit(size, card.frame_size, card.aspect)
    outcome = Outcome(
        place=place,
        path=path,
        score=float(slot.score[n]),
        anomaly_map=slot.anomaly_map[n, box.rows, box.columns],
        mask=slot.mask[n, shown.rows, shown.columns],
        box=box,
        input_check=slot.input_check[n],
        size=size,
        shift=STILL,
    )
    if not (np.isfinite(outcome.score) and np.isfinite(outcome.anomaly_map).all()):
        raise ModelError(
            f"NaN or Inf in the output of {backend.card.name} on {backend.name} for {path}",
            remedy="edgeseg verify compares models; edgeseg build-engine --precision fp32",
            code="model/not-finite",
        )
    return outcome
