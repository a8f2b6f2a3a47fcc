"""What the paper does for a data set, said aloud, and done where it is asked for.

DeSTSeg rotates ten of MVTec AD's fifteen categories, each as its parts allow (supplement A). The
default of `--rotation` is none for every folder; `--rotation paper` takes the category's own.
"""

import dataclasses
from collections.abc import Callable

from edgeseg.config import TrainConfig
from edgeseg.data import published
from edgeseg.data.layouts import Dataset
from edgeseg.errors import ConfigError
from edgeseg.recipes import Rotation

Say = Callable[[str], None]


def settle(config: TrainConfig, dataset: Dataset, say: Say = print) -> TrainConfig:
    """Return the configuration with a rotation of its own in place of `paper`.

    Warns of a DTD that is not whole, and names the paper's rotation where none is asked for.
    ConfigError for `paper` and a folder that is no category of MVTec AD.
    """
    if config.textures and (warning := published.textures_shortfall(config.textures)):
        say(warning)
    paper = paper_rotation(dataset)
    if config.rotation == "paper":
        if paper is None:
            raise ConfigError(
                f"The paper has a rotation for each category of MVTec AD, and {dataset.root} "
                f"({dataset.layout} layout) is none: its folder's name is {dataset.name}.",
                remedy="--rotation none, slight or full",
            )
        say(f"rotation: {paper}, the paper's for {dataset.name}")
        return dataclasses.replace(config, rotation=paper)
    if config.rotation == "none" and paper != "none" and published.mvtec_category(dataset.root):
        say(f"rotation: none; the paper's for {dataset.name} is {paper}: --rotation paper")
    return config


def paper_rotation(dataset: Dataset) -> Rotation | None:
    """Return the paper's rotation for a folder in MVTec AD's layout, by its name."""
    if dataset.layout != published.MVTEC:
        return None
    category = published.MVTEC_CATEGORIES.get(dataset.name)
    return category.rotation if category else None
