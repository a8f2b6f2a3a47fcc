"""Tables of the papers as data: what they compare, on which data set, and the published figures.

`tables/<name>.toml` beside this file, or a TOML file of the same form:

    title = "Three methods on our castings"
    source = "Author, Venue 2023, Table 2"  optional: where the figures were published
    dataset = "mvtec_ad"                    optional: figures are compared on this data set only
    metrics = ["image_auroc", "pixel_ap"]   of Scores; default: all six
    seeds = 3                               0, 1 and 2; default: 1
    textures = "DTD"                        textures that the paper uses for synthetic anomalies
    settings = { holdout = 0.0 }            of TrainConfig, for every row; any but `seed`

    [[rows]]
    label = "DeSTSeg"
    settings = { focal_gamma = 2.0 }        of this row; override those of the table
    figures.bottle = ["99.2 ± 0.2", 90.3]   in percent, one per metric, by category
    figures.average = [97.9, 75.8]

In a table of complexity (`measures = "complexity"`) figures are named as in MEASURES.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from edgeseg.errors import ConfigError
from edgeseg.evaluation.report import COLUMNS
from edgeseg.files import quoted, shown
from edgeseg.recipes import TrainConfig
from edgeseg.schema import Invalid, bounded, build
from edgeseg.settings import fit, known, read_toml

TABLES = Path(__file__).parent / "tables"
AVERAGE = "average"
MVTEC_AD, MVTEC_3D_AD, MAGNETIC_TILE = DATASETS = ("mvtec_ad", "mvtec_3d_ad", "magnetic_tile")
MEASURES = {
    "parameters_m": "parameters, millions",
    "gmac": "MACs, 10^9",
    "memory_mb": "memory, MB",
    "training_min": "training, minutes",
    "inference_ms": "inference, ms",
}
_STEPS = ("student_steps", "epochs")  # alternatives
_FIGURE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(?: ?(?:±|\+-) ?(\d{1,9}(?:\.\d{1,9})?))?")
W = TypeVar("W", "_Written", "_WrittenRow")


@dataclass(frozen=True)
class Figure:
    """A published figure, in percent or in the unit of its measure."""

    mean: float
    std: float | None = None

    def __str__(self) -> str:
        return plus_minus(self.mean, self.std)


def plus_minus(mean: float, std: float | None, digits: int = 1) -> str:
    """Return `97.9 ± 0.2`, or the mean alone."""
    return f"{mean:.{digits}f}" + ("" if std is None else f" ± {std:.{digits}f}")


@dataclass(frozen=True, kw_only=True)
class Row:
    """The settings of a row, and its published figures."""

    label: str
    settings: dict[str, Any]
    figures: dict[str, tuple[Figure, ...]]
    """Category or `average` -> one figure per metric; for complexity: measure -> one figure."""

    @property
    def slug(self) -> str:
        """The label as a folder name."""
        return _slug(self.label)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that `edgeseg reproduce` can run."""

    name: str
    title: str
    source: str = ""
    machine: str = ""
    """For complexity: the machine of the paper."""
    dataset: str | None = None
    metrics: tuple[str, ...] = tuple(COLUMNS.values())
    seeds: int = 1
    textures: str | None = None
    complexity: bool = False
    settings: dict[str, Any]
    rows: tuple[Row, ...]

    def config(self, row: Row, overrides: dict[str, Any], **more: Any) -> TrainConfig:
        """Return the configuration of a row; later settings override earlier ones."""
        values: dict[str, Any] = {}
        for layer in (self.settings, row.settings, overrides, more):
            if any(name in layer for name in _STEPS):
                values = {name: value for name, value in values.items() if name not in _STEPS}
            values |= layer
        try:
            return TrainConfig(**values)
        except ConfigError as error:
            problem = f"{self.name}, row '{row.label}': {error.problem}"
            raise ConfigError(problem, remedy=error.remedy, code=error.code) from error

    def select(self, wanted: str | None) -> tuple[Row, ...]:
        """Return the rows with the given labels, `a,b`; None selects all."""
        if wanted is None:
            return self.rows
        by_slug = {row.slug: row for row in self.rows}
        chosen = set()
        for label in wanted.split(","):
            slug = _slug(label)
            if slug not in by_slug:
                near = (get_close_matches(slug, by_slug, 1) or [self.rows[0].slug])[0]
                raise ConfigError(
                    f"row not found in {self.name}: '{label}' (rows: "
                    f"{', '.join(row.label for row in self.rows)})",
                    remedy=f"--rows {quoted(by_slug[near].label)}",
                    code="reproduce/unknown-row",
                )
            chosen.add(slug)
        return tuple(row for row in self.rows if row.slug in chosen)


