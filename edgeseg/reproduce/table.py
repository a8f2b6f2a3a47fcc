"""A table of a paper as data: what it compares, on which data, and what the paper printed.

`tables/<name>.toml` beside this file, or a file of yours of the same form:

    title = "Three methods on our castings"
    source = "Somebody, Somewhere 2023, Table 2"     whose figures; may be left out with them
    dataset = "mvtec_ad"                   whose data: elsewhere the figures are not compared
    metrics = ["image_auroc", "pixel_ap"]  of Scores; default: all six
    seeds = 3                              0, 1 and 2; default: 1
    textures = "DTD"                       that the paper pastes as anomalies
    settings = { holdout = 0.0 }           of TrainConfig, for every row; all but `seed`

    [[rows]]
    label = "DeSTSeg"
    settings = { focal_gamma = 2.0 }       what makes the row; beats the table's
    figures.bottle = ["99.2 ± 0.2", 90.3]  percent: one for each metric, by category
    figures.average = [97.9, 75.8]

A table of complexity (`measures = "complexity"`) has figures by name: MEASURES.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from edgeseg.errors import ConfigError
from edgeseg.evaluation.report import COLUMNS
from edgeseg.recipes import TrainConfig
from edgeseg.settings import fit, known, read_toml

TABLES = Path(__file__).parent / "tables"
AVERAGE = "average"
MVTEC_AD, MVTEC_3D_AD, MAGNETIC_TILE = DATASETS = ("mvtec_ad", "mvtec_3d_ad", "magnetic_tile")
MEASURES = {
    "parameters_m": "parameters, millions",
    "gmac": "multiply-accumulates, 10^9",
    "memory_mb": "memory, MB",
    "training_min": "training, minutes",
    "inference_ms": "inference, ms",
}
_ROW = ("label", "settings", "figures")
_STEPS = ("student_steps", "epochs")  # one takes the other's place
_FIGURE = re.compile(r"(\d+(?:\.\d+)?)(?: ?(?:±|\+-) ?(\d+(?:\.\d+)?))?")

Settings = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A printed figure, in percent or in a measure's unit."""

    mean: float
    std: float | None = None

    def __str__(self) -> str:
        return plus_minus(self.mean, self.std)


def plus_minus(mean: float, std: float | None, digits: int = 1) -> str:
    """Return `97.9 ± 0.2`, or the mean alone."""
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting of a table, and what the paper printed for it."""

    label: str
    settings: Settings
    figures: dict[str, tuple[Figure, ...]]
    """Category, or `average`, -> one figure for each metric; of complexity: measure -> one."""

    @property
    def slug(self) -> str:
        """The label as a folder's name."""
        return re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-")


@dataclass(frozen=True, kw_only=True)
class Table:
    """What `edgeseg reproduce` runs and prints."""

    name: str
    title: str
    source: str = ""
    machine: str = ""
    """Of complexity: what the paper measured on."""
    dataset: str | None = None
    metrics: tuple[str, ...] = tuple(COLUMNS.values())
    seeds: int = 1
    textures: str | None = None
    complexity: bool = False
    settings: Settings
    rows: tuple[Row, ...]

    def config(self, row: Row, overrides: Settings, **more: Any) -> TrainConfig:
        """Return a row's configuration: the table's settings, the row's, those that beat both."""
        values: Settings = {}
        for layer in (self.settings, row.settings, overrides, more):
            if any(name in layer for name in _STEPS):
                values = {name: value for name, value in values.items() if name not in _STEPS}
            values |= layer
        try:
            return TrainConfig(**values)
        except ConfigError as error:
            problem = f"{self.name}, row '{row.label}': {error.problem}"
            raise ConfigError(problem, remedy=error.remedy) from error

    def select(self, wanted: str | None) -> tuple[Row, ...]:
        """Return the rows of the given labels, `a,b`; None is all of them."""
        labels = {row.slug: row for row in self.rows}
        if wanted is None:
            return self.rows
        names = [Row(label=part, settings={}, figures={}).slug for part in wanted.split(",")]
        for part, name in zip(wanted.split(","), names, strict=True):
            if name not in labels:
                near = get_close_matches(name, labels, 1)
                all_labels = ", ".join(row.label for row in self.rows)
                raise ConfigError(
                    f"{self.name} has no row '{part}'; its rows are {all_labels}.",
                    remedy=f"--rows '{labels[near[0]].label if near else self.rows[0].label}'",
                )
        return tuple(row for slug, row in labels.items() if slug in names)


