"""What the paper does for a data set, said aloud, and done where it is asked for.

DeSTSeg rotates ten of MVTec AD's fifteen categories, each as its parts allow (supplement A). The
default of `--rotation` is none for every folder; `--rotation paper` takes the category's own.
"""

import dataclasses

from edgeseg.data import published
from edgeseg.data.layouts import Dataset
from edgeseg.errors import ConfigError
from edgeseg.log import log, log_once
from edgeseg.recipes import Rotation, TrainConfig

TILE_DEFECTS = {name.removeprefix("MT_").lower() for name in published.TILES if name != "MT_Free"}


def settle(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """Return the configuration with a rotation of its own in place of `paper`.

    Warns of a DTD that is not whole, and names the paper's rotation where none is asked for.
    ConfigError for `paper` and a folder that is no category of MVTec AD.
    """
    if config.textures and (warning := published.textures_shortfall(config.textures)):
        log.warning(warning)
    paper = paper_rotation(dataset)
    if config.rotation == "paper":
        if paper is None:
            raise ConfigError(
                f"The paper has a rotation for each category of MVTec AD, and {dataset.root} "
                f"({dataset.layout} layout) is none: its folder's name is {dataset.name}.",
                remedy="--rotation none, slight or full",
            )
        log_once(f"rotation: {paper}, the paper's for {dataset.name}")
        return dataclasses.replace(config, rotation=paper)
    if config.rotation == "none" and paper != "none" and published.mvtec_category(dataset.root):
        log_once(f"rotation: none; the paper's for {dataset.name} is {paper}: --rotation paper")
    return config


def paper_rotation(dataset: Dataset) -> Rotation | None:
    """Return the paper's rotation for a folder in MVTec AD's layout, by its name."""
    if dataset.layout != published.MVTEC:
        return None
    category = published.MVTEC_CATEGORIES.get(dataset.name)
    return category.rotation if category else None


def published_name(dataset: Dataset) -> str | None:
    """Return the published data set that a folder is, or is of; None for one of yours.

    The magnetic tiles count in MVTec AD's layout as well: by their five kinds of defects.
    """
    if dataset.layout == published.MVTEC_3D and published.is_mvtec_3d(dataset.root):
        return published.MVTEC_3D
    if published.mvtec_category(dataset.root):
        return published.MVTEC
    defects = {sample.label for sample in dataset.test if not sample.good}
    if dataset.layout == published.TILE or defects == TILE_DEFECTS:
        return published.TILE
    return None


def published_shortfall(dataset: Dataset) -> str | None:
    """Return how a published data set, or its category, differs from what was published, or None.

    By its numbers of images for training, good and defective ones of the test; the tiles have no
    split.
    """
    name = published_name(dataset)
    bad = sum(not sample.good for sample in dataset.test)
    found: tuple[int, ...] = (len(dataset.train), len(dataset.test) - bad, bad)
    if name == published.MVTEC:
        category = published.MVTEC_CATEGORIES[dataset.name]
        expected: tuple[int, ...] = (category.train, category.good, category.bad)
    elif name == published.MVTEC_3D:
        train, _, good, defective = published.MVTEC_3D_CATEGORIES[dataset.name]
        expected = (train, good, defective)
    else:
        free = published.TILES["MT_Free"]
        found, expected = (found[0] + found[1], bad), (free, sum(published.TILES.values()) - free)
    if found == expected:
        return None
    return f"{' + '.join(map(str, found))} images, of {' + '.join(map(str, expected))}"
