"""Folders to samples: the layouts that are recognized, and the split of the good images.

    MVTec AD    train/good, test/good, test/<defect>, ground_truth/<defect>/<stem>_mask.png
    plain       good/, optional bad/, optional masks/ (of bad images: <stem>.png, <stem>_mask.png)

A plain folder names no test images: when it has bad ones, a fifth of the good ones, the same for
every seed, is set aside to test with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.data.images import list_images
from edgeseg.errors import DataError

GOOD = "good"
TEST_SHARE = 0.2
_EXPECTED = "train/good and test/ (MVTec AD), or good/ with optional bad/ and masks/"


@dataclass(frozen=True)
class Sample:
    """One image; `label` is `good` or the type of defect; `mask` is None where none is known."""

    path: Path
    label: str = GOOD
    mask: Path | None = None

    @property
    def good(self) -> bool:
        return self.label == GOOD


@dataclass(frozen=True)
class Dataset:
    """Good images to learn from, and labelled ones to test on."""

    root: Path
    layout: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]

    @property
    def name(self) -> str:
        return self.root.resolve().name


def open_dataset(root: Path) -> Dataset:
    """Recognize a layout and list its samples; DataError for a folder that fits none."""
    if not root.is_dir():
        raise DataError(f"There is no folder {root}.", remedy=f"name a folder with {_EXPECTED}")
    if (root / "train" / GOOD).is_dir():
        return _mvtec(root)
    if (root / GOOD).is_dir():
        return _plain(root)
    found = ", ".join(sorted(p.name for p in root.iterdir())[:6]) or "nothing"
    raise DataError(
        f"{root} has no known layout: it holds {found}; {_EXPECTED} was expected.",
        remedy=f"move the photos of good parts into {root / GOOD}",
    )


def split_good(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Hold back a share of samples, chosen by seed: (to train on, held out), in their order."""
    count = round(len(samples) * share)
    chosen = set(np.random.default_rng(seed).permutation(len(samples))[:count].tolist())
    kept = [s for i, s in enumerate(samples) if i not in chosen]
    held = [s for i, s in enumerate(samples) if i in chosen]
    return kept, held


def _mvtec(root: Path) -> Dataset:
    train = tuple(Sample(path) for path in _images(root / "train" / GOOD))
    test: list[Sample] = []
    for masks in _folders(root / "ground_truth"):
        _refuse_orphans(masks, root / "test" / masks.name)
    for folder in _folders(root / "test"):
        if folder.name == GOOD:
            test += [Sample(path) for path in _images(folder)]
        else:
            test += _defects(folder, folder.name, root / "ground_truth" / folder.name)
    return Dataset(root, "MVTec AD", train, tuple(test))


def _plain(root: Path) -> Dataset:
    good = [Sample(path) for path in _images(root / GOOD)]
    _refuse_orphans(root / "masks", root / "bad")
    if not (root / "bad").is_dir():
        return Dataset(root, "plain", tuple(good), ())
    train, held = split_good(good, TEST_SHARE, seed=0)
    bad = _defects(root / "bad", "bad", root / "masks")
    return Dataset(root, "plain", tuple(train), (*held, *bad))


def _images(folder: Path) -> list[Path]:
    paths = list_images(folder)
    if not paths:
        raise DataError(
            f"{folder} holds no image.",
            remedy="put PNG, JPEG, BMP or TIFF files there, or remove the folder",
        )
    return paths


def _defects(folder: Path, label: str, masks: Path) -> list[Sample]:
    """Pair defective images with their masks."""
    found = _masks(masks)
    return [Sample(path, label, found.get(path.stem)) for path in _images(folder)]


def _refuse_orphans(masks: Path, folder: Path) -> None:
    """Refuse a mask that fits no image: a name typed wrong would pass for a part without truth."""
    found = _masks(masks)
    images = {path.stem for path in list_images(folder)} if folder.is_dir() else set()
    if orphans := sorted(set(found) - images):
        mask = found[orphans[0]]
        raise DataError(
            f"The mask {mask} fits no image in {folder}.",
            remedy=f"add the image {folder / orphans[0]}.png, or remove the mask: rm '{mask}'",
        )


def _masks(folder: Path) -> dict[str, Path]:
    """Return masks by the stem of their image; none where there is no such folder."""
    if not folder.is_dir():
        return {}
    return {mask.stem.removesuffix("_mask"): mask for mask in list_images(folder)}


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.is_dir())
