"""Mirrors edgeseg/cli.py: exit codes, the two lines of an error, one line of JSON."""

import json
import sys

import numpy as np
import onnx
import pytest

from edgeseg import __version__
from edgeseg.cli import main
from edgeseg.data.parts import write_parts
from tests.kit.red_graph import red_graph


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
    commands = (
        "demo doctor train evaluate predict threshold export calibrate build-engine verify stream "
        "benchmark profile inspect import-checkpoint reproduce"
    )
    assert all(command in out for command in commands.split())


def test_the_version(run):
    assert run("--version")[1] == f"edgeseg {__version__}\n"


@pytest.mark.parametrize(
    ("words", "problem", "remedy"),
    [
        (["train", "photos"], "There is no folder photos", "name a folder with train/good"),
        (["train", "photos", "--image-size", "250"], "image_size: 250", "--image-size 256"),
        (["train", "photos", "--false-reject-rate", "2"], "rate", "--false-reject-rate"),
        (["build-engine"], "There is no run in runs", "edgeseg train DATA"),
        (["calibrate"], "no folder of them was named", "edgeseg calibrate MODEL DATA"),
        (["calibrate", "x.onnx", "photos"], "There is no x.onnx", "name a run"),
        (["export", "--model", "bottle"], "There is no bottle", "name a run"),
        (["stream", "--camera", "0"], "No engine in engines runs", "edgeseg build-engine"),
        (["benchmark"], "No engine in engines runs", "edgeseg build-engine"),
        (["profile"], "No engine in engines runs", "edgeseg build-engine"),
        (["profile", "x.onnx"], "There is no x.onnx", "name a run"),
        (["profile", "x.onnx", "--iterations", "0"], "iterations: 0", "--iterations 1"),
        (["inspect", "x.onnx"], "There is no x.onnx", "name a run"),
        (["evaluate", "x.onnx", "photos"], "There is no x.onnx", "name a run"),
        (["verify", "x.onnx", "y.onnx"], "There is no x.onnx", "name a run"),
        (["verify", "x.onnx", "y.onnx", "--min-iou", "2"], "min_iou: 2", "--min-iou 1"),
        (["build-engine", "--max-drop", "5"], "max_drop: 5", "--max-drop 1"),
        (["import-checkpoint", "x.pckl", "--out", "runs/x"], "There is no file x.pckl", "released"),
        (["reproduce", "destseg-9"], "There is no table 'destseg-9'", "edgeseg reproduce destseg-"),
        (["reproduce", "destseg-2"], "No data were named", "--data FOLDER"),
        (["reproduce", "dskd-1", "--data", "photos"], "There is no folder photos", "train/good"),
        (["reproduce", "dskd-1", "--seeds", "0"], "seeds: 0", "--seeds 1"),
        (["reproduce", "dskd-7", "--rows", "T-F"], "no row 'T-F'", "--rows 'T-"),
        (["train", "photos", "--config", "no.toml"], "no.toml", "TOML"),
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


def test_the_matrix(run):
    code, out, _ = run("doctor", "--matrix", "--json")
    *table, last = out.splitlines()
    assert code == 0
    assert any(line.split()[:2] == ["8.7", "Orin"] for line in table)
    assert json.loads(last)["gpus"][0]["capability"] == "7.0"


def test_settings_from_a_file_reach_the_card(run, tmp_path):
    write_parts(tmp_path / "grid", train=6, good=0, bad=0)
    (tmp_path / "quick.toml").write_text(
        'rotation = "paper"\nteacher = "efficientnet_lite0"\nimage_size = 64\nbatch = 2\ntop = 7\n'
        'student_steps = 1\nhead_steps = 1\nholdout = 0.4\ndevice = "cpu"\n'
    )
    code, out, err = run("train", "grid", "--config", "quick.toml", "--seed", "3", "--json")
    assert code == 0, err
    assert "image" in json.loads(out.splitlines()[-1])
    card = json.loads((tmp_path / "runs" / "grid" / "card.json").read_text())
    assert (card["config"]["top"], card["config"]["seed"]) == (7, 3)
    assert card["config"]["rotation"] == "full"  # the paper's, for a folder of that name
    assert card["threshold"] is not None and card["image_threshold"] is not None


def test_verify_prints_its_numbers_and_ends_with_3_beyond_a_limit(run, tmp_path):
    onnx.save(red_graph(), tmp_path / "a.onnx")
    dead = red_graph()
    names = [i.name for i in dead.graph.initializer]
    zero = onnx.numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), "red")
    dead.graph.initializer[names.index("red")].CopyFrom(zero)
    onnx.save(dead, tmp_path / "b.onnx")
    code, out, _ = run("verify", "a.onnx", "a.onnx", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["max_abs_diff"] == 0.0
    code, out, err = run("verify", "a.onnx", "b.onnx", "--json")
    assert code == 3
    assert json.loads(out.splitlines()[-1])["max_abs_diff"] == 1.0
    assert "failed: the maps differ by 1" in out
    assert err.splitlines()[-2].startswith("error: The two are too far apart: the maps differ by 1")
    assert run("verify", "a.onnx", "b.onnx", *LOOSE)[0] == 0


LOOSE = "--max-map-diff 1 --max-score-diff 1 --min-iou 0 --max-flip-rate 1".split()


def test_profile_writes_a_document_and_a_picture(run, tmp_path):
    onnx.save(red_graph(), tmp_path / "plates.onnx")
    code, out, err = run("profile", "plates.onnx", "--iterations", "2", "--warmup", "1", "--json")
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    assert sum(part["time_share"] for part in document["parts"]) == pytest.approx(1.0)
    assert json.loads((tmp_path / "profiles" / "plates-onnxruntime.json").read_text()) == document
    assert (tmp_path / document["picture"]).is_file()
