"""The data set layouts that are recognized, and the split of the good images.

    MVTec AD       train/good, test/good, test/<defect>, ground_truth/<defect>/<stem>_mask.png
    MVTec 3D-AD    train/good/rgb, test/good/rgb, test/<defect>/rgb and gt; xyz is not read
    magnetic tile  MT_Free/Imgs, MT_<Defect>/Imgs: JPEG images, their masks beside them as PNG
    plain          good/, optional bad/, optional masks/ (of bad ones: <stem>.png, <stem>_mask.png)
    bare           image files and no subfolder with images: all are photos of good parts

The last three have no test images: if there are bad ones, a fifth of the good ones, the same for
every seed, is used for testing. An incomplete copy of a published data set is used with a warning.
"""

import unicodedata
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.data import published
from edgeseg.data.listing import (
    SUFFIXES,
    check_folder,
    list_images,
    log_left_out,
    no_images,
    subfolders,
)
from edgeseg.errors import DataError
from edgeseg.files import quoted, shown, walk
from edgeseg.log import log

GOOD = "good"
TEST_SHARE = 0.2
BARE = "bare"
_EXPECTED = (
    "train/good and test/ (MVTec AD), good/ with optional bad/ and masks/, or images of good parts "
    "alone"
)


@dataclass(frozen=True)
class Sample:
    """An image; `label` is `good` or the type of defect; `mask` is None if there is none."""

    path: Path
    label: str = GOOD
    mask: Path | None = None

    @property
    def good(self) -> bool:
        return self.label == GOOD


@dataclass(frozen=True)
class Dataset:
    """Good images for training, and labeled ones for testing."""

    root: Path
    layout: str
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]
    good_masks: tuple[Path, ...] = ()
    """Masks of good images, which are not used."""
    held: tuple[Sample, ...] | None = None
    """Good images held out for the thresholds; None: a share of `train`, by seed."""
    known: tuple[Sample, ...] | None = None
    """Defective images to train on; None: a share of those in `test`, by seed."""

    @property
    def name(self) -> str:
        return self.root.resolve().name


def open_dataset(root: Path) -> Dataset:
    """Recognize the layout of a folder and list its samples; DataError for an unknown layout.

    Missing files of a published data set are logged as a warning.
    """
    check_folder(root, _EXPECTED)
    reader = _reader(root)
    if reader is None:
        raise _unknown(root)
    log_left_out(root, walk(root, SUFFIXES).left_out)
    return reader(root)


def open_datasets(root: Path) -> list[Dataset]:
    """Return the data set in a folder, or those in its subfolders (categories)."""
    if root.is_dir() and not _reader(root):
        if categories := [folder for folder in subfolders(root) if _reader(folder)]:
            return [open_dataset(folder) for folder in categories]
    return [open_dataset(root)]


def _reader(root: Path) -> Callable[[Path], Dataset] | None:
    if (root / "train" / GOOD / "rgb").is_dir():
        return _mvtec_3d
    if (root / "train" / GOOD).is_dir():
        return _mvtec
    if (root / "MT_Free" / "Imgs").is_dir():
        return _magnetic_tile
    if (root / GOOD).is_dir():
        return _plain
    if root.is_dir() and list_images(root) and not any(map(_has_images, subfolders(root))):
        return _bare
    return None


def _has_images(folder: Path) -> bool:
    return bool(walk(folder, SUFFIXES).files)


