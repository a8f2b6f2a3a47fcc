"""The program: exit codes, the two lines of an error, one line of JSON, quiet and verbose."""

import json
import sys

import numpy as np
import onnx
import pytest

from edgeseg import __version__
from edgeseg.data.parts import write_parts
from tests.kit.red_graph import red_graph

COMMANDS = (
    "demo doctor train evaluate predict threshold export calibrate build-engine verify stream "
    "benchmark profile inspect import-checkpoint reproduce tune"
).split()


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_every_command(run, words):
    code, out, _ = run(*words)
    assert code == 0
    assert all(command in out for command in COMMANDS)


def test_the_version(run):
    assert run("--version")[1] == f"edgeseg {__version__}\n"


ERRORS = [
    ("train photos", "data/", "train/good"),
    ("train photos --image-size 250", "config/image-size", "--image-size 256"),
    ("train photos --false-reject-rate 2", "config/", "--false-reject-rate"),
    ("train photos --config no.toml", "config/unreadable-file", "ls -l no.toml"),
    ("threshold", "config/no-data", "edgeseg threshold [MODEL] DATA"),
    ("threshold x.onnx", "config/no-data", "edgeseg threshold x.onnx DATA"),
    ("build-engine", "model/", "edgeseg train DATA"),
    ("build-engine --max-drop 5", "config/out-of-range", "--max-drop 1"),
    ("calibrate", "config/no-data", "edgeseg calibrate [MODEL] DATA"),
    ("calibrate x.onnx photos", "data/", "train/good"),
    ("export bottle", "model/", "run"),
    ("station", "station/no-file", "edgeseg station init station.toml"),
    ("station ceck", "station/no-file", "edgeseg station check"),
    ("station check line.toml", "station/no-file", "edgeseg station init line.toml"),
    ("stream --camera 0", "model/", "edgeseg build-engine"),
    ("benchmark", "model/", "edgeseg build-engine"),
    ("profile x.onnx", "model/", "run"),
    ("profile x.onnx --iterations 0", "config/out-of-range", "--iterations 1"),
    ("inspect x.onnx", "model/", "run"),
    ("evaluate x.onnx photos", "model/", "run"),
    ("verify x.onnx y.onnx", "model/", "run"),
    ("verify x.onnx y.onnx --min-iou 2", "config/out-of-range", "--min-iou 1"),
    ("import-checkpoint x.pckl --out runs/x", "import/no-file", ""),
    ("reproduce destseg-9", "reproduce/unknown-table", "edgeseg reproduce destseg-"),
    ("reproduce destseg-2", "reproduce/no-data", "--data "),
    ("reproduce dskd-1 --data photos", "data/", "train/good"),
    ("reproduce dskd-1 --seeds 0", "config/out-of-range", "--seeds 1"),
    ("reproduce dskd-7 --rows T-F", "reproduce/unknown-row", "--rows T-"),
    ("trian photos", "usage", "edgeseg --help"),
    ("train", "config/no-data", "edgeseg train DATA"),
    ("train --resume", "train/nothing-to-resume", "edgeseg train DATA"),
    ("train photos --btach 3", "usage", "edgeseg train --help"),
    ("train photos --rotation upside-down", "usage", "edgeseg train --help"),
    ("evaluate x.onnx photos --threads 0", "usage", "edgeseg evaluate --help"),
]


@pytest.mark.parametrize(("words", "code", "remedy"), ERRORS)
def test_an_error_is_two_lines_and_exit_code_2(run, words, code, remedy):
    ended, out, err = run(*words.split())
    assert (ended, out) == (2, "")
    error, _, fix = err.partition("\n  fix: ")
    assert error.startswith("error: ") and f"[{code}" in error and error.endswith("]")
    assert remedy in fix and fix.count("\n") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "words",
    [
        "stream {}",
        "stream x.onnx {}",
        "stream --source={}",
        "stream --camera 0 --source {}",
        "stream --fps {}",
        "train {} --verbose",
        "{}",
    ],
)
@pytest.mark.parametrize("address", ["rtsp://me:S3cret@h/x", "rtsp://me:S3/cret@h/x"])
def test_no_error_shows_a_password(run, words, address):
    code, out, err = run(*words.format(address).split())
    assert code == 2
    assert "cret" not in out + err


def test_an_internal_error_is_a_traceback_without_passwords(run, monkeypatch):
    def failing(*_, **__):
        raise RuntimeError(" ".join(sys.argv))

    monkeypatch.setattr("edgeseg.loading.find_engine", failing)
    code, _, err = run("stream", "--source", "rtsp://me:S3cret@h/x")
    assert code == 1
    assert "Traceback" in err and "rtsp://h/x" in err and "S3cret" not in err


def test_verbose_shows_the_traceback_of_an_error(run):
    code, _, err = run("train", "photos", "--verbose")
    assert code == 2
    assert "Traceback" in err and "error: " in err


def test_quiet_shows_no_log_and_json_no_repeated_line(run, tmp_path):
    onnx.save(red_graph(), tmp_path / "plates.onnx")
    words = ("inspect", "plates.onnx")
    assert run(*words, "--quiet")[::2] == (0, "")
    verify = ("verify", "plates.onnx", "plates.onnx", "--image-count", "1")
    assert "plates.onnx" in run(*verify)[2]
    assert run(*verify, "-q")[2] == ""


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


@pytest.mark.parametrize("name", ["results", "graph"])
def test_what_only_the_checks_of_a_gpu_use_is_refused_without_them(run, tmp_path, name):
    code, _, err = run("doctor", f"--{name}", "of mine")
    assert code == 2 and f"fix: edgeseg doctor --gpu --{name} 'of mine'" in err
    assert not (tmp_path / "of mine").exists()


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
    error = err.splitlines()[-2]
    assert error.startswith("error: ") and error.endswith("[gate/verify]")
    assert run("verify", "a.onnx", "b.onnx", *LOOSE)[0] == 0


LOOSE = "--max-map-diff 1 --max-score-diff 1 --min-iou 0 --max-flip-rate 1".split()


def test_profile_writes_a_document_and_a_trace(run, tmp_path):
    onnx.save(red_graph(), tmp_path / "plates.onnx")
    code, out, err = run("profile", "plates.onnx", "--iterations", "2", "--warmup", "1", "--json")
    assert code == 0, err
    document = json.loads(out.splitlines()[-1])
    assert sum(part["time_share"] for part in document["modules"]) == pytest.approx(1.0)
    assert json.loads((tmp_path / "profiles" / "plates-onnxruntime.json").read_text()) == document
    assert (tmp_path / document["trace"]).is_file()
