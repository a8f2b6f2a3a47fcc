"""The targets of the Makefile set themselves up; .ci/run uses an environment of its own."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent
STEPS = ("-m venv", "pip install", "touch")
CHECKS = ("bin/ruff format --check", "bin/ruff check", "bin/mypy", ".ci/pytest")

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def dry_run(target, venv, *variables):
    command = ["make", "--dry-run", "--always-make", target, f"VENV={venv}", *variables]
    if (venv / ".installed").exists():
        command.remove("--always-make")
    outer = {"MAKEFLAGS", "MAKELEVEL", "WITH_PYCUDA"}  # of the `make test` that may run this
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name not in outer},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@needs_make
def test_the_tests_set_up_an_environment_and_then_run_every_check(tmp_path):
    steps = dry_run("test", tmp_path / "venv")
    places = [steps.index(check) for check in STEPS + CHECKS]
    assert places == sorted(places)
    assert str(tmp_path / "venv") in steps


@needs_make
def test_pycuda_is_built_for_the_tests_only_where_that_is_asked_for(tmp_path):
    plain = dry_run("test", tmp_path / "venv")
    assert "build_pycuda" not in plain and "PYTHONPATH" not in plain
    lines = dry_run("test", tmp_path / "venv", "WITH_PYCUDA=/kept/pycuda").splitlines()
    assert [line for line in lines if "/kept/pycuda" in line] == [
        f'{tmp_path}/venv/bin/python -m tools.cudasim.build_pycuda "/kept/pycuda"',
        f'PYTHONPATH="/kept/pycuda" .ci/pytest "{tmp_path}/venv/bin/python" '
        "--numprocesses auto --maxprocesses 4",
    ]


@needs_make
def test_cameras_are_tested_in_the_same_environment_where_there_is_a_virtual_machine(tmp_path):
    steps = dry_run("camera", tmp_path / "venv", "KERNEL=/kept/kernel")
    command = f'.ci/camera "{tmp_path}/venv/bin/python" "/kept/kernel" || [ $? = 3 ]'
    assert steps.splitlines()[-1] == command
    assert "pip install" in steps


@needs_make
@pytest.mark.parametrize(
    ("target", "last"), [("demo", "bin/edgeseg demo"), ("docs", "bin/mkdocs build --strict")]
)
def test_the_demo_and_the_docs_set_up_the_same_environment(tmp_path, target, last):
    steps = dry_run(target, tmp_path / "venv")
    install = 'pip install --constraint constraints.txt --editable ".[dev]"'
    assert steps.index(install) < steps.index(last)


@needs_make
def test_an_environment_that_is_up_to_date_is_left_alone(tmp_path):
    (tmp_path / ".installed").touch()
    assert "pip install" not in dry_run("test", tmp_path)
    os.utime(tmp_path / ".installed", (0, 0))  # older than pyproject.toml
    assert "pip install" in dry_run("test", tmp_path)


@pytest.mark.parametrize("code", [0, 3])
def test_ci_run_makes_docs_and_test_elsewhere_and_passes_its_result_on(tmp_path, code):
    """With a `make` that only tells how it was called, and an `apt-get` that does nothing."""
    stub = tmp_path / "bin" / "make"
    stub.parent.mkdir()
    for name, text in (("make", f'echo "$PWD|$*"\nexit {code}'), ("apt-get", "exit 0")):
        (stub.parent / name).write_text(f"#!/bin/sh\n{text}\n")
        (stub.parent / name).chmod(0o755)
    path = f"{stub.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [REPOSITORY / ".ci" / "run"],
        cwd=tmp_path,
        env={
            **os.environ,
            **{"PATH": path, "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": "/kept"},
            "ORT_INCLUDE": "/headers",  # or they are fetched
            "TENSORRT_WHEELS": "/wheels",
        },
        capture_output=True,
        text=True,
    )
    folder, words = done.stdout.strip().split("|")
    target, _, rest = words.partition(" VENV=")
    venv, _, kept = rest.partition(" WITH_PYCUDA=")
    assert (Path(folder), target, done.returncode) == (
        REPOSITORY,
        "lowest distribution docs test camera",
        code,
    )
    assert (
        Path(venv).is_relative_to(tmp_path)
        and kept == "/kept/edgeseg/pycuda KERNEL=/kept/edgeseg/kernel"
    )
    assert not Path(venv).parent.exists()


def test_every_script_can_be_run():
    names = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    scripts = [REPOSITORY / name for name in names if (REPOSITORY / name).is_file()]
    scripts = [path for path in scripts if path.read_bytes()[:2] == b"#!"]
    assert [str(path) for path in scripts if not os.access(path, os.X_OK)] == []


TESTS = """
from pathlib import Path
MARK = Path(__file__).with_name("mark")
def test_passes(): pass
def test_fails_once():
    before = MARK.exists()
    MARK.touch()
    assert before
def test_always_fails(): assert False
"""


@pytest.mark.parametrize(
    ("chosen", "code", "runs"),
    [
        ("passes", 0, ["1 passed"]),
        ("passes or once", 0, ["1 failed, 1 passed", "1 passed"]),
        ("always", 1, ["1 failed", "1 failed"]),
        ("nothing", 5, ["3 deselected"]),
    ],
)
def test_a_failed_test_is_tried_once_more_without_the_others(tmp_path, chosen, code, runs):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [REPOSITORY / ".ci" / "pytest", sys.executable, "-q", "-k", chosen]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code
    assert re.findall(r"^(\d.*?)(?:, \d+ deselected)? in ", done.stdout, re.MULTILINE) == runs
