"""The runs of a table: every row on every category with every seed, trained and evaluated.

    OUT/<table>/<category>/<row>-s<seed>/     an ordinary run directory, metrics in its card

Runs that differ only in settings that inference reads share one training. The weights are then
hard-linked where the file system allows it. Finished work is found again by its card, so a
training can be interrupted at any point and repeated.
"""

import dataclasses
import functools
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.cards import CARD, WEIGHTS, ModelCard, read_card, write_card
from edgeseg.data.depth import resolve_texture_color
from edgeseg.data.layouts import Dataset, open_dataset
from edgeseg.data.published import textures_folder
from edgeseg.data.rotation_policy import paper_rotation, resolve_rotation
from edgeseg.errors import ConfigError, ModelError
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.threshold import threshold_run
from edgeseg.files import quoted, replacing
from edgeseg.loading import open_run
from edgeseg.log import log
from edgeseg.packages.extras import require
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.table import Row, Table
from edgeseg.training.folder import changed_settings, checkpoint_of, read_facts
from edgeseg.training.history import HISTORY
from edgeseg.training.prepare import image_hashes, split_hashes
from edgeseg.training.train import train

READ_BY_INFERENCE = ("top", "maps", "score_maps")
"""Settings that no loss, weight or training image depends on."""


@dataclass(frozen=True, kw_only=True)
class TableRun:
    """One model to train and evaluate."""

    category: str
    row: str
    config: TrainConfig
    data: Path
    folder: Path

    @property
    def title(self) -> str:
        return f"{self.category}, {self.row}, seed {self.config.seed}"

    @property
    def card(self) -> ModelCard | None:
        """The card on disk; None before the training is finished. ModelError if damaged."""
        path = self.folder / CARD
        return read_card(path, ModelCard) if path.is_file() else None

    @property
    def finished(self) -> bool:
        card = self.card
        return card is not None and bool(card.metrics)


@dataclass(frozen=True, kw_only=True)
class Training:
    """Runs that share their weights: a job (cluster/jobs.py)."""

    runs: tuple[TableRun, ...]
    threads: int = 1

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(run.folder for run in self.runs)

    @property
    def title(self) -> str:
        more = len(self.runs) - 1
        return self.runs[0].title + (f", and {more} more with the same training" if more else "")


def make_runs(
    table: Table,
    rows: Sequence[Row],
    datasets: Sequence[Dataset],
    seeds: int,
    overrides: dict[str, Any],
    out: Path,
) -> list[TableRun]:
    """Return all runs, ordered by seed, category and row.

    ConfigError if overrides make two rows identical.
    """
    runs = []
    for seed in range(seeds):
        for dataset in datasets:
            configs: dict[TrainConfig, Row] = {}
            for row in rows:
                config = _resolve(table.config(row, overrides, seed=seed), dataset)
                if config in configs:
                    raise ConfigError(
                        f"rows '{configs[config].label}' and '{row.label}' have the same settings: "
                        "the setting that the table compares is overridden",
                        remedy="remove the settings of the rows from --train-config, "
                        f"or use --rows {quoted(row.label)}",
                        code="reproduce/identical-rows",
                    )
                configs[config] = row
                runs.append(
                    TableRun(
                        category=dataset.name,
                        row=row.label,
                        config=config,
                        data=dataset.root,
                        folder=out / table.name / dataset.name / f"{row.slug}-s{seed}",
                    )
                )
    return runs


