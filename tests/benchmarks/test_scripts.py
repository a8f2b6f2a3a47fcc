"""Every benchmark script accepts its arguments, and compares what it times."""

import importlib
import sys
from pathlib import Path

import pytest

from documents import read_documents
from edgeseg.recipes import TrainConfig
from edgeseg.reproduce.table import read_table
from edgeseg.settings import make

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("bench_*.py"))


@pytest.mark.parametrize("name", [*SCRIPTS, "compare"])
def test_a_script_explains_its_arguments(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        importlib.import_module(name).main()
    assert ended.value.code == 0
    assert f"usage: {name}.py" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("bench_metrics", "--maps 20 --side 32 --rounds 2"),
        ("bench_stream", "--fixed-ms 1 --rounds 2 --frames 5 --in-flight 2"),
    ],
)
def test_a_script_prints_a_document(name, arguments, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *arguments.split()])
    importlib.import_module(name).main()
    path = tmp_path / "output.txt"
    path.write_text(capsys.readouterr().out)
    (document,) = read_documents(path)
    assert len(document.figures) > 2


def test_the_committed_results_have_figures():
    for path in (BENCHMARKS / "results").glob("*.json*"):
        assert all(document.figures for document in read_documents(path))


def test_every_variant_of_bench_profiles_is_a_configuration():
    variants = importlib.import_module("bench_profiles").VARIANTS
    assert all(TrainConfig(**settings) for settings in variants.values())


@pytest.mark.parametrize("name", ["magnetic-tile", "edge-variants"])
def test_every_row_of_a_table_is_a_configuration(name):
    table = read_table(str(BENCHMARKS / f"{name}.toml"))
    configs = {row.label: table.config(row, {}) for row in table.rows}
    assert table.dataset == "magnetic_tile" and len(configs) == len(table.rows)
    assert {config.batch for config in configs.values()} == {8}


def test_five_minutes_is_a_configuration():
    assert make(TrainConfig, {}, BENCHMARKS / "five-minutes.toml").head_steps == 162
