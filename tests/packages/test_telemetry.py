"""Nothing but images, models and results leaves edgeseg: no usage reports of the runtimes."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from edgeseg.packages.telemetry import REPORTER, import_silently
from tests.kit.red_graph import write_project
from tests.test_wheel import REPOSITORY

TRACE = ["strace", "-f", "-qq", "-e", "trace=network", "-o"]
TRACED = shutil.which("strace") and not subprocess.run([*TRACE, os.devnull, "true"]).returncode
SENT = re.compile(r"(?:connect|sendto|sendm?msg)\(.*AF_INET.*")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return write_project(tmp_path_factory.mktemp("project"))


@pytest.mark.parametrize(
    "words",
    [
        "predict plates.onnx photos --out a --runtime onnxruntime",
        "predict plates.onnx photos --out b --runtime openvino",
        "stream onnxruntime.onnx --source photos --no-window --frames 2",
        "stream openvino.onnx --source photos --no-window --frames 2",
        "doctor",
    ],
)
def test_a_command_leaves_no_id_at_home_and_asks_no_host(project, tmp_path, words):
    """In no CI that the runtimes know, where they would be quiet anyway."""
    home, trace = tmp_path / "home", tmp_path / "trace"
    home.mkdir()
    done = subprocess.run(
        [*([*TRACE, trace] if TRACED else []), sys.executable, "-m", "edgeseg", *words.split()],
        cwd=project,
        env={"HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
        | {name: os.environ[name] for name in ("PATH", "GST_REGISTRY")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    own = home / ".cache" / "edgeseg"  # graphs that OpenVINO compiled
    shutil.rmtree(own, ignore_errors=True)
    assert [path for path in home.rglob("*") if path != own.parent] == []
    if TRACED:
        assert SENT.findall(trace.read_text(errors="replace")) == []


def test_a_package_is_imported_as_if_the_reporter_were_not_installed(tmp_path, monkeypatch):
    (tmp_path / f"{REPORTER}.py").write_text("")
    (tmp_path / "reporting.py").write_text(
        f"try:\n    import {REPORTER}\nexcept ImportError:\n    {REPORTER} = None\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, REPORTER, raising=False)
    assert getattr(import_silently("reporting"), REPORTER) is None
    assert REPORTER not in sys.modules
    assert __import__(REPORTER)  # for others in this process


def test_a_reporter_that_somebody_else_imported_stays(monkeypatch):
    monkeypatch.setitem(sys.modules, REPORTER, sys)
    import_silently("json")
    assert sys.modules[REPORTER] is sys
