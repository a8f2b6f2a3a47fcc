"""A table as runs: every row on every category with every seed, and which share a training.

OUT/<table>/<category>/<row>-s<seed>/     a run as any other, its metrics in its card
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.data.layouts import Dataset
from edgeseg.data.policy import paper_rotation, settle
from edgeseg.errors import ConfigError
from edgeseg.extras import require
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.table import Row, Table


@dataclass(frozen=True, kw_only=True)
class Run:
    """One model to train and to measure."""

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
        """What is on the disk; None while it is not trained. ModelError for a damaged one."""
        path = self.folder / CARD
        return read_card(path, ModelCard) if path.is_file() else None

    @property
    def finished(self) -> bool:
        card = self.card
        return card is not None and bool(card.metrics)


@dataclass(frozen=True, kw_only=True)
class Training:
    """Runs whose weights are the same, on `threads` threads; other runs in `out` may have them."""

    runs: tuple[Run, ...]
    out: Path
    threads: int = 1

    @property
    def title(self) -> str:
        more = len(self.runs) - 1
        return self.runs[0].title + (f", and {more} more of one training" if more else "")


def make_runs(
    table: Table,
    rows: Sequence[Row],
    datasets: Sequence[Dataset],
    seeds: int,
    overrides: dict[str, Any],
    out: Path,
) -> list[Run]:
    """Return the matrix, the first seed of everything first.

    ConfigError for settings that make two rows the same.
    """
    runs = []
    for seed in range(seeds):
        for dataset in datasets:
            folder = out / table.name / dataset.name
            configs: dict[TrainConfig, Row] = {}
            for row in rows:
                config = resolve(table.config(row, overrides, seed=seed), dataset)
                if config in configs:
                    raise ConfigError(
                        f"The rows '{configs[config].label}' and '{row.label}' have the same "
                        "settings: what the table compares is overridden.",
                        remedy="omit from --train-config what the rows set, or select "
                        f"--rows '{row.label}'",
                    )
                configs[config] = row
                runs.append(
                    Run(
                        category=dataset.name,
                        row=row.label,
                        config=config,
                        data=dataset.root,
                        folder=folder / f"{row.slug}-s{seed}",
                    )
                )
    return runs


def resolve(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """Return a configuration with the paper's rotation for a data set; none where it has none."""
    if config.rotation == "paper" and paper_rotation(dataset) is None:
        config = replace(config, rotation="none")
    return settle(config, dataset)


def trainings(runs: Iterable[Run], out: Path) -> list[Training]:
    """Group the runs that are not finished by their training."""
    require("torch", extra="train")
    from edgeseg.reproduce.derive import training_settings
    from edgeseg.training.train import json_config

    groups: dict[str, list[Run]] = {}
    for run in runs:
        key = f"{run.data} {training_settings(json_config(run.config))}"
        groups.setdefault(key, []).append(run)
    open_ones = (group for group in groups.values() if not all(run.finished for run in group))
    return [Training(runs=tuple(group), out=out) for group in open_ones]


def check_begun(runs: Iterable[Run], datasets: Iterable[Dataset]) -> None:
    """Refuse runs that were begun with other settings or images; ConfigError names the change."""
    names = {dataset.root: _names(dataset) for dataset in datasets}
    conflicts = [(run, what) for run in runs if (what := _conflict(run, names[run.data]))]
    if conflicts:
        run, what = conflicts[0]
        more = f" (and {len(conflicts) - 1} more such runs)" if len(conflicts) > 1 else ""
        raise ConfigError(
            f"{run.folder} was begun with other {what}{more}.",
            remedy=f"--out another-folder, or do without it: rm -r '{run.folder}'",
        )


def _conflict(run: Run, names: set[str]) -> str | None:
    from edgeseg.training.checkpoint import begun_with, changes
    from edgeseg.training.train import json_config

    wanted = json_config(run.config)
    if (card := run.card) is not None:
        if changed := changes(card.config, wanted):
            return f"settings: {', '.join(changed)}"
        found = {name for part in card.split.values() for name in part}
        return None if found == names else f"images than those in {run.data}"
    changed = changes(begun_with(run.folder) or wanted, wanted)
    return f"settings: {', '.join(changed)}" if changed else None


def _names(dataset: Dataset) -> set[str]:
    return {sample.path.relative_to(dataset.root).as_posix() for sample in dataset.train}
