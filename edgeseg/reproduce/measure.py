"""One training of a table to its end: train, derive its other runs, thresholds, evaluation.

A run is finished when its card has its metrics.

Whatever was done already is not done again, so it can be stopped anywhere and repeated.
"""

import dataclasses
from contextlib import closing, suppress
from pathlib import Path

from edgeseg.cards import CARD, ModelCard, read_card, write_card
from edgeseg.data.layouts import Dataset, open_dataset
from edgeseg.errors import ModelError
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.threshold import threshold_run
from edgeseg.extras import require
from edgeseg.loading import open_run
from edgeseg.log import log
from edgeseg.reproduce.plan import Run, Training


def measure(training: Training) -> None:
    """Bring the runs of a training to the end: their cards have metrics then.

    Errors: as of `train`, `threshold_run` and `evaluate`.
    """
    torch = require("torch", extra="train")
    from edgeseg.reproduce.derive import derive_run

    torch.set_num_threads(training.threads)
    first = training.runs[0]
    dataset = open_dataset(first.data)
    source = _trained(training, dataset) or _train(first, dataset)
    for run in training.runs:
        if not (run.folder / CARD).is_file():
            log.info(f"{run.folder}: the weights of {source}, whose training had the same settings")
            derive_run(source, run.folder, run.config)
        if not run.finished:
            _evaluate(run, dataset)


def _train(run: Run, dataset: Dataset) -> Path:
    from edgeseg.training.checkpoint import RESUME
    from edgeseg.training.train import train

    begun = (run.folder / RESUME).is_file()
    train(dataset, run.config, run.folder, resume=begun, preview=False)
    return run.folder


def _trained(training: Training, dataset: Dataset) -> Path | None:
    """Return the folder of a finished training on these images with these settings.

    It may be one of the runs, or one of another table: the main tables of a paper share theirs.
    """
    from edgeseg.reproduce.derive import training_settings
    from edgeseg.training.train import json_config, split_hashes

    for run in training.runs:
        if (run.folder / CARD).is_file():
            return run.folder
    first = training.runs[0]
    wanted = training_settings(json_config(first.config))
    for path in sorted(training.out.glob(f"*/*/*/{CARD}")):
        with suppress(ModelError):  # a damaged run of another table is not ours to mend
            card = read_card(path, ModelCard)
            same = training_settings(card.config) == wanted
            if same and card.split == split_hashes(dataset, first.config):
                return path.parent
    return None


def _evaluate(run: Run, dataset: Dataset) -> None:
    if run.config.holdout and read_card(run.folder / CARD, ModelCard).split["holdout"]:
        threshold_run(run.folder, run.data)
    with closing(open_run(run.folder, device=run.config.device)) as backend:
        evaluation = evaluate(backend, dataset, out=run.folder)
    card = read_card(run.folder / CARD, ModelCard)
    metrics = evaluation.overall.scores.to_json()
    write_card(run.folder / CARD, dataclasses.replace(card, metrics=metrics))
