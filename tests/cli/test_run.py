"""`edgeseg stream` on the command line: outputs that exist, damaged images, and exit codes."""

import json
import sys

import cv2
import numpy as np
import onnx
import pytest

from edgeseg import loading
from edgeseg.accuracy import verify
from edgeseg.data.images import write_png
from edgeseg.errors import ModelError, WriteError
from tests.kit.red_graph import red_graph
from tests.stream.sink.results import frame_lines


@pytest.fixture
def photos(tmp_path):
    """A model and a folder of two good images, beside the working folder's files."""
    onnx.save(red_graph(), tmp_path / "plates.onnx")
    for number in (0, 2):
        write_png(tmp_path / "photos" / f"{number}.png", np.zeros((48, 64, 3), np.uint8))
    return tmp_path / "photos"


STREAM = ("stream", "plates.onnx", "--source", "photos", "--no-window")


def test_a_restart_keeps_the_lines_of_before(run, photos, tmp_path):
    for _ in range(2):
        assert run(*STREAM, "--jsonl", "lines.jsonl")[0] == 0
    assert [line["index"] for line in frame_lines(tmp_path / "lines.jsonl")] == [0, 1, 0, 1]
    assert run(*STREAM, "--jsonl", "lines.jsonl", "--overwrite")[0] == 0
    assert len(frame_lines(tmp_path / "lines.jsonl")) == 2


@pytest.mark.parametrize(
    "words",
    [
        ("--source", "photos/0.png", "--jsonl", "photos/0.png"),
        ("--source", "photos/0.png", "--jsonl", "plates.onnx"),
        ("--source", "clip.mp4", "--out", "clip.mp4", "--overwrite"),
        ("--source", "photos", "--out", "clip.mp4"),
    ],
)
def test_no_output_touches_what_is_there(run, photos, tmp_path, words):
    (tmp_path / "clip.mp4").write_bytes(b"a recording")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, _, err = run("stream", "plates.onnx", "--no-window", *words)
    assert (code, err.count("error: "), err.count("fix: ")) == (2, 1, 1)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("strict", "right"), [((), 0), (("--strict",), 2)])
def test_one_damaged_image_is_listed_and_the_others_are_judged(run, photos, strict, right):
    (photos / "1.png").write_bytes(b"\x89PNG")
    code, out, err = run(*STREAM, *strict, "--json", "--jsonl", "lines.jsonl", "--out", "all.avi")
    document = json.loads(out.splitlines()[-1])
    assert code == right
    assert (document["frames"], document["broken"], document["warnings"]) == (2, 1, 1)
    assert (document["received"], document["not_judged"], document["unknown"]) == (3, 1, 1)
    lines = frame_lines(photos.parent / "lines.jsonl")
    assert [line["verdict"] for line in lines] == ["good", "unknown", "good"]
    assert lines[1].pop("arrival") >= lines[0]["arrival"]
    nothing = {"score": None, "verdict": "unknown", "ms": None, "reason": "damaged image"}
    assert lines[1] == {"index": 1, "file": "photos/1.png", **nothing}
    assert cv2.VideoCapture(str(photos.parent / "all.avi")).get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert [each["file"] for each in document["damaged"]] == ["photos/1.png"]
    assert "photos/1.png" in out
    assert ("error: " in err) == bool(strict)


def test_a_report_that_cannot_be_printed_is_stored(run, monkeypatch):
    def full(text):
        raise WriteError("cannot write the report", remedy="make room")

    stored = []
    monkeypatch.setattr(sys.modules["edgeseg.cli.app"], "write_report", full)
    kind = "edgeseg.machine.support_report.MatrixReport"
    monkeypatch.setattr(kind + ".store", lambda self: stored.append(self), raising=False)
    assert run("doctor", "--matrix")[0] == 2
    assert len(stored) == 1


@pytest.mark.parametrize(
    "words",
    [
        "predict plates.onnx photos --out results",
        "stream plates.onnx --source photos --no-window",
        "benchmark plates.onnx",
        "profile plates.onnx",
        "verify plates.onnx plates.onnx",
        "evaluate plates.onnx photos",
    ],
)
def test_models_are_opened_on_the_chosen_gpu(run, photos, monkeypatch, words):
    opened = []

    def open_model(path, *, gpu, **options):
        opened.append(gpu.device)
        raise ModelError("opened", remedy="no more")

    monkeypatch.setattr(loading, "open_model", open_model)
    monkeypatch.setattr(verify, "open_model", open_model)
    for options, device in (((), 0), (("--device", "1"), 1)):
        assert run(*words.split(), *options)[0] == 2
        assert opened.pop() == device
    code, _, err = run(*words.split(), "--device", "64")
    assert code == 2 and "device is 64 (expected 0 to 63)" in err
