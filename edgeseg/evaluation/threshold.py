"""The operating point: thresholds for a false-reject rate, from good images only.

Of n good images that were not used in training, the k-th smallest score with
k = ceil((n + 1)(1 - rate)) is exceeded by a further good part with a probability of at most `rate`,
whatever the distribution (split conformal quantile; Vovk et al., Algorithmic Learning in a Random
World, 2005). The pixel threshold bounds the highest map value of an image in the same way: there
the rate is the share of good parts with any anomalous pixel. Each bound holds by itself; rejecting
on either rejects up to twice as many.

n images support no rate below 1 / (n + 1): 1 % needs 99 images.
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
from edgeseg.data.damaged import DamagedImages, refuse_damaged
from edgeseg.data.listing import check_folder, list_images
from edgeseg.errors import ConfigError, DataError, ModelError, WriteError
from edgeseg.evaluation.operating_points import ROUNDING
from edgeseg.evaluation.regions.score import judge_outcome
from edgeseg.evaluation.run_images import run_images
from edgeseg.files import quoted, sha256, shown
from edgeseg.loading import open_run
from edgeseg.log import log
from edgeseg.runtime.base import Backend
from edgeseg.runtime.onnx_card import read_onnx_card
from edgeseg.text import counted, percent

FALSE_REJECT_RATE = 0.01


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Two thresholds, and the false-reject rate that they support."""

    pixel: float
    """A pixel is anomalous above this map value."""
    image: float
    """An image is anomalous above this score."""
    false_reject_rate: float
    """Target, 0 to 1."""
    images: int
    """Number of good images that the thresholds are based on."""

    @property
    def supported_rate(self) -> float:
        """The lowest rate that the number of images supports."""
        return 1 / (self.images + 1)

    @property
    def images_needed(self) -> int:
        """The number of images that the target rate needs."""
        return images_needed(self.false_reject_rate)

    @property
    def warning(self) -> str | None:
        """A warning if there are too few images for the target rate, else None."""
        return rate_warning(self.images, self.false_reject_rate)

    def summary(self) -> str:
        """Return the thresholds and what they rest on, as text."""
        rate, images = percent(self.false_reject_rate), counted(self.images, "held-out good image")
        less = f", too few: they support {percent(self.supported_rate)}" if self.warning else ""
        return (
            f"image threshold {self.image:.6g}, pixel threshold {self.pixel:.6g}\n"
            f"for a false-reject rate (overkill) of {rate}, from {images}{less}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields and what follows from them."""
        derived = ("supported_rate", "images_needed", "warning")
        return dataclasses.asdict(self) | {name: getattr(self, name) for name in derived}


def images_needed(rate: float) -> int:
    """Return the number of held-out images that a false-reject rate needs."""
    return math.ceil(1 / rate - ROUNDING) - 1


def rate_warning(images: int, rate: float) -> str | None:
    """Return a warning if there are too few held-out images for a false-reject rate, else None."""
    supported, wanted = percent(1 / (images + 1)), percent(rate)
    if images >= images_needed(rate) or supported == wanted:
        return None
    return (
        f"{images} good images support a false-reject rate of {supported}, not {wanted}, which "
        f"needs {images_needed(rate)}; the thresholds are the highest values"
    )


def threshold_run(
    run: Path,
    data: Path,
    false_reject_rate: float = FALSE_REJECT_RATE,
    *,
    context: float | None = None,
    strict: bool = False,
) -> Thresholds:
    """Find the thresholds of a run on its held-out images, and write them to its card.

    data: the data set of the training, at any path; for a run without held-out images, such as an
    imported one, a folder of good images that were not used in training. context: sigma of the blur
    of the map, also written to the card; None keeps it. strict: refuse a damaged image, which is
    left out otherwise. Graphs that were exported before keep their thresholds, which is logged.
    """
    check_rate(false_reject_rate)
    card = read_card(run / CARD, ModelCard)
    paths = held_out(card, data)
    if IMPORTED in card.config:
        log.info(f"imported run {run}: valid only if {data} was not used in training")
    with closing(open_run(run, context=context, sets_thresholds=True)) as backend:
        thresholds = fit_thresholds(backend, paths, false_reject_rate, strict=strict)
    same_maps = backend.card.context == card.context
    found = dataclasses.replace(
        card,
        threshold=thresholds.pixel,
        image_threshold=thresholds.image,
        context=backend.card.context,
        threshold_note=thresholds.to_json(),
        metrics=card.metrics if same_maps else {},
    )
    try:
        write_card(run / CARD, found)
    except WriteError:
        log.warning(f"not stored: {thresholds.summary()}")
        raise
    log_outdated(run, found)
    return thresholds


def log_outdated(run: Path, card: ModelCard) -> None:
    """Log the graphs of a run whose thresholds differ from the card's, and how to update them."""
    names = ("threshold", "image_threshold", "context", "rule", "roi")
    for path in sorted(run.glob("[!.]*.onnx")):
        try:
            graph = read_onnx_card(path)
        except ModelError as error:
            log.warning(error.problem)
            continue
        if graph.tiles != card.tiles:
            log.info(
                f"{shown(path)} has other tiles than its run, and keeps its thresholds; to set "
                f"them: edgeseg threshold {quoted(path)} DATA --false-reject 0.01"
            )
        elif any(getattr(graph, name) != getattr(card, name) for name in names):
            batch, (height, width) = graph.frame_shape[0], graph.frame_size
            log.info(
                f"{shown(path)} has the old thresholds, rule or ROIs; to update it: "
                f"edgeseg export {quoted(run)} "
                f"--frame-size {width}x{height} --format {graph.frame_format} --batch {batch}"
            )


def fit_thresholds(
    backend: Backend, paths: Sequence[Path], rate: float, *, strict: bool = False
) -> Thresholds:
    """Run good images through a backend and find the thresholds; strict: refuse a damaged image.

    Where the regions decide, the pixel threshold bounds the region scores.
    """
    scores, peaks, damaged = [], [], DamagedImages()
    for outcome in run_images(backend, paths, title="threshold", damaged=damaged):
        if outcome.shift is None:
            continue  # without the part it would be unknown
        scores.append(outcome.score)
        by_regions = backend.card.rule.by_regions
        peak = judge_outcome(outcome, backend.card).score if by_regions else None
        peaks.append(float(outcome.anomaly_map.max()) if peak is None else peak)
    if strict:
        refuse_damaged(damaged.found)
    return find_thresholds(scores, peaks, rate)


def find_thresholds(scores: ArrayLike, peaks: ArrayLike, rate: float) -> Thresholds:
    """Find the thresholds from the scores [n] and highest map values [n] of good images."""
    check_rate(rate)
    return Thresholds(
        pixel=conformal_quantile(peaks, rate),
        image=conformal_quantile(scores, rate),
        false_reject_rate=rate,
        images=np.size(scores),
    )


def conformal_quantile(values: ArrayLike, rate: float) -> float:
    """Return the value that a further one exceeds with a probability of at most `rate`.

    values [n]; the largest of them is returned if n is too small for the rate.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    if not ordered.size:
        raise DataError(
            "no good images to find a threshold on",
            remedy="train again with more good images or a larger --holdout (share, 0 to 1)",
            code="threshold/no-images",
        )
    if not np.isfinite(ordered).all():
        raise DataError(
            "a score or an anomaly map of a good image is NaN or infinite",
            remedy="train again, and check the loss curves in the run directory",
            code="threshold/not-finite",
        )
    above = math.floor((ordered.size + 1) * rate + ROUNDING)  # number of values that may exceed it
    return float(ordered[-max(above, 1)])


def held_out(card: ModelCard, data: Path) -> list[Path]:
    """Return the held-out files of a training, after comparing their hashes.

    For a run that has none, the images directly in `data`; none of them may be a training image.
    """
    files = {data / name: digest for name, digest in card.split.get("holdout", {}).items()}
    if not files:
        return _unseen(card, data)
    if missing := [path for path in files if not path.is_file()]:
        raise DataError(
            f"held-out image of {card.name} not found: {missing[0]} "
            f"({len(missing)} of {len(files)} are missing)",
            remedy="the path of the data set that the model was trained on",
            code="threshold/file-missing",
        )
    for path, digest in files.items():
        if sha256(path) != digest:
            raise DataError(
                f"held-out image of {card.name} has changed: {path} (different SHA-256)",
                remedy="restore the file, or train again",
                code="threshold/file-changed",
            )
    return list(files)


def _unseen(card: ModelCard, data: Path) -> list[Path]:
    check_folder(data)
    paths = list_images(data)
    if not paths:
        inside = data / "test" / "good"
        example = inside if inside.is_dir() else "FOLDER"
        raise DataError(
            f"no images directly in {data}; {card.name} has no held-out images",
            remedy=f"a folder of good images that were not used in training: {example}",
            code="data/no-images",
        )
    trained = set(card.split.get("train", {}).values())
    if known := [path for path in paths if sha256(path) in trained]:
        raise DataError(
            f"{len(known)} of {len(paths)} images in {data} were used in the training of "
            f"{card.name}, for instance {known[0].name}",
            remedy="a folder of good images that were not used in training",
            code="threshold/trained-images",
        )
    return paths


def check_rate(rate: float, name: str = "false_reject_rate") -> None:
    """ConfigError for a rate outside (0, 1)."""
    if not 0 < rate < 1:
        raise ConfigError(
            f"invalid {name}: {rate} (expected a share between 0 and 1)",
            remedy=f"--{name.replace('_', '-')} 0.01, which is 1 %",
            code="config/out-of-range",
        )
