"""JsonlSink: whole lines, appended, whatever happened to the file and the disk before."""

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import EdgesegError, SinkError, WriteError
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.verdict.regions import find_regions
from edgeseg.verdict.rule import Rule
from tests.kit.errors import fails
from tests.kit.processes import running
from tests.stream.sink.results import frame_lines, make_record


def kinds(path):
    """The first key of each line; every line is a JSON object."""
    return [next(iter(json.loads(line))) for line in path.read_text("ascii").splitlines()]


def write_lines(path, count=1, **options):
    with JsonlSink(path, **options) as sink:
        for index in range(count):
            sink.write(make_record(index))


def test_lines_are_complete_while_the_stream_runs(tmp_path):
    path = tmp_path / "new" / "lines.jsonl"
    with JsonlSink(path, about={"source": "camera 0"}) as sink:
        sink.write(make_record(0))
        start, frame = map(json.loads, path.read_text().splitlines())
        assert frame == {
            "index": 0,
            "arrival": "2023-11-14T22:13:20.000+00:00",
            "score": 0.9,
            "verdict": "anomalous",
            "ms": 12.346,
        }
        assert start["source"] == "camera 0" and start["start"].endswith("+00:00")
        sink.write(make_record(1, score=0.1, label="photos/ä.png"))
    line = frame_lines(path)[1]
    assert (line["file"], line["verdict"]) == ("photos/ä.png", "good")


def test_regions_are_in_the_line_of_their_frame(tmp_path):
    path, mask = tmp_path / "lines.jsonl", np.zeros((48, 64), np.uint8)
    mask[10:14, 20:28] = 255
    found = find_regions(mask, np.ones((12, 16), np.float32), Rule())
    with JsonlSink(path) as sink:
        sink.write(make_record(regions=found.largest, region_count=201))
        sink.write(make_record())
    line, plain = frame_lines(path)
    assert line["region_count"] == 201 and "regions" not in plain
    (region,) = line["regions"]
    assert (region["box"], region["area"], region["peak"]) == ([20, 10, 8, 4], 32, 1.0)


def test_the_number_and_the_time_of_a_camera_are_kept(tmp_path):
    path = tmp_path / "lines.jsonl"
    with JsonlSink(path) as sink:
        sink.write(replace(make_record(3), sequence=17, captured=1_700_000_000.25))
    (line,) = frame_lines(path)
    assert (line["index"], line["sequence"]) == (3, 17)
    assert line["captured"] == "2023-11-14T22:13:20.250+00:00"


def test_a_name_that_is_no_text_is_kept(tmp_path):
    path, label = tmp_path / "lines.jsonl", os.fsdecode(b"caf\xe9\n.png")
    with JsonlSink(path) as sink:
        sink.write(make_record(label=label))
    assert frame_lines(path)[0]["file"] == label


def test_a_score_of_nan_is_valid_json_and_anomalous(tmp_path):
    path = tmp_path / "lines.jsonl"
    with JsonlSink(path) as sink:
        sink.write(make_record(score=float("nan")))
    (line,) = frame_lines(path)
    assert line["score"] is None
    assert line["verdict"] == "anomalous"


def test_a_second_start_appends_and_overwrite_replaces(tmp_path):
    path = tmp_path / "lines.jsonl"
    write_lines(path, 2)
    write_lines(path, 1)
    assert kinds(path) == ["start", "index", "index", "start", "index"]
    write_lines(path, 1, overwrite=True)
    assert kinds(path) == ["start", "index"]


@pytest.mark.parametrize(
    ("before", "kept"),
    [
        ('{"start": "2026"}\n{"index": 1, "sco', ["start"]),
        ('{"start": "2026"}\n{"index": 1}', ["start", "index"]),
        ('{"start": "2026"}\n\0\0\0\0', ["start"]),  # after a power cut
        ('{"sta', []),
        ('{"start": "2026"}\n{"index": 1, "regions": "' + 300_000 * "a", ["start"]),
    ],
)
def test_the_half_line_of_a_killed_process_is_ended_or_removed(tmp_path, before, kept):
    path = tmp_path / "lines.jsonl"
    path.write_text(before)
    write_lines(path)
    assert kinds(path) == [*kept, "start", "index"]


