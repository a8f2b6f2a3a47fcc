"""The lists of docs/not-run-on-gpu.md, from the results of `edgeseg doctor --gpu`.

    edgeseg doctor --gpu --results benchmarks/results/gpu/DEVICE-DAY.json
    python benchmarks/gpu_page.py

Each results file has a section; the last list has the checks that passed on none of the GPUs.
"""

import json
import textwrap
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

from edgeseg.gpu_check.table import CHECKS

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / "benchmarks" / "results" / "gpu"
PAGE = REPOSITORY / "docs" / "not-run-on-gpu.md"
BEGIN, END = "<!-- from benchmarks/results/gpu -->\n", "<!-- end -->\n"
HEAD = "| checks | result | found | expected |\n| --- | --- | --- | --- |"
WIDTH = 100

Results = dict[str, Any]


def read_results(folder: Path = RESULTS) -> dict[str, Results]:
    """Return the results files of a folder by name, in order."""
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


def lists(results: dict[str, Results]) -> str:
    """Return a section for each results file, and the checks that passed in none."""
    sections = [_section(name, each) for name, each in results.items()]
    names = _names({"name": name} for name in never_passed(results.values()))
    return "\n".join([*sections, _wrapped(f"Checks that passed on no GPU so far: {names}.")])


def never_passed(results: Iterable[Results]) -> list[str]:
    """Return the names of the checks that passed in none of the results."""
    passed = {c["name"] for each in results for c in each["checks"] if c["state"] == "PASS"}
    return [check.name for check in CHECKS if check.name not in passed]


def _section(name: str, results: Results) -> str:
    device, machine, checks = (results[key] for key in ("device", "machine", "checks"))
    states = [check["state"] for check in checks]
    counts = ", ".join(f"{states.count(state)} {state}" for state in ("PASS", "FAIL", "SKIP"))
    versions = ", ".join(f"{package} {version}" for package, version in results["versions"].items())
    about = (
        f"{results['date']}, {results['seconds']:.0f} s: {counts}. Compute capability "
        f"{device['compute_capability']}, driver {machine['driver']}, CUDA {device['cuda']}, "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['os']}; {versions}. All figures: "
        f"`benchmarks/results/gpu/{name}`."
    )
    ran = [check for check in checks if check["state"] != "SKIP"]
    skips = [check for check in checks if check["state"] == "SKIP"]
    rows = [
        f"| {_names(same)} | {state} | {found} | {expected} |"
        for (state, found, expected), same in groupby(ran, key=_line)
    ]
    skipped = "; ".join(
        f"{_names(same)} ({why})" for why, same in groupby(skips, key=lambda check: check["found"])
    )
    paragraphs = [f"### {device['name']}", _wrapped(about), "\n".join([HEAD, *rows])]
    if skipped:
        paragraphs.append(_wrapped(f"Skipped there: {skipped}."))
    return "\n\n".join(paragraphs) + "\n"


def _line(check: Results) -> tuple[str, str, str]:
    state = "PASS" if check["state"] == "PASS" else f"**{check['state']}**"
    return state, check["found"].replace("|", "\\|"), check["expected"]


def _names(checks: Iterable[Results]) -> str:
    return ", ".join(f"`{check['name']}`" for check in checks)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_on_hyphens=False, break_long_words=False)


def replaced(page: str, text: str) -> str:
    """Return a page with the text between its marks replaced."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{text}\n\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Write the lists into the page."""
    text = replaced(PAGE.read_text(encoding="utf-8"), lists(read_results()))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
