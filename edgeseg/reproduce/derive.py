"""Runs that share one training: they differ in what inference alone reads.

The weights are linked where the disk allows it; the card is each run's own.
"""

import dataclasses
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeseg.cards import CARD, WEIGHTS, ModelCard, read_card, replacing, write_card
from edgeseg.recipes import TrainConfig
from edgeseg.training.history import HISTORY
from edgeseg.training.train import json_config

READ_BY_INFERENCE = ("top", "maps", "score_maps")
"""No loss, no weight and no image depends on them."""


def training_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that shape the weights, of a configuration as its card has it."""
    return {name: value for name, value in config.items() if name not in READ_BY_INFERENCE}


def derive_run(source: Path, run: Path, config: TrainConfig) -> ModelCard:
    """Make a run of a finished one whose training had the same settings; no thresholds yet."""
    card = read_card(source / CARD, ModelCard)
    settings = json_config(config)
    assert training_settings(card.config) == training_settings(settings), "another training"
    for name in (WEIGHTS, HISTORY):
        with replacing(run / name) as part:
            _link(source / name, part)
    own = dataclasses.replace(
        card,
        name=run.name,
        config=settings,
        threshold=None,
        image_threshold=None,
        context=0.0,
        threshold_note={},
        metrics={},
    )
    write_card(run / CARD, own)
    return own


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(source, target)
