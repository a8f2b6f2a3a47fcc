"""Fits an input check for a run that has none, such as one of an earlier version, and stores it."""

import dataclasses
from pathlib import Path

from edgeseg.cards import CARD, ModelCard, read_card, write_card
from edgeseg.data.listing import list_images
from edgeseg.errors import DataError
from edgeseg.evaluation.added import check_unchanged
from edgeseg.files import quoted, shown
from edgeseg.log import log
from edgeseg.packages.extras import require


def store_input_check(run: Path, data: Path) -> None:
    """Fit the input check of a run on its good images, and write it to its weights and its card.

    data: the data set of the training; of an imported run a folder of good images. Nothing else of
    the run changes; one that has a check is left as it is. Stopped while it replaces the run, it is
    completed by `edgeseg train --resume`. Errors: DataError for images that are missing, damaged or
    not those of the training (`data/not-the-same`), or too few (`threshold/no-images`); ConfigError
    (`train/unfinished`) for a run that a stopped training is to replace; WriteError leaves the run
    as it was.
    """
    require("torch", extra="train")
    from edgeseg.model.fit_check import FEWEST, fit_input_check
    from edgeseg.training.checkpoint import load_run, save_weights, torch_device
    from edgeseg.training.folder import publish, refuse_unfinished, training_folder

    card = read_card(run / CARD, ModelCard)
    if card.input_check:
        return log.info(f"{shown(run)} has an input check already")
    refuse_unfinished(run)
    check_unchanged(run, card, data)
    names = [name for part in ("train", "holdout") for name in card.split.get(part, {})]
    paths = [data / name for name in names] or list_images(data)
    if len(paths) < FEWEST:
        raise DataError(
            f"{len(paths)} good images are too few for an input check (expected at least {FEWEST})",
            remedy=f"add images of good parts, then: edgeseg train {quoted(data)}",
            code="threshold/no-images",
        )
    detector, _ = load_run(run)
    fitted = fit_input_check(
        detector.to(torch_device("auto")),
        paths,
        card.network_size,
        card.aspect,
        card.bit_depth,
        rotation=card.config.get("rotation", "none"),
        lighting=card.config.get("lighting", 0.0),
        tiles=card.tiles,
    )
    with training_folder(run, resume=False, overwrite=True) as folder:
        digest = save_weights(folder, detector)
        found = dataclasses.replace(
            card, weights_sha256=digest, input_check=fitted.columns, input_note=fitted.note
        )
        write_card(folder / CARD, found)
        publish(folder, run)
    log.info(
        f"stored in {shown(run)}; graphs and engines get it from a new export and build: "
        f"edgeseg export {quoted(run)}"
    )
