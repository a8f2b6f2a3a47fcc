"""Errors of the system end with exit code 2 and a remedy; mistakes of edgeseg with a traceback."""

import json
import os
import signal
import subprocess
import sys

import onnx
import pytest

from edgeseg.cli.failures import REPORT
from edgeseg.errors import GateFailed
from tests.kit.red_graph import red_graph


def raising(error):
    def fail(*_, **__):
        raise error

    return fail


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
