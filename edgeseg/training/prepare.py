"""What is checked and read before the first step: the split, every image, and its hash."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.data.defective.boxes import read_boxes
from edgeseg.data.defective.known import split_defects
from edgeseg.data.defective.read import KnownDefect, read_defects
from edgeseg.data.depth import bit_depth
from edgeseg.data.frames import evenly
from edgeseg.data.images import Image, Mask, letterbox, read_image, read_pixels, resize
from edgeseg.data.layouts import Dataset, Sample, split_good
from edgeseg.data.roi.read import check_resolved, read_roi
from edgeseg.errors import DataError
from edgeseg.files import cannot_read, sha256, shown
from edgeseg.frame.geometry import (
    Aspect,
    Size,
    fit,
    frame_pixels,
    network_size,
    pixel_text,
    size_text,
)
from edgeseg.frame.locate import Places, with_template
from edgeseg.frame.roi import Roi
from edgeseg.frame.tiles import Tiles
from edgeseg.log import log
from edgeseg.progress import task
from edgeseg.recipes import TrainConfig
from edgeseg.text import listed
from edgeseg.training.folder import read_facts, resume_command

LISTED = 10  # names in an error
DEFECTS = "defects"
COARSE = 4.0  # pixels of the frame in one of the network, from which on tiles are proposed
SAMPLE = 32  # images whose aspect ratios are read
Split = dict[str, dict[str, str]]
"""`train`, `holdout` and, with --use-defects, `defects`: relative path -> SHA-256 of the file."""


@dataclass(frozen=True)
class Continued:
    """The finished run that a training continues."""

    run: Path
    added: Path
    """The folder of new images."""
    network: Size
    """The network's size in the run."""
    tiles: Tiles | None
    """Its tiles."""
    facts: dict[str, Any]
    """For the card: see ModelCard.continues."""


@dataclass(frozen=True)
class Images:
    """The training images, and what their files have in common."""

    pixels: list[Image]
    """uint8 [h, w, 3], each scaled to the box in which it lies in the network's input; with tiles
    those of each image, row by row, which are views of one picture"""
    held: list[Image]
    """Those held out, likewise."""
    frame_size: tuple[int, int] | None
    """(height, width), None if the files differ"""
    bit_depth: int
    """Of the values in 16-bit files."""


def split_samples(dataset: Dataset, config: TrainConfig) -> tuple[list[Sample], list[Sample]]:
    """Return the training and the held-out samples.

    DataError if there are too few for the wanted share, with the number that suffices.
    """
    if dataset.held is not None:
        return list(dataset.train), list(dataset.held)
    training, held = split_good(dataset.train, config.holdout, config.seed)
    count, share = len(dataset.train), config.holdout
    if not training:
        raise DataError(
            f"no training images left in {shown(dataset.root)} ({count} good images for training, "
            f"{len(held)} held out)",
            remedy="add images of good parts, or --holdout 0",
            code="data/no-training-images",
        )
    if share > 0 and not held:
        enough = next(n for n in range(count, 10**9) if round(n * share) > 0)
        raise DataError(
            f"{count} good images for training in {shown(dataset.root)} are too few to hold out a "
            f"share of {share:g} for the thresholds",
            remedy=f"{enough} good images for training, or --holdout 0 and thresholds later, from "
            "other images: edgeseg threshold RUN FOLDER --false-reject 0.01",
            code="data/too-few-images",
        )
    return training, held


def split_words(dataset: Dataset, training: Sequence[Sample], held: Sequence[Sample]) -> str:
    """Say what the good images are used for; false rejects that are repeated count once."""
    train = len({sample.path for sample in training})
    test = sum(sample.good for sample in dataset.test)
    return (
        f"{train + len(held) + test} good images: {train} for training, {len(held)} held out for "
        f"the thresholds, {test} for the test (edgeseg evaluate)"
    )


def defects_of(dataset: Dataset, config: TrainConfig) -> list[Sample]:
    """Return the defective images that are trained on; DataError as `split_defects`."""
    if not config.use_defects:
        return []
    if dataset.known is not None:
        return list(dataset.known)
    return split_defects(dataset, config.defect_share, config.seed)[0]


def read_known(
    dataset: Dataset,
    config: TrainConfig,
    network: Size,
    bit_depth: int,
    tiles: Tiles | None = None,
    roi: Roi | None = None,
) -> list[KnownDefect]:
    """Read the defective images that are trained on, and say what is known about them."""
    samples = defects_of(dataset, config)
    if not samples:
        return []
    boxes = read_boxes(dataset.root, [s.path for s in dataset.test if not s.good])
    known = read_defects(samples, boxes, network, config.aspect, bit_depth, tiles, roi)
    masks = sum(each.exact for each in known)
    boxed = sum(not each.exact and not each.region.all() for each in known)
    counts = {"with a mask": masks, "with boxes": boxed, "without": len(known) - masks - boxed}
    found = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    if tiles:
        found = f"{len(known)} tiles: {found or 'masks or boxes are needed'}"
    left = sum(not sample.good for sample in dataset.test) - len(samples)
    log.info(f"{len(samples)} defective images are trained on ({found}), {left} are left to judge")
    return known