def _resolve(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """Replace rotation `paper` by that of the data set; none for other data."""
    if config.rotation == "paper" and paper_rotation(dataset) is None:
        config = dataclasses.replace(config, rotation="none")
    config = resolve_texture_color(config, [sample.path for sample in dataset.train])
    return resolve_rotation(config, dataset)


def departures(
    table: Table, rows: Sequence[Row], datasets: Sequence[Dataset], overrides: dict[str, Any]
) -> tuple[str, ...]:
    """Return how the settings of the runs differ from those of the table."""
    found: dict[str, None] = {}
    for dataset in datasets:
        for row in rows:
            paper, ours = table.config(row, {}), _resolve(table.config(row, overrides), dataset)
            if paper.rotation == "paper" and ours.rotation != "none":
                ours = dataclasses.replace(ours, rotation="paper")
            differing = changed_settings(paper.to_json(), ours.to_json())
            found |= dict.fromkeys(line for line in differing if not line.startswith("textures"))
            dtd = ours.textures is not None and textures_folder(ours.textures) is not None
            if table.textures and any(ours.corrupts) and not dtd:
                found |= {f"textures ({table.textures} -> {ours.textures or 'built in'})": None}
    return tuple(found)


def open_trainings(runs: Iterable[TableRun]) -> list[Training]:
    """Group the runs by their training; those whose runs are all finished are left out."""
    groups: dict[str, list[TableRun]] = {}
    for run in runs:
        key = f"{run.data} {_training_settings(run.config.to_json())}"
        groups.setdefault(key, []).append(run)
    unfinished = (group for group in groups.values() if not all(run.finished for run in group))
    return [Training(runs=tuple(group)) for group in unfinished]


def _training_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the weights depend on; config: as in a card."""
    return {name: value for name, value in config.items() if name not in READ_BY_INFERENCE}


def check_unchanged(runs: Iterable[TableRun], datasets: Iterable[Dataset]) -> None:
    """ConfigError if a run on disk was started with other settings or images."""
    roots = {dataset.root: dataset for dataset in datasets}
    hashes = functools.cache(lambda root: image_hashes(roots[root], roots[root].train))
    conflicts = [(run, what) for run in runs if (what := _conflict(run, hashes))]
    if conflicts:
        run, what = conflicts[0]
        more = f" ({len(conflicts) - 1} more such runs)" if len(conflicts) > 1 else ""
        raise ConfigError(
            f"{run.folder} was started with other {what}{more}",
            remedy="use another --out",
            code="reproduce/run-changed",
        )


def _conflict(run: TableRun, hashes: Callable[[Path], dict[str, str]]) -> str | None:
    wanted = run.config.to_json()
    card = run.card
    before = wanted if card is None else card.config
    if card is None and (folder := checkpoint_of(run.folder)) is not None:
        before = read_facts(folder).config
    if changed := changed_settings(before, wanted):
        return f"settings: {', '.join(changed)}"
    if card is not None and hashes(run.data) != card.split["train"] | card.split["holdout"]:
        return f"images than those in {run.data}"
    return None


def train_and_evaluate(training: Training) -> None:
    """Finish the runs of a training: train once, then find thresholds and evaluate each.

    Errors: those of `train`, `threshold_run` and `evaluate`.
    """
    require("torch", extra="train").set_num_threads(training.threads)
    first = training.runs[0]
    dataset = open_dataset(first.data)
    source = next((run.folder for run in training.runs if (run.folder / CARD).is_file()), None)
    if source is None:
        resume = checkpoint_of(first.folder) is not None
        # Without a checkpoint, what a killed process or another machine left is begun anew.
        train(
            dataset,
            first.config,
            first.folder,
            resume=resume,
            overwrite=not resume,
            preview=False,
        )
        source = first.folder
    for run in training.runs:
        if not (run.folder / CARD).is_file():
            _derive_run(source, run)
        if not run.finished:
            _evaluate(run, dataset)


def reuse_weights(trainings: Iterable[Training], out: Path) -> None:
    """Take over the weights of other tables' runs below `out`: same training, same images."""
    cards: dict[Path, ModelCard] = {}
    for path in sorted(out.glob(f"*/*/*/{CARD}")):
        with suppress(ModelError):  # a damaged run of another table does not matter here
            cards[path.parent] = read_card(path, ModelCard)
    for training in trainings:
        if any(run.folder in cards for run in training.runs):
            continue
        first = training.runs[0]
        wanted = _training_settings(first.config.to_json())
        same = [at for at, card in cards.items() if _training_settings(card.config) == wanted]
        split = split_hashes(open_dataset(first.data), first.config) if same else {}
        for source in same:
            if cards[source].split == split:
                _derive_run(source, first)
                break


def _derive_run(source: Path, run: TableRun) -> None:
    """Create a run from a finished one with the same training settings."""
    log.info(f"{run.folder}: uses the weights of {source} (same training settings)")
    card, settings = read_card(source / CARD, ModelCard), run.config.to_json()
    for name in (WEIGHTS, HISTORY):
        with replacing(run.folder / name) as part:
            part.unlink()  # a link needs a free name
            try:
                os.link(source / name, part)
            except OSError:  # another file system, or one without hard links
                shutil.copyfile(source / name, part)
    own = dataclasses.replace(
        card,
        name=run.folder.name,
        config=settings,
        threshold=None,
        image_threshold=None,
        context=0.0,
        threshold_note={},
        metrics={},
    )
    write_card(run.folder / CARD, own)


def _evaluate(run: TableRun, dataset: Dataset) -> None:
    if run.config.holdout and read_card(run.folder / CARD, ModelCard).split["holdout"]:
        threshold_run(run.folder, run.data)
    with closing(open_run(run.folder, device=run.config.device)) as backend:
        evaluation = evaluate(backend, dataset, out=run.folder)
        evaluation.store()
    card = read_card(run.folder / CARD, ModelCard)
    metrics = evaluation.overall.scores.to_json()
    write_card(run.folder / CARD, dataclasses.replace(card, metrics=metrics))
