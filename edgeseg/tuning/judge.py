"""What judges a recipe: good parts that no trial trains on, and defects drawn on them.

    judge/000.png ...   drawn on held-out parts at the size of their photos, with masks beside them
    judge/judge.json    the images and what they show; the last file

The good parts are split three ways by seed: those that set the thresholds of the result
(`--holdout`), which no choice looks at; those that judge; the rest, which trials train on. The
final training also trains on those that judged.
"""

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.data.defective.families import FAMILIES, draw_defect
from edgeseg.data.defective.known import digest_of, split_defects
from edgeseg.data.images import Mask, read_image, read_pixels, write_png
from edgeseg.data.layouts import Dataset, Sample, split_good
from edgeseg.data.truth import read_mask_of
from edgeseg.errors import DataError, WriteError
from edgeseg.files import cannot_write, shown, write_atomic
from edgeseg.recipes import TrainConfig
from edgeseg.training.prepare import split_samples

MANIFEST = "judge.json"
SHARE, MOST_JUDGING, LEAST_JUDGING = 0.3, 60, 8  # good parts that judge
LEAST_TRAINING = 8
EACH = 12  # drawn defects of a family


@dataclass(frozen=True)
class GoodParts:
    """The good parts of a data set, and its defective ones."""

    training: tuple[Sample, ...]
    """For trials."""
    judging: tuple[Sample, ...]
    defects: tuple[Sample, ...]
    """Real ones that judge."""
    left: tuple[Sample, ...]
    """The test set without them."""


@dataclass(frozen=True)
class JudgingImage:
    """An image that judges; group: `good`, a drawn family or a type of real defect."""

    path: Path
    group: str
    mask: Path | None = None

    def mask_of(self) -> Mask | None:
        """Return the mask of the defect, bool [H, W]; None if it is unknown."""
        if self.mask is None:
            return None
        height, width = read_pixels(self.path).shape[:2]
        return read_mask_of(self.path, self.mask, (height, width))


def split_parts(dataset: Dataset, config: TrainConfig, defect_share: float) -> GoodParts:
    """Split the parts; the same seed gives the same split.

    defect_share: of the defective images of each type that judge. DataError for too few good parts
    (`tune/few-images`), or as `split_defects`.
    """
    rest, _ = split_samples(dataset, config)
    count = min(round(SHARE * len(rest)), MOST_JUDGING)
    if count < LEAST_JUDGING or len(rest) - count < LEAST_TRAINING:
        enough = round(LEAST_JUDGING / SHARE / (1 - config.holdout)) + 1
        raise DataError(
            f"{len(dataset.train)} good images for training in {shown(dataset.root)} are too few "
            f"to compare recipes (expected at least {enough})",
            remedy=f"{enough} images of good parts, or the default recipe: edgeseg train DATA",
            code="tune/few-images",
        )
    training, judging = split_good(rest, count / len(rest), config.seed + 1)
    defects: list[Sample] = []
    left = list(dataset.test)
    if defect_share:
        defects, _ = split_defects(dataset, defect_share, config.seed)
        chosen = {digest_of(sample.path) for sample in defects}
        left = [s for s in dataset.test if s.good or digest_of(s.path) not in chosen]
    return GoodParts(tuple(training), tuple(judging), tuple(defects), tuple(left))


def judging_images(parts: GoodParts, folder: Path, seed: int) -> list[JudgingImage]:
    """Return the images that judge, and draw them into a folder unless they are there.

    Whoever is first to complete the folder wins, so processes may call this at the same time.
    """
    if not (folder / MANIFEST).is_file():
        _draw(parts, folder, seed)
    drawn = json.loads((folder / MANIFEST).read_text(encoding="ascii"))
    found = [JudgingImage(sample.path, "good") for sample in parts.judging]
    found += [
        JudgingImage(folder / name, family, folder / f"{name[:-4]}_mask.png")
        for name, family in drawn.items()
    ]
    return found + [JudgingImage(s.path, f"real {s.label}", s.mask) for s in parts.defects]


def _draw(parts: GoodParts, folder: Path, seed: int) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise cannot_write(folder, error) from error
    try:
        names = _draw_all([s.path for s in parts.judging], made, seed)
        write_atomic(made / MANIFEST, json.dumps(names, indent=1).encode())
        if folder.exists() and not (folder / MANIFEST).is_file():
            shutil.rmtree(folder)
        made.replace(folder)
    except WriteError as error:  # it names a folder that is removed
        cause = error.__cause__
        known = cause if isinstance(cause, OSError) else OSError(error.problem)
        raise cannot_write(folder, known) from error
    except OSError as error:
        if not (folder / MANIFEST).is_file():
            raise cannot_write(folder, error) from error
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _draw_all(good: Sequence[Path], folder: Path, seed: int) -> dict[str, str]:
    rng = np.random.default_rng([seed, 19])
    order = rng.permutation(len(good))
    names: dict[str, str] = {}
    for family in FAMILIES:
        for _ in range(EACH):
            number = len(names)
            image = read_image(good[int(order[number % len(good)])])
            changed, mask = draw_defect(family, image, rng)
            name = f"{number:03}.png"
            write_png(folder / name, changed)
            write_png(folder / f"{number:03}_mask.png", mask.astype(np.uint8) * 255)
            names[name] = family
    return names