@pytest.mark.parametrize(
    "content",
    [b"\x89PNG\r\n\x1a\n", b"notes\n", b'{"name": "a card"}', b'{\n"index": 1}', b"[1]\n"],
)
def test_a_file_of_another_kind_is_refused_and_kept(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    with fails(SinkError, "sink/not-json-lines"):
        JsonlSink(path)
    assert path.read_bytes() == content


@pytest.mark.skipif(os.name == "nt", reason="Windows has no advisory locks")
def test_a_second_process_is_refused_until_the_first_has_died(tmp_path):
    path = tmp_path / "lines.jsonl"
    program = (
        "import sys\nfrom pathlib import Path\nfrom edgeseg.stream.sink.jsonl import JsonlSink\n"
        "sink = JsonlSink(Path(sys.argv[1]))\nprint('ready', flush=True)\nsys.stdin.read()"
    )
    with running(program, path):
        for overwrite in (False, True):
            with fails(EdgesegError, "files/locked"):
                JsonlSink(path, overwrite=overwrite)
    write_lines(path)
    assert kinds(path) == ["start", "start", "index"]


def test_lines_into_a_folder_are_refused(tmp_path):
    with fails(WriteError, "write/failed"):
        JsonlSink(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_is_full_at_the_start_is_an_error_with_the_file_s_name():
    with fails(WriteError, "write/failed") as caught:
        JsonlSink(Path("/dev/full"))
    assert "/dev/full: No space left" in caught.value.problem


class FullDisk:
    """Replaces a sink's file: while it is full, half of a line fits and the rest fails."""

    def __init__(self, file):
        self._file, self.full = file, False
        self.seek, self.truncate = file.seek, file.truncate

    def write(self, data):
        if not self.full:
            return self._file.write(data)
        if len(data) <= 10:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data[: len(data) // 2])


def test_a_full_disk_costs_lines_and_not_the_file(tmp_path, said):
    path = tmp_path / "lines.jsonl"
    with JsonlSink(path) as sink:
        disk = sink._file = FullDisk(sink._file)
        sink.write(make_record(0))
        disk.full = True
        for index in range(1, 4):
            sink.write(make_record(index))
            assert len(frame_lines(path)) == 1, "no half line"
        disk.full = False
        sink.write(make_record(4))
    assert kinds(path) == ["start", "index", "lost", "index"]
    assert [line["index"] for line in frame_lines(path)] == [0, 4]
    assert (sink.lost, sink.error.code) == (3, "write/failed")
    assert len(said) == 2 and "No space left" in said[0] and "3 lines are missing" in said[1]


@pytest.mark.skipif(os.name == "nt", reason="FIFOs of POSIX")
def test_a_pipe_without_a_reader_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    with fails(SinkError, "sink/no-reader"):
        JsonlSink(tmp_path / "fifo")


@pytest.mark.skipif(os.name == "nt", reason="FIFOs of POSIX")
def test_a_pipe_that_is_full_loses_lines_and_waits_for_nobody(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    reader = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    with JsonlSink(tmp_path / "fifo") as sink:
        while not sink.lost:
            sink.write(make_record(0))
        assert os.read(reader, 1 << 20)
        sink.write(make_record(1))
        assert [json.loads(line).get("lost") for line in os.read(reader, 1 << 16).splitlines()] == [
            1,
            None,
        ]
    os.close(reader)


@pytest.mark.skipif(os.name == "nt", reason="FIFOs of POSIX")
def test_a_pipe_gets_lines_and_may_lose_its_reader(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with JsonlSink(path) as sink:
        sink.write(make_record(0))
        assert os.read(reading, 10_000).count(b"\n") == 2
        os.close(reading)
        sink.write(make_record(1))
    assert sink.lost == 1
