"""JsonlSink: one complete line for each record."""

import json
from pathlib import Path

import pytest

from edgeseg.errors import SinkError
from edgeseg.stream.sink.jsonl import JsonlSink
from tests.kit.errors import fails
from tests.stream.sink.results import make_record


def test_lines_are_complete_while_the_stream_runs(tmp_path):
    path = tmp_path / "new" / "lines.jsonl"
    with JsonlSink(path) as sink:
        sink.write(make_record(0))
        assert json.loads(path.read_text()) == {
            "index": 0,
            "arrival": "2023-11-14T22:13:20.000+00:00",
            "score": 0.9,
            "verdict": "anomalous",
            "ms": 12.346,
        }
        sink.write(make_record(1, score=0.1, label="photos/ä.png"))
    line = json.loads(path.read_text(encoding="utf-8").splitlines()[1])
    assert (line["file"], line["verdict"]) == ("photos/ä.png", "good")


def test_a_score_of_nan_is_valid_json_and_anomalous(tmp_path):
    path = tmp_path / "lines.jsonl"
    with JsonlSink(path) as sink:
        sink.write(make_record(score=float("nan")))
    line = json.loads(path.read_text())
    assert line["score"] is None
    assert line["verdict"] == "anomalous"


def test_lines_into_a_folder_are_refused(tmp_path):
    with fails(SinkError, "sink/cannot-write"):
        JsonlSink(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_an_error_with_the_file_s_name():
    sink = JsonlSink(Path("/dev/full"))
    for step in (lambda: sink.write(make_record()), sink.close):
        with fails(SinkError, "sink/cannot-write") as caught:
            step()
        assert "/dev/full: No space left" in caught.value.problem
