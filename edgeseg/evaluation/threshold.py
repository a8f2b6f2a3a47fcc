"""Where to draw the line, from good parts alone.

The user says which share of good parts may be rejected. Of n good images that training never saw,
the k-th smallest score, k = ceil((n + 1)(1 - rate)), is a threshold that a further good part
exceeds with a probability of at most `rate`, whatever the scores' distribution (the split conformal
quantile; Vovk et al., Algorithmic Learning in a Random World, 2005). The pixels get the same bound
on each image's highest map value, so there the rate is the share of good parts with any pixel
marked. Each bound holds by itself: who rejects on either rejects up to twice as many.

n images support no rate below 1 / (n + 1): 99 are needed for 1 %.
"""

import dataclasses
import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from edgeseg.cards import CARD, IMPORTED, ModelCard, read_card, write_card
from edgeseg.data.images import list_images
from edgeseg.errors import ConfigError, DataError
from edgeseg.evaluation.inference import run_images
from edgeseg.files import sha256
from edgeseg.loading import open_run
from edgeseg.log import log
from edgeseg.runtime.base import Backend

FALSE_REJECT_RATE = 0.01
_ROUNDING = (
    1e-9  # 0.07 * 100 is 7.000000000000001 in floating point, 0.29 * 100 is 28.999999999999996
)


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Where the line was drawn, and what the good images allow to say about it."""

    pixel: float
    """A pixel is anomalous above this value of the map."""
    image: float
    """A part is rejected above this score."""
    rate: float
    """The wanted share of good parts that is rejected."""
    images: int
    """Good images that the thresholds were found on."""

    @property
    def supported_rate(self) -> float:
        """The lowest rate that so many images support."""
        return 1 / (self.images + 1)

    @property
    def images_needed(self) -> int:
        """How many images the wanted rate takes."""
        return math.ceil(1 / self.rate - _ROUNDING) - 1

    @property
    def warning(self) -> str | None:
        """What is wrong with too few images; None when there are enough."""
        if self.images >= self.images_needed:
            return None
        return (
            f"{self.images} held-out good images support a false-reject rate of "
            f"{100 * self.supported_rate:.3g} %, not {100 * self.rate:.3g} %: each threshold is "
            f"the highest value seen. {self.images_needed} images would do."
        )

    def summary(self) -> str:
        """Return the thresholds, their basis and the warning, as text."""
        lines = [
            f"image threshold {self.image:.6g}, pixel threshold {self.pixel:.6g}",
            f"for a false-reject rate of {100 * self.rate:.3g} %, from {self.images} good images",
        ]
        return "\n".join([*lines, f"warning: {self.warning}"] if self.warning else lines)

    def to_json(self) -> dict[str, Any]:
        """Return everything, what follows from the fields included."""
        derived = ("supported_rate", "images_needed", "warning")
        return dataclasses.asdict(self) | {name: getattr(self, name) for name in derived}


def threshold_run(
    run: Path, data: Path, rate: float = FALSE_REJECT_RATE, *, context: float | None = None
) -> Thresholds:
    """Find a run's thresholds on the images its training held back; write them into its card.

    data: the folder it was trained on, wherever that lies now; of an imported run, a folder with
    good images that its training never saw. context: the sigma of `Fused`, for the card as well;
    None leaves it as it is. The weights stay as they are, and so do graphs exported before, which
    carry the thresholds of their time; they are logged as outdated.
    """
    check_rate(rate)
    card = read_card(run / CARD, ModelCard)
    paths = held_out(card, data)
    if IMPORTED in card.config:
        log.info(f"{run} was imported: the thresholds hold if its training never saw {data}")
    with closing(open_run(run, context=context)) as backend:
        thresholds = fit_thresholds(backend, paths, rate)
    found = dataclasses.replace(
        card,
        threshold=thresholds.pixel,
        image_threshold=thresholds.image,
        context=backend.card.context,
        threshold_note=thresholds.to_json(),
        metrics=card.metrics if backend.card.context == card.context else {},  # of other maps
    )
    write_card(run / CARD, found)
    for graph in sorted(run.glob("*.onnx")):
        log.info(f"{graph} still carries its old thresholds: edgeseg export {run}")
    return thresholds


def fit_thresholds(backend: Backend, paths: Sequence[Path], rate: float) -> Thresholds:
    """Run good images through a backend and find the thresholds."""
    scores, peaks = [], []
    for outcome in run_images(backend, paths, title="threshold"):
        scores.append(outcome.score)
        peaks.append(float(outcome.anomaly_map.max()))
    return find_thresholds(scores, peaks, rate)


def find_thresholds(scores: ArrayLike, peaks: ArrayLike, rate: float) -> Thresholds:
    """Find the thresholds from good images' scores [n] and highest map values [n]."""
    check_rate(rate)
    return Thresholds(
        pixel=conformal_quantile(peaks, rate),
        image=conformal_quantile(scores, rate),
        rate=rate,
        images=np.size(scores),
    )


def conformal_quantile(values: ArrayLike, rate: float) -> float:
    """Return the value that one more of its kind exceeds with a probability of at most `rate`.

    values [n]; the largest of them where n is too small for the rate.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    if not ordered.size:
        raise DataError(
            "There is no good image to find a threshold on.",
            remedy="train again with more good images or a larger --holdout (0.1 is a tenth)",
        )
    above = math.floor((ordered.size + 1) * rate + _ROUNDING)  # ranks that may exceed it
    return float(ordered[-max(above, 1)])


def held_out(card: ModelCard, data: Path) -> list[Path]:
    """Return the files that a training held back, each checked to be the one it was.

    An imported run does not know them: there `data` holds them, and nothing else, directly.
    """
    if IMPORTED in card.config:
        return _unseen(card, data)
    files = {data / name: digest for name, digest in card.split.get("holdout", {}).items()}
    if missing := [path for path in files if not path.is_file()]:
        raise DataError(
            f"{missing[0]} is not there; the training of {card.name} held it back "
            f"({len(missing)} of {len(files)} such files are missing).",
            remedy="name the folder that the model was trained on",
        )
    for path, digest in files.items():
        if sha256(path) != digest:
            raise DataError(
                f"{path} is not the file that the training of {card.name} held back "
                "(another SHA-256).",
                remedy="restore the file, or train again on the images as they are now",
            )
    return list(files)


def _unseen(card: ModelCard, data: Path) -> list[Path]:
    paths = list_images(data)
    if not paths:
        inside = data / "test" / "good"
        example = inside if inside.is_dir() else "FOLDER"
        raise DataError(
            f"{data} itself holds no image. {card.name} was imported, and which images its "
            "training held back is not known.",
            remedy=f"name a folder of good parts that it never saw: {example}",
        )
    return paths


def check_rate(rate: float) -> None:
    """Refuse a rate that is none."""
    if not 0 < rate < 1:
        raise ConfigError(
            f"The false-reject rate is {rate}; a share between 0 and 1 was expected.",
            remedy="--false-reject-rate 0.01 rejects one good part in a hundred",
        )
