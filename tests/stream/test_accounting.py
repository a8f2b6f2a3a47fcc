"""Every frame of a source is in the report, and what is missing decides the exit code."""

import dataclasses
import os
import time

import pytest

from edgeseg.config import StreamConfig
from edgeseg.errors import DataError, WriteError
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.stream import stream
from edgeseg.verdict.names import UNKNOWN
from edgeseg.verdict.verdict import BROKEN_FRAME, PARTIAL_FRAME
from tests.kit.errors import fails
from tests.kit.fakes import Collector, ListSource, RedBackend, solid_image
from tests.stream.sink.results import frame_lines


def accounted(report, lines):
    """Check that every frame of the source has its place in the report."""
    recorded = report.frames + report.not_judged
    assert report.received == recorded + report.drops + report.trigger_drops + report.unread
    assert recorded == lines + report.lost
    head = report.summary().split("\n")[0].rpartition(" s: ")
    assert f"{report.received} frame" in head[0]
    assert sum(int(part.split()[0]) for part in head[2].split(", ")) == report.received


@pytest.mark.parametrize(
    ("live", "settings"),
    [
        (False, {}),
        (False, {"frames": 7}),
        (False, {"fps": 400.0, "seconds": 0.05}),
        (True, {}),
        (True, {"frames": 7}),
        (True, {"interval": "3ms", "seconds": 0.1}),
    ],
)
def test_every_frame_of_the_source_is_accounted_for(tmp_path, live, settings):
    class Counting(ListSource):
        delivered = 0

        def read_into(self, frame):
            done = super().read_into(frame)
            self.delivered += done
            if live:
                time.sleep(0.0005)
            return done

    source = Counting([solid_image()] * 300, live=live)
    with JsonlSink(tmp_path / "lines.jsonl") as lines:
        report = stream(RedBackend(), source, [lines], StreamConfig(window=False, **settings))
    assert report.received == source.delivered
    accounted(report, len(frame_lines(tmp_path / "lines.jsonl")))


def test_frames_are_accounted_for_when_their_lines_are_lost(tmp_path):
    with JsonlSink(tmp_path / "lines.jsonl") as lines:
        lines._put = lambda line: os.write(-1, b"")  # OSError
        report = stream(RedBackend(), ListSource([solid_image()] * 20), [lines], StreamConfig())
    assert (report.frames, report.lost) == (20, 20)
    accounted(report, len(frame_lines(tmp_path / "lines.jsonl")))
    with fails(WriteError, "write/failed"):
        report.check()


def test_broken_frames_are_a_warning_or_with_strict_an_error():
    source = ListSource([solid_image()] * 3)
    source.broken = 1
    report = stream(RedBackend(), source, [], StreamConfig())
    report.check()
    assert report.to_json()["warnings"] == 1
    assert "warning: broken frames, not judged: 1" in report.summary()
    strict = dataclasses.replace(report, strict=True)
    with fails(DataError, "data/broken-frames") as caught:
        strict.check()
    assert caught.value.problem.startswith("1 frames of list were broken, 3 were judged")


def test_a_broken_frame_is_unknown_in_its_turn_and_in_no_latency(tmp_path):
    items = [solid_image(0), BROKEN_FRAME, solid_image(255), PARTIAL_FRAME, PARTIAL_FRAME]
    path = tmp_path / "lines.jsonl"
    computed, shown = [], Collector()
    backend = RedBackend(on_run=computed.append)
    with JsonlSink(path) as lines:
        report = stream(backend, ListSource(items), [lines, shown], StreamConfig())
    found = frame_lines(path)
    accounted(report, len(found))
    assert [line["index"] for line in found] == [0, 1, 2, 3, 4]
    assert [line["verdict"] for line in found] == ["good", UNKNOWN, "anomalous", UNKNOWN, UNKNOWN]
    reasons = [line.get("reason") for line in found]
    assert reasons == [None, BROKEN_FRAME, None, PARTIAL_FRAME, PARTIAL_FRAME]
    for line in found:
        assert (line["score"] is None, line["ms"] is None) == (line["verdict"] == UNKNOWN,) * 2
        assert line["arrival"].startswith("20")
    assert len(computed) == 3 + 2, "the warm-up of three requests, and two frames"
    assert (report.frames, report.not_judged, report.unknown, report.broken) == (2, 3, 3, 3)
    assert report.latency.n == 2 and all(stage.n == 2 for stage in report.stages.values())
    assert not shown.masks[1].any() and shown.masks[2].all()
    assert shown.results[1].text == "unknown  broken frame"
    with fails(DataError, "data/broken-frames"):
        dataclasses.replace(report, strict=True).check()


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("settings", [{}, {"frames": 150}, {"interval": "3ms", "seconds": 0.1}])
def test_a_burst_of_broken_frames_starves_no_whole_one(tmp_path, live, settings):
    """Broken frames come faster than inference; all are unknown, and the last frame is judged."""
    items = [solid_image(), *[BROKEN_FRAME] * 200, solid_image(), *[BROKEN_FRAME] * 200]
    source = ListSource([*items, solid_image(255)], live=live)
    with JsonlSink(tmp_path / "lines.jsonl") as lines:
        config = StreamConfig(window=False, **settings)
        report = stream(RedBackend(), source, [lines], config)
    accounted(report, len(frame_lines(tmp_path / "lines.jsonl")))
    if not settings:
        assert report.not_judged == 400
        assert report.anomalous == 1
