"""The tables that `edgeseg reproduce` reads from benchmarks/."""

from pathlib import Path

import pytest

from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.table import read_table
from edgeseg.settings import make

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.parametrize("name", ["magnetic-tile", "edge-variants"])
def test_every_row_is_a_configuration(name):
    table = read_table(str(BENCHMARKS / f"{name}.toml"))
    configs = {row.label: table.config(row, {}) for row in table.rows}
    assert table.dataset == "magnetic_tile" and len(configs) == len(table.rows)
    assert {config.batch for config in configs.values()} == {8}


def test_the_papers_rows_are_the_papers_recipes_but_for_size_and_steps():
    """What `magnetic-tile.toml` gives all its rows, and the steps that fit the time."""
    table = read_table(str(BENCHMARKS / "magnetic-tile.toml"))
    given = {"teacher", "image_size", "batch", "model", "student_steps", "head_steps"}
    for row in table.rows:
        if row.label not in ("edge", "DSKD with head"):
            assert {*table.settings, *row.settings} <= given


def test_five_minutes_is_a_configuration():
    assert make(TrainConfig, {}, BENCHMARKS / "five-minutes.toml").head_steps == 162
