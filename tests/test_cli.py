"""Mirrors edgeseg/cli.py: exit codes, the two lines of an error, one line of JSON."""

import json
import sys

import pytest

from edgeseg import __version__
from edgeseg.cli import main
from edgeseg.data.parts import write_parts


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Call the program in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["edgeseg", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capfd.readouterr())

    return call


def test_help_names_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    commands = "demo doctor train evaluate predict threshold export calibrate build-engine".split()
    assert all(command in out for command in [*commands, "stream", "benchmark"])


def test_the_version(run):
    assert run("--version")[1] == f"edgeseg {__version__}\n"


@pytest.mark.parametrize(
    ("words", "problem", "remedy"),
    [
        (["train", "photos"], "There is no folder photos", "name a folder with train/good"),
        (["train", "photos", "--image-size", "250"], "image_size is 250", "--image-size 256"),
        (["train", "photos", "--rate", "2"], "rate", "--rate"),
        (["build-engine"], "There is no run in runs", "edgeseg train DATA"),
        (["calibrate"], "no folder of them was named", "edgeseg calibrate MODEL DATA"),
        (["calibrate", "x.onnx", "photos"], "There is no x.onnx", "name a run"),
        (["export", "--model", "bottle"], "There is no bottle", "name a run"),
        (["stream", "--camera", "0"], "No engine in engines runs", "edgeseg build-engine"),
        (["benchmark"], "No engine in engines runs", "edgeseg build-engine"),
        (["evaluate", "x.onnx", "photos"], "There is no x.onnx", "name a run"),
        (["train", "photos", "--config", "no.toml"], "no.toml cannot be read", "TOML"),
    ],
)
def test_the_users_mistakes_are_two_lines_and_exit_code_2(run, words, problem, remedy):
    code, out, err = run(*words)
    assert code == 2
    assert out == ""
    error, _, fix = err.partition("\n  fix: ")
    assert error.startswith("error: ") and problem in error
    assert remedy in fix
    assert "Traceback" not in err


def test_json_is_the_last_line_of_standard_output(run):
    code, out, _ = run("doctor", "--json")
    assert code == 0
    document = json.loads(out.splitlines()[-1])
    assert document["machine"]["cores"] >= 1


def test_settings_from_a_file_reach_the_card(run, tmp_path):
    write_parts(tmp_path / "plates", train=6, good=0, bad=0)
    (tmp_path / "quick.toml").write_text(
        'teacher = "efficientnet_lite0"\nimage_size = 64\nbatch = 2\ntop = 7\n'
        'student_steps = 1\nhead_steps = 1\nholdout = 0.4\ndevice = "cpu"\n'
    )
    code, out, err = run("train", "plates", "--config", "quick.toml", "--seed", "3", "--json")
    assert code == 0, err
    assert "image" in json.loads(out.splitlines()[-1])
    card = json.loads((tmp_path / "runs" / "plates" / "card.json").read_text())
    assert (card["config"]["top"], card["config"]["seed"]) == (7, 3)
    assert card["threshold"] is not None and card["image_threshold"] is not None
