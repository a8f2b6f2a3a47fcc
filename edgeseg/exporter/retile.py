"""Gives a run other tiles for an export: what was fitted to its own is found again on its images.

Gains, input check and thresholds belong to the tiles, so those of the run do not hold. The weights
stay, although the network sees another scale than in its training; `edgeseg train --tiles` trains
at the right one.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.config import ExportConfig
from edgeseg.data.images import Image, letterbox, read_image
from edgeseg.errors import ConfigError
from edgeseg.evaluation.added import check_unchanged
from edgeseg.evaluation.threshold import FALSE_REJECT_RATE, fit_thresholds, held_out
from edgeseg.files import quoted, shown
from edgeseg.frame.geometry import Size
from edgeseg.frame.locate import placed
from edgeseg.frame.tiles import Tiles
from edgeseg.loading import opened_run
from edgeseg.log import log
from edgeseg.model.detector import Detector
from edgeseg.model.dskd import DSKD
from edgeseg.model.fit_check import fit_input_check
from edgeseg.model.fused import Fused
from edgeseg.model.tiles.gains import fit_gains
from edgeseg.training.checkpoint import load_run
from edgeseg.training.prepare import as_seen


def tiles_of(card: ModelCard, config: ExportConfig, frame_size: Size | None) -> Tiles | None:
    """Return the tiles of an export: those of the run, unless others are requested.

    ConfigError (`config/no-frame-size`): --tile-size for frames of unknown size.
    """
    if not config.tiled:
        return card.tiles
    if frame_size is None and config.tile_size is not None:
        raise ConfigError(
            "tile_size needs the size of the frames (the training images have several)",
            remedy=f"--frame-size 1920x1080 --tile-size {config.tile_size}",
            code="config/no-frame-size",
        )
    wanted = config.grid_of(card.network_size, frame_size or card.network_size)
    own = replace(card.tiles, gains=(), score_gains=()) if card.tiles else None
    return card.tiles if wanted == own else wanted


def retiled(run: Path, tiles: Tiles | None, data: Path | None) -> tuple[Detector, ModelCard]:
    """Return the detector of a run, and its card with other tiles; nothing is stored.

    data: the images of the training; of an imported run, good images that it has not seen. Errors:
    ConfigError (`config/no-data`) without them; those of `check_unchanged` and `held_out`.
    """
    card = read_card(run / CARD, ModelCard)
    wanted, own = (each.name if each else "whole frames" for each in (tiles, card.tiles))
    counts = f"{tiles.rows}x{tiles.columns}" if tiles else "1x1"
    if data is None:
        raise ConfigError(
            f"{shown(run)} has thresholds for {own}, not for {wanted}, which are found on the "
            "images of the training",
            remedy=f"edgeseg export {quoted(run)} --tiles {quoted(counts)} --data DATA",
            code="config/no-data",
        )
    check_unchanged(run, card, data)
    held = held_out(card, data)
    trained = [data / name for name in card.split.get("train", {})]
    log.warning(
        f"{shown(run)} was trained on {own}, so {wanted} show another scale; to train at theirs: "
        f"edgeseg train {quoted(data)} --tiles {quoted(counts)}"
    )
    detector, card = load_run(run)
    detector.check = None
    card = replace(card, tiles=tiles, input_check=(), metrics={}, evaluation={})
    if isinstance(detector, DSKD) and detector.head_score:
        detector.fit_head_score(_seen(card, held))
    if tiles and trained:
        card = replace(card, tiles=_with_gains(detector, card, tiles, trained))
    checked = fit_input_check(
        detector,
        [*trained, *held],
        card.network_size,
        card.aspect,
        card.bit_depth,
        rotation=card.config.get("rotation", "none"),
        lighting=card.config.get("lighting", 0.0),
        tiles=card.tiles,
        roi=card.roi,
    )
    card = replace(card, input_check=checked.columns, input_note=checked.note)
    rate = card.threshold_note.get("false_reject_rate") or FALSE_REJECT_RATE
    with closing(opened_run(detector, card, card.map_size, "rgb", 1)) as backend:
        found = fit_thresholds(backend, held, rate)
    log.info(found.summary())
    return detector, replace(
        card, threshold=found.pixel, image_threshold=found.image, threshold_note=found.to_json()
    )


def _seen(card: ModelCard, paths: Sequence[Path]) -> Iterator[Tensor]:
    """Yield what the network sees of each image, uint8 [T, 3, S, S']."""
    for path in paths:
        image, _ = placed(read_image(path, card.bit_depth), card.roi)
        if card.tiles is None:
            image = letterbox(image, card.network_size, card.aspect)
        tiles = as_seen(image, card.network_size, card.aspect, card.tiles)
        yield torch.from_numpy(np.stack(tiles)).permute(0, 3, 1, 2)


def _with_gains(detector: Detector, card: ModelCard, tiles: Tiles, paths: Sequence[Path]) -> Tiles:
    def picture(place: int) -> Image:
        image, _ = placed(read_image(paths[place], card.bit_depth), card.roi)
        return letterbox(image, card.map_size, card.aspect)

    frame_size = card.frame_size or card.map_size
    with closing(opened_run(detector, card, frame_size, "rgb", 1)) as backend:
        module = backend.module
        assert isinstance(module, Fused)
        return fit_gains(module, len(paths), picture)