def split_good(
    samples: Sequence[Sample], share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
    """Split samples at random by seed into (training, held out); the order is kept."""
    count = round(len(samples) * share)
    chosen = set(np.random.default_rng(seed).permutation(len(samples))[:count].tolist())
    training = [s for i, s in enumerate(samples) if i not in chosen]
    held = [s for i, s in enumerate(samples) if i in chosen]
    return training, held


def _mvtec(root: Path) -> Dataset:
    category = published.mvtec_category(root)
    train = tuple(Sample(path) for path in _images(root / "train" / GOOD))
    test: list[Sample] = []
    if category is None:  # for a published category the counts below show lost files
        for masks in subfolders(root / "ground_truth"):
            _refuse_orphans(masks, root / "test" / masks.name)
    for folder in subfolders(root / "test"):
        if folder.name == GOOD:
            test += [Sample(path) for path in _images(folder)]
        else:
            test += _defects(folder, folder.name, root / "ground_truth" / folder.name)
    of_good = tuple(_masks(root / "ground_truth" / GOOD).values())
    dataset = Dataset(root, published.MVTEC, train, tuple(test), of_good)
    if category is not None:
        _compare(dataset, category.train, category.good, category.bad)
        if lost := sorted(category.defects - {sample.label for sample in test}):
            log.warning(f"missing in {shown(root / 'test')}: {', '.join(lost)}")
    return dataset


def _mvtec_3d(root: Path) -> Dataset:
    train = tuple(Sample(path) for path in _images(root / "train" / GOOD / "rgb"))
    test: list[Sample] = []
    for folder in subfolders(root / "test"):
        if folder.name == GOOD:  # its masks are empty
            test += [Sample(path) for path in _images(folder / "rgb")]
        else:
            test += _defects(folder / "rgb", folder.name, folder / "gt")
    dataset = Dataset(root, published.MVTEC_3D, train, tuple(test))
    if published.is_mvtec_3d(root):
        count, validation, good, bad = published.MVTEC_3D_CATEGORIES[dataset.name]
        found = len(list_images(root / "validation" / GOOD / "rgb"))
        _compare(dataset, count, good, bad, validation=(found, validation))
    return dataset


def _magnetic_tile(root: Path) -> Dataset:
    good = [Sample(path) for path in _tiles(root / "MT_Free")]
    bad: list[Sample] = []
    found = {folder: 0 for folder in published.TILES} | {"MT_Free": len(good)}
    for folder in subfolders(root):
        if folder.name.startswith("MT_") and folder.name != "MT_Free":
            defects = [
                Sample(path, folder.name.removeprefix("MT_").lower(), _beside(path))
                for path in _tiles(folder)
            ]
            found[folder.name] = len(defects)
            bad += defects
    train, held = split_good(good, TEST_SHARE, seed=0) if bad else (good, [])
    tiles = published.TILES
    expected = {**tiles, "masks": sum(tiles.values()) - tiles["MT_Free"]}
    found["masks"] = sum(sample.mask is not None for sample in bad)
    _warn(root, published.TILE, expected, found)
    return Dataset(root, published.TILE, tuple(train), (*held, *bad))


def _tiles(folder: Path) -> list[Path]:
    """Return the images in a folder of magnetic tiles, where PNG files are masks."""
    paths = [path for path in _images(folder / "Imgs") if path.suffix.lower() != ".png"]
    if not paths:
        raise DataError(
            f"no JPEG images in {shown(folder / 'Imgs')}, only masks",
            remedy=f"download the images again: {published.ORIGINS[published.TILE]}",
            code="data/no-images",
        )
    return paths


def _beside(path: Path) -> Path | None:
    mask = path.with_suffix(".png")
    return mask if mask.is_file() else None


def _compare(dataset: Dataset, train: int, good: int, bad: int, **more: tuple[int, int]) -> None:
    """Warn if the file counts of an MVTec category differ; more: (found, expected)."""
    defects = [sample for sample in dataset.test if not sample.good]
    numbers = {
        "train/good": (len(dataset.train), train),
        **more,
        "test/good": (len(dataset.test) - len(defects), good),
        "defective": (len(defects), bad),
        "masks": (sum(sample.mask is not None for sample in defects), bad),
    }
    found = {what: pair[0] for what, pair in numbers.items()}
    expected = {what: pair[1] for what, pair in numbers.items()}
    _warn(dataset.root, dataset.layout, expected, found)


def _warn(root: Path, name: str, expected: dict[str, int], found: dict[str, int]) -> None:
    if warning := published.shortfall(root, name, expected, found):
        log.warning(warning)


def _unknown(root: Path) -> DataError:
    """Return the error for a folder with an unknown layout."""
    if categories := published.holds_categories(root):
        name, have, lack = categories
        missing = f" (missing: {', '.join(lack)})" if lack else ""
        return DataError(
            f"{shown(root)} contains {len(have)} of the {len(have) + len(lack)} categories of "
            f"{name}{missing}; a model is trained for one",
            remedy=f"choose one: {quoted(root / have[0])}",
            code="data/several-categories",
        )
    if published.textures_folder(root):
        return DataError(
            f"{shown(root)} is {published.DTD}, a data set of textures",
            remedy=f"a folder with {_EXPECTED}; for synthetic anomalies: --textures {quoted(root)}",
            code="data/textures",
        )
    names = [path.name for path in root.iterdir() if not path.name.startswith(".")]
    found = ", ".join(map(shown, sorted(names)[:6])) or "nothing"
    return DataError(
        f"unknown layout: {shown(root)} contains {found} (expected {_EXPECTED})",
        remedy=f"move the images of good parts to {quoted(root / GOOD)}",
        code="data/unknown-layout",
    )


def _plain(root: Path) -> Dataset:
    good = [Sample(path) for path in _images(root / GOOD)]
    stems = {_stem(sample.path) for sample in good}
    of_good = {stem: mask for stem, mask in _masks(root / "masks").items() if stem in stems}
    if not (root / "bad").is_dir():
        _refuse_orphans(root / "masks", root / "bad", of_good)
        return Dataset(root, "plain", tuple(good), (), tuple(of_good.values()))
    train, held = split_good(good, TEST_SHARE, seed=0)
    bad = _defects(root / "bad", "bad", root / "masks")
    for sample in bad:
        of_good.pop(_stem(sample.path), None)
    _refuse_orphans(root / "masks", root / "bad", of_good)
    return Dataset(root, "plain", tuple(train), (*held, *bad), tuple(of_good.values()))


def _bare(root: Path) -> Dataset:
    return Dataset(root, BARE, tuple(Sample(path) for path in _images(root)), ())


def _images(folder: Path) -> list[Path]:
    paths = list_images(folder)
    if not paths:
        raise no_images(folder)
    return paths


def _defects(folder: Path, label: str, masks: Path) -> list[Sample]:
    """Pair defective images with their masks."""
    found = _masks(masks)
    return [Sample(path, label, found.get(_stem(path))) for path in _images(folder)]


def _refuse_orphans(masks: Path, folder: Path, known: Collection[str] = ()) -> None:
    """DataError for a mask without an image, which may have a misspelled name.

    known: the masks of good images.
    """
    found = _masks(masks)
    images = {_stem(path) for path in list_images(folder)}
    if orphans := sorted(set(found) - images - set(known)):
        mask = found[orphans[0]]
        raise DataError(
            f"mask without an image in {shown(folder)}: {shown(mask)}",
            remedy=f"add the image {quoted(folder / orphans[0])}.png, or move the mask to another "
            "folder",
            code="data/mask-without-image",
        )


def _masks(folder: Path) -> dict[str, Path]:
    """Return masks by the stem of their image; empty if the folder does not exist."""
    found: dict[str, Path] = {}
    for mask in list_images(folder):
        stem = _stem(mask).removesuffix("_mask")
        if stem in found:
            raise DataError(
                f"two masks for one image: {shown(found[stem])} and {shown(mask.name)}",
                remedy="keep one of them in the folder",
                code="data/two-masks",
            )
        found[stem] = mask
    return found


def _stem(path: Path) -> str:
    """Return the stem of a name with composed letters: macOS decomposes them in archives."""
    return unicodedata.normalize("NFC", path.stem)
