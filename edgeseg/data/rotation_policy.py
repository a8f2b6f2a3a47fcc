"""The rotation of training images: the one asked for, or the paper's for the data set.

DeSTSeg rotates ten of the fifteen categories of MVTec AD (supplement A). `--rotation` defaults to
none for all data; `--rotation paper` selects that of the category.
"""

import dataclasses

from edgeseg.data import published
from edgeseg.data.layouts import Dataset
from edgeseg.errors import ConfigError
from edgeseg.log import log_once
from edgeseg.recipes import Rotation, TrainConfig


def resolve_rotation(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """Replace rotation `paper` by the paper's for the data set, and log what it is.

    ConfigError for `paper` and a folder that is not a category of MVTec AD.
    """
    paper = paper_rotation(dataset)
    if config.rotation == "paper":
        if paper is None:
            raise ConfigError(
                f"invalid rotation for {dataset.root} ({dataset.layout} layout): paper (defined "
                f"for the categories of MVTec AD; {dataset.name} is not one)",
                remedy="--rotation none, slight or full",
                code="config/no-paper-rotation",
            )
        log_once(f"rotation: {paper} (the paper's for {dataset.name})")
        return dataclasses.replace(config, rotation=paper)
    if config.rotation == "none" and paper != "none" and published.mvtec_category(dataset.root):
        log_once(f"rotation: none (the paper's for {dataset.name} is {paper}: --rotation paper)")
    return config


def paper_rotation(dataset: Dataset) -> Rotation | None:
    """Return the paper's rotation for a folder in the layout of MVTec AD, by its name, or None."""
    if dataset.layout != published.MVTEC:
        return None
    category = published.MVTEC_CATEGORIES.get(dataset.name)
    return category.rotation if category else None