def split_hashes(dataset: Dataset, config: TrainConfig) -> Split:
    """Return the hashes of the training and of the held-out files, as in the card."""
    training, held = split_samples(dataset, config)
    split = {"train": image_hashes(dataset, training), "holdout": image_hashes(dataset, held)}
    if known := defects_of(dataset, config):
        split[DEFECTS] = image_hashes(dataset, known)
    return split


def defect_types(dataset: Dataset, split: Split) -> dict[str, str]:
    """Return what the card says of the defects that were trained on: SHA-256 -> type."""
    labels = {name_of(dataset, sample.path): sample.label for sample in dataset.test}
    return {digest: labels[name] for name, digest in split.get(DEFECTS, {}).items()}


def check_same_images(run: Path, before: Split, now: Split) -> None:
    """DataError for images that are new, missing, changed or split otherwise since the stop."""
    old = {name: (part, digest) for part in before for name, digest in before[part].items()}
    new = {name: (part, digest) for part in now for name, digest in now[part].items()}
    common = sorted(old.keys() & new.keys())
    kinds = {
        "new": sorted(new.keys() - old.keys()),
        "missing": sorted(old.keys() - new.keys()),
        "changed": [name for name in common if old[name][1] != new[name][1]],
    }
    kinds["split otherwise"] = [name for name in common if old[name][0] != new[name][0]]
    if any(kinds.values()):
        first = {kind: names for kind, names in kinds.items() if names}
        if len(first) > 1:  # it follows from the others
            first.pop("split otherwise", None)
        faults = "; ".join(
            f"{len(names)} {kind}: {listed([*map(shown, names)], LISTED)}"
            for kind, names in first.items()
        )
        raise DataError(
            f"the images differ from those that the training in {shown(run)} began with: {faults}",
            remedy=f"restore them, then: {resume_command(run)}\n"
            "       or begin a new training: --name NAME",
            code="train/images-changed",
        )


def choose_network(training: Sequence[Path], config: TrainConfig) -> tuple[Size, Tiles | None]:
    """Return the network's size for training images, and their tiles.

    The size is that of `geometry.network_size` for a sample of the images, or for their tiles. The
    tiles are those of images of the most common size. Damaged images are left to `read_images`.
    """
    sizes = sample_sizes(training, SAMPLE if config.aspect == "keep" else int(config.tiled))
    if not sizes:
        return network_size((), config.image_size, config.aspect), None
    shapes = [config.tile_shape(size) for size in sizes] if config.tiled else sizes
    network = network_size(shapes, config.image_size, config.aspect)
    return network, config.grid_of(network, Counter(sizes).most_common(1)[0][0])


def sample_sizes(paths: Sequence[Path], most: int) -> list[Size]:
    """Return the sizes of some images; those that are damaged are left out."""
    sizes: list[Size] = []
    for place in evenly(len(paths), most):
        with suppress(DataError):
            height, width = read_pixels(paths[place]).shape[:2]
            sizes.append((height, width))
    return sizes


def read_images(
    training: Sequence[Path],
    held: Sequence[Path],
    network: Size,
    aspect: Aspect,
    tiles: Tiles | None = None,
    places: Places | None = None,
) -> Images:
    """Decode every image once, also those held out. DataError lists all that are damaged.

    places: puts the parts in their place.
    """
    pixels: list[Image] = []
    kept: list[Image] = []
    sizes: set[tuple[int, int]] = set()
    faults: list[DataError] = []
    depth = bit_depth((*training, *held))
    with task("read images", len(training) + len(held)) as bar:
        for place, path in enumerate((*training, *held)):
            try:
                image = read_image(path, depth)
            except DataError as error:
                faults.append(error)
            else:
                size = image.shape[0], image.shape[1]
                image = places.put(image, path) if places else image
                small = [] if faults else as_seen(image, network, aspect, tiles)
                if place < len(training):
                    sizes.add(size)
                    pixels.extend(small)
                else:
                    kept.extend(small)
            bar.advance()
    if faults:
        raise _unreadable(faults)
    return Images(pixels, kept, next(iter(sizes)) if len(sizes) == 1 else None, depth)