def _slug(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


def table_names() -> list[str]:
    """Return the names of the tables: destseg-1 to -6, destseg-s1 to -s6, dskd-1 to -9."""
    return sorted(path.stem for path in TABLES.glob("*.toml"))


def read_table(name: str) -> Table:
    """Read a table of the papers by name, or a TOML file by path.

    ConfigError for an unknown name or an invalid file.
    """
    names = table_names()
    if name in names:
        path = TABLES / f"{name}.toml"
    elif name.endswith(".toml") or Path(name).is_file():
        path = Path(name)
    else:
        near = get_close_matches(name.lower(), names, 1) or ["destseg-2"]
        raise ConfigError(
            f"table not found: {name} (available: {', '.join(names)})",
            remedy=f"edgeseg reproduce {near[0]}, or the path of a TOML file",
            code="reproduce/unknown-table",
        )
    return _table(read_toml(path), path)


@dataclass(frozen=True, kw_only=True)
class _Written:
    """A table as its file has it."""

    title: str = ""
    source: str = ""
    machine: str = ""
    dataset: str | None = None
    metrics: list[str] = field(default_factory=lambda: [*COLUMNS.values()])
    seeds: int = bounded(1, 1000, default=1)
    textures: str | None = None
    measures: str = "accuracy"
    settings: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _WrittenRow:
    label: str
    settings: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


def _table(values: dict[str, Any], path: Path) -> Table:
    known(values, [f.name for f in fields(_Written)], path, "part of a table")
    found = _built(_Written, values, path)
    for name, choices in (("dataset", DATASETS), ("measures", ("accuracy", "complexity"))):
        if name in values:
            known([values[name]], choices, path, name)
    known(found.metrics, tuple(COLUMNS.values()), path, "metric")
    complexity = found.measures == "complexity"
    rows = tuple(_row(row, found.metrics, complexity, path) for row in found.rows)
    slugs = [row.slug for row in rows]
    if not rows or len(set(slugs)) < len(slugs):
        _refuse(path, "rows (expected [[rows]], each with its own label)")
    return Table(
        name=path.stem,
        title=found.title or path.stem,
        source=found.source,
        machine=found.machine,
        dataset=found.dataset,
        metrics=tuple(found.metrics),
        seeds=found.seeds,
        textures=found.textures,
        complexity=complexity,
        settings=read_settings(found.settings, path),
        rows=rows,
    )


def _row(values: dict[str, Any], metrics: Collection[str], complexity: bool, path: Path) -> Row:
    known(values, [f.name for f in fields(_WrittenRow)], path, "part of a row")
    found = _built(_WrittenRow, values, path)
    figures: dict[str, tuple[Figure, ...]] = {}
    if complexity:
        known(found.figures, MEASURES, path, "measure")
        figures = {name: (_figure(value, path),) for name, value in found.figures.items()}
    else:
        for category, cells in found.figures.items():
            if not isinstance(cells, list) or len(cells) != len(metrics):
                expected = f"expected one per metric: {', '.join(metrics)}"
                _refuse(path, f"figures.{category} = {cells!r} ({expected})")
            figures[category] = tuple(_figure(cell, path) for cell in cells)
    row = Row(label=found.label, settings=read_settings(found.settings, path), figures=figures)
    if not row.slug or "," in row.label:
        _refuse(path, f"label '{row.label}' (expected letters or digits, and no comma)")
    return row


def _built(kind: type[W], values: dict[str, Any], path: Path) -> W:
    try:
        return build(kind, values)
    except Invalid as error:
        _refuse(path, str(error))


def read_settings(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """Check settings of TrainConfig; each run has its own `seed`, and all have the same steps."""
    if "seed" in values:
        _refuse(path, "setting 'seed' (use seeds = 3 or --seeds 3)")
    if "minutes" in values:
        _refuse(path, "setting 'minutes' (use student_steps and head_steps, equal on all machines)")
    return fit(values, TrainConfig, path)


def _figure(value: Any, path: Path) -> Figure:
    if type(value) in (int, float):
        return Figure(float(value))
    found = _FIGURE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        _refuse(path, f"figure {value!r} (expected 99.2 or '99.2 ± 0.2')")
    return Figure(float(found[1]), float(found[2]) if found[2] else None)


def _refuse(path: Path, found: str) -> NoReturn:
    raise ConfigError(
        f"{shown(path)}: invalid {found}",
        remedy=f"correct {path.name}",
        code="reproduce/invalid-table",
    )