def table_names() -> list[str]:
    """Return the papers' tables: destseg-1 to -6 and -s1 to -s6, dskd-1 to -9."""
    return sorted(path.stem for path in TABLES.glob("*.toml"))


def read_table(name: str) -> Table:
    """Read one of the papers' tables by its name, or a file of yours by its path.

    ConfigError for a name that is none, and for a file that is not of the form above.
    """
    names = table_names()
    if name in names:
        path = TABLES / f"{name}.toml"
    elif name.endswith(".toml") or Path(name).is_file():
        path = Path(name)
    else:
        near = get_close_matches(name.lower(), names, 1) or ["destseg-2"]
        raise ConfigError(
            f"There is no table '{name}'; there are {', '.join(names)}.",
            remedy=f"edgeseg reproduce {near[0]} ..., or the path of a TOML file of yours",
        )
    return _table(read_toml(path), path)


def _table(values: dict[str, Any], path: Path) -> Table:
    names = "title source machine dataset metrics seeds textures measures settings rows"
    known(values, names.split(), path, "part of a table")
    kinds = {"metrics": list, "rows": list, "settings": dict, "seeds": int}
    for name, value in values.items():
        wanted = kinds.get(name, str)
        if type(value) is not wanted:
            _refuse(path, f"{name} is {value!r}; {wanted.__name__} was expected", f"write {name}")
    for name, choices in (("dataset", DATASETS), ("measures", ("accuracy", "complexity"))):
        if name in values:
            known([values[name]], choices, path, name)
    metrics = tuple(values.get("metrics", COLUMNS.values()))
    known(metrics, tuple(COLUMNS.values()), path, "metric")
    if not 1 <= values.get("seeds", 1) <= 1000:
        _refuse(path, f"seeds is {values['seeds']}; 1 to 1000 was expected", "seeds = 3")
    complexity = values.get("measures") == "complexity"
    rows = tuple(_row(row, metrics, complexity, path) for row in values.get("rows", []))
    slugs = [row.slug for row in rows]
    if not rows or len(set(slugs)) < len(slugs):
        _refuse(path, "it has no rows, or two of one label", '[[rows]]\nlabel = "DeSTSeg"')
    return Table(
        name=path.stem,
        title=values.get("title", path.stem),
        source=values.get("source", ""),
        machine=values.get("machine", ""),
        dataset=values.get("dataset"),
        metrics=metrics,
        seeds=values.get("seeds", 1),
        textures=values.get("textures"),
        complexity=complexity,
        settings=read_settings(values.get("settings", {}), path),
        rows=rows,
    )


def _row(values: Any, metrics: Collection[str], complexity: bool, path: Path) -> Row:
    if not isinstance(values, dict) or not isinstance(values.get("label"), str):
        _refuse(path, f"a row is {values!r}, without a label", '[[rows]]\nlabel = "DeSTSeg"')
    known(values, _ROW, path, "part of a row")
    printed = values.get("figures", {})
    figures: dict[str, tuple[Figure, ...]] = {}
    if complexity:
        known(printed, MEASURES, path, "measure")
        figures = {name: (_figure(value, path),) for name, value in printed.items()}
    else:
        for category, cells in printed.items():
            if not isinstance(cells, list) or len(cells) != len(metrics):
                problem = f"the figures of {category} are {cells!r}; one for each metric"
                _refuse(path, f"{problem} was expected", f"metrics: {', '.join(metrics)}")
            figures[category] = tuple(_figure(cell, path) for cell in cells)
    row = Row(
        label=values["label"],
        settings=read_settings(values.get("settings", {}), path),
        figures=figures,
    )
    if not row.slug or "," in row.label:
        _refuse(path, f"the label '{row.label}' is no name", "letters and digits, and no comma")
    return row


def read_settings(values: Settings, path: Path) -> Settings:
    """Return settings of TrainConfig as they fit it; `seed` belongs to the matrix."""
    if "seed" in values:
        _refuse(path, "it sets 'seed', and every run has its own", "seeds = 3, or --seeds 3")
    return fit(values, TrainConfig, path)


def _figure(value: Any, path: Path) -> Figure:
    if type(value) in (int, float):
        return Figure(float(value))
    found = _FIGURE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        _refuse(path, f"the figure {value!r} is none", 'write 99.2 or "99.2 ± 0.2"')
    return Figure(float(found[1]), float(found[2]) if found[2] else None)


def _refuse(path: Path, problem: str, remedy: str) -> NoReturn:
    raise ConfigError(f"{path}: {problem}.", remedy=remedy)