def given_roi(config: TrainConfig, image: Path) -> Roi | None:
    """Return the ROIs that the settings name, for pictures of the size of an image.

    DataError as `read_roi`, and (`data/roi-size`) for a picture of --locate of another size.
    """
    if config.roi is None and config.ignore is None:
        return None
    height, width = read_pixels(image).shape[:2]
    roi = read_roi(config.roi, config.ignore, (height, width))
    if roi is None or config.locate is None:
        return roi
    reference = read_image(config.locate)
    if reference.shape[:2] != roi.picture:
        raise DataError(
            f"{shown(config.locate)} has another size than the ROIs (expected "
            f"{size_text(roi.picture)} pixels)",
            remedy="--locate PICTURE: the photo that the ROIs were drawn on",
            code="data/roi-size",
        )
    return with_template(roi, reference)


def places_of(
    config: TrainConfig, image: Path, continued: Continued | None, resumed: Path | None
) -> Places:
    """Return what puts parts in their places; its ROIs are those of the training.

    Those of a resumed training and of a continued run stay what they were.
    """
    if resumed is not None:
        return Places(read_facts(resumed).roi, new=False)
    if continued is not None:
        return Places(read_card(continued.run / CARD, ModelCard).roi, new=False)
    return Places(given_roi(config, image), new=True)


def check_one_size(roi: Roi | None, images: Images) -> None:
    """DataError (`data/roi-size`) for ROIs and images of several sizes."""
    if roi is not None and images.frame_size is None:
        raise DataError(
            "the training images have several sizes, so a ROI is at no certain place in them",
            remedy="images of one camera and one size; or omit --roi and --ignore",
            code="data/roi-size",
        )


def where_anomalies_may_be(
    roi: Roi | None, network: Size, aspect: Aspect, tiles: Tiles | None
) -> list[Mask]:
    """Return what is inspected of an image as the network sees it, or of each of its tiles.

    Empty: everything. DataError (`data/roi-empty`) for a ROI without a pixel of the map.
    """
    if roi is None:
        return []
    size = tiles.grid(network) if tiles else network
    box = fit(roi.picture, size, aspect)
    check_resolved(roi, box.size)
    if tiles is None:
        return [roi.inside(box.size)]
    inside = roi.inside(size, box)
    return [np.ascontiguousarray(inside[each.rows, each.columns]) for each in tiles.boxes(network)]


def seen_lines(images: Images, network: Size, aspect: Aspect, tiles: Tiles | None) -> Iterator[str]:
    """Say how large a pixel of the network is in an image, and what the tiles are."""
    if tiles:
        megabytes = sum(image.nbytes for image in (*images.pixels, *images.held)) / 1e6
        yield f"{tiles.text(network)}; in memory: {megabytes:.0f} MB of tiles"
    if images.frame_size:
        whole = tiles.grid(network) if tiles else network
        content = fit(images.frame_size, whole, aspect).size
        coarse = tiles is None and frame_pixels(images.frame_size, content) >= COARSE
        hint = "; tiles show smaller defects, for example --tiles 2x3" if coarse else ""
        yield pixel_text(images.frame_size, content) + hint


def as_seen(image: Image, network: Size, aspect: Aspect, tiles: Tiles | None) -> list[Image]:
    """Return what a network sees of an image, uint8 [h, w, 3]: the image, or all of its tiles.

    A single image has the size of its box in the network's input.
    """
    if tiles is None:
        return [resize(image, *fit((image.shape[0], image.shape[1]), network, aspect).size)]
    grid = letterbox(image, tiles.grid(network), aspect)
    return [grid[box.rows, box.columns] for box in tiles.boxes(network)]


def grid_of(seen: Sequence[Image], place: int, network: Size, tiles: Tiles) -> Image:
    """Return the picture of an image whose tiles are among those of `read_images`."""
    grid = np.empty((*tiles.grid(network), 3), np.uint8)
    first = place * tiles.count
    pairs = zip(seen[first : first + tiles.count], tiles.boxes(network), strict=True)
    for tile, box in pairs:
        grid[box.rows, box.columns] = tile
    return grid


def _unreadable(faults: Sequence[DataError]) -> DataError:
    if len(faults) == 1:
        return faults[0]
    lines = [fault.problem for fault in faults[:LISTED]]
    more = [f"and {len(faults) - LISTED} more"] if len(faults) > LISTED else []
    return DataError(
        "\n  ".join([f"{len(faults)} images cannot be used:", *lines, *more]),
        remedy="replace them by intact copies, or move them out of the folder",
        code="data/damaged-images",
    )


def image_hashes(dataset: Dataset, samples: Sequence[Sample]) -> dict[str, str]:
    """Return the SHA-256 of the files of the samples, by name in the data set."""
    found = {}
    for sample in samples:
        try:
            found[name_of(dataset, sample.path)] = sha256(sample.path)
        except OSError as error:
            raise cannot_read(sample.path, error) from error
    return found


def name_of(dataset: Dataset, path: Path) -> str:
    """Return the path of an image relative to the data set, which need not contain it."""
    return Path(os.path.relpath(path, dataset.root)).as_posix()
