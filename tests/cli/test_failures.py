"""Errors of the system end with exit code 2 and a remedy; mistakes of edgeseg with a traceback."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest

from edgeseg.cli.failures import REPORT, as_error
from edgeseg.errors import DataError, GateFailed
from tests.kit.red_graph import red_graph


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


SYSTEM = [
    (OSError(28, "No space left on device", "/data/my runs/x"), "enospc", "df -h '/data/my runs'"),
    (PermissionError(13, "Permission denied", "a\x1b[2J"), "eacces", r"ls -ld $'a\x1b\x5b2J'"),
    (FileNotFoundError(2, "No such file or directory", b"\xff/x"), "enoent", r"ls -l $'\xff'"),
    (OSError(36, "File name too long", "x" * 300), "enametoolong", "shorter name"),
    (OSError(5, "Input/output error"), "eio", "check the path"),
    (MemoryError(), "memory", "--frame-size"),
    (np.zeros, "memory", "--batch"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "memory", "--batch"),
    (UnicodeEncodeError("latin-1", "é", 0, 1, "ordinal not in range"), "unicode", "PYTHONUTF8=1"),
]


@pytest.mark.parametrize(("error", "code", "remedy"), SYSTEM, ids=lambda value: str(value)[:20])
def test_an_error_of_the_system_has_a_remedy(error, code, remedy):
    if callable(error):
        with pytest.raises(MemoryError) as caught:
            error((1 << 45,), np.uint8)
        error = caught.value
    found = as_error(error)
    assert (found.code, found.exit_code) == (f"system/{code}", 2)
    assert remedy in found.remedy
    assert found.problem.isprintable() and found.remedy.isprintable()


def test_what_the_system_did_not_cause_is_a_mistake_of_ours():
    for mistake in (KeyError("top"), TypeError(), RuntimeError("shape"), OSError("no number")):
        assert as_error(mistake) is None
    known = DataError("p", remedy="r", code="data/x")
    assert as_error(known) is known


@pytest.mark.parametrize("words", [("export", "x"), ("export", "x", "--json")])
def test_an_error_is_the_last_line_of_json(run, words, monkeypatch):
    monkeypatch.setattr("edgeseg.api.run_of", raising(MemoryError("Unable to allocate 30 GiB")))
    code, out, err = run(*words)
    assert code == 2 and "[system/memory]" in err and "Traceback" not in err
    if "--json" not in words:
        assert out == ""
        return
    found = json.loads(out.splitlines()[-1])["error"]
    assert found["code"] == "system/memory" and "30 GiB" in found["problem"]
    assert found["remedy"] in err


@pytest.mark.parametrize("words", [("trian",), ("train", "--btach", "3"), ("evaluate", "nothing")])
def test_a_usage_error_is_json_too(run, words):
    code, out, err = run(*words, "--json")
    assert code == 2 and set(json.loads(out)["error"]) == {"code", "problem", "remedy"}
    assert json.loads(out)["error"]["problem"] in err


def test_a_mistake_of_ours_ends_with_a_traceback_and_asks_for_a_report(run, monkeypatch):
    monkeypatch.setattr("edgeseg.api.run_of", raising(KeyError("to\x1bp")))
    code, out, err = run("export", "x", "--json")
    assert (code, out) == (1, "")
    assert "Traceback" in err and err.endswith(f"{REPORT}\n") and "\x1b" not in err


def test_ctrl_c_is_exit_code_130(run, monkeypatch):
    monkeypatch.setattr("edgeseg.api.run_of", raising(KeyboardInterrupt()))
    code, _, err = run("export", "x")
    assert code == 130 and "[interrupted]" in err and "Traceback" not in err


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_stop_of_a_service_is_told_like_ctrl_c(run, monkeypatch, name):
    number = getattr(signal, name, signal.SIGTERM)  # Windows has no SIGHUP
    monkeypatch.setattr("edgeseg.api.run_of", lambda given: signal.raise_signal(number))
    code, out, err = run("export", "x", "--json")
    assert code == 130 and "[interrupted]" in err
    assert json.loads(out)["error"]["code"] == "interrupted"


class Measured:
    """A report whose figures are not all numbers, and that is not good enough."""

    def summary(self):
        return "a\x1b[2Jb"

    def to_json(self):
        return {"score": float("nan")}

    def check(self):
        raise GateFailed("too slow", remedy="--runtime openvino", code="gate/deadline")


def test_a_report_is_valid_json_and_printed_escaped(run, monkeypatch):
    monkeypatch.setattr("edgeseg.exporter.export.export_run", lambda *_, **__: Measured())
    monkeypatch.setattr("edgeseg.api.run_of", lambda _: None)
    code, out, err = run("export", "--json")
    text, line = out.splitlines()
    assert code == 3 and text == "a\\x1b[2Jb" and "[gate/deadline]" in err
    assert json.loads(line) == {
        "score": None,
        "error": {"code": "gate/deadline", "problem": "too slow", "remedy": "--runtime openvino"},
    }


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_console_that_lacks_the_characters(tmp_path, encoding):
    words = [sys.executable, "-m", "edgeseg", "inspect", "größe→.onnx"]
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, timeout=60)
    assert done.returncode == 2 and b"\\u2192.onnx" in done.stderr and b"fix: " in done.stderr


def test_a_closed_reader_changes_nothing_that_is_written(tmp_path):
    onnx.save(red_graph(), tmp_path / "plates.onnx")
    words = "profile plates.onnx --iterations 1 --warmup 1 --json".split()
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "edgeseg", *words],
            cwd=tmp_path,
            stdout=stdout,
            stderr=subprocess.PIPE,
            timeout=60,
        )
    assert done.returncode == 0 and b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr
    assert json.loads((tmp_path / "profiles" / "plates-onnxruntime.json").read_text())
