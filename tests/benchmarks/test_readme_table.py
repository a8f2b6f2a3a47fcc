"""The README's tables are what the script makes of the committed results."""

import json
from dataclasses import asdict
from pathlib import Path

from documents import Document, Figure, read_documents
from readme_table import REPRODUCED, main, tables

REPOSITORY = Path(__file__).parents[2]
RESULTS = sorted((REPOSITORY / "benchmarks" / "results").glob("*.json*"))
BY_HAND = {"backends"}  # beside its times stand sizes and accuracies that no benchmark measures
REPORTS = sorted((REPOSITORY / "benchmarks" / "results" / REPRODUCED).glob("*.json"))
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
LOG = (REPOSITORY / "LOG.md").read_text(encoding="utf-8")


def test_the_readme_has_the_tables_of_the_committed_results():
    found = {name: table for path in RESULTS for name, table in tables(path).items()}
    assert {"latency", "magnetic_tile"} <= found.keys()
    for name in found.keys() - BY_HAND:
        assert found[name] in README, name


def test_what_was_reproduced_stands_in_the_readme_or_the_log():
    found = {name: table for path in REPORTS for name, table in tables(path).items()}
    assert {"magnetic-tile", "destseg-4"} <= found.keys()
    for name, table in found.items():
        assert table in README or table in LOG, name


def test_a_reproduced_table(tmp_path):
    ours = {"mean": 81.26, "std": 1.04, "n": 3}
    names = ("image_auroc", "pixel_auroc", "pixel_ap", "aupro", "iap", "iap90")
    cells = {name: {"ours": dict(ours)} for name in names}
    cells["iap90"]["ours"]["std"] = None
    path = tmp_path / REPRODUCED / "t.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"table": "t", "rows": {"DeSTSeg": {"tiles": cells}}}))
    *_, row = tables(path)["t"].splitlines()
    same = "81.3 ± 1.0"
    assert row == f"| DeSTSeg | {same} | {same} | {same} | {same} | 81.3 | {same} |"


def test_the_committed_results_have_figures():
    for path in RESULTS:
        assert all(document.figures for document in read_documents(path))


def test_times_and_ratios(tmp_path, capsys):
    document = Document(
        benchmark="startup",
        day="2026-01-02",
        machine="a board",
        command="python benchmarks/bench_startup.py",
        versions={},
        figures=(
            Figure(name="help", unit="s", p50=0.1749, p99=0.25),
            Figure(name="help, times import numpy, cv2", unit="x", p50=1.2345, of="help"),
            Figure(name="python", unit="s", p50=0.02),
        ),
    )
    path = tmp_path / "results.json"
    path.write_text(json.dumps(asdict(document)))
    path.write_text(path.read_text() + "\n" + path.read_text())  # lines of documents
    assert main([str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "startup:",
        "",
        "| from the start of the process to | p50 | p99 | times `import numpy, cv2` |",
        "| --- | --- | --- | --- |",
        "| help | 0.17 s | 0.25 s | 1.23 |",
        "| python | 0.02 s |  |  |",
    ]
    assert main([str(tmp_path / "no.json")]) == 2
    assert "cannot be read" in capsys.readouterr().err
