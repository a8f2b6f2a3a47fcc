"""Every frame of a source is in the report, and what is missing decides the exit code."""

import dataclasses
import os
import time

import pytest

from edgeseg.config import StreamConfig
from edgeseg.errors import DataError, WriteError
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.stream import stream
from tests.kit.errors import fails
from tests.kit.fakes import ListSource, RedBackend, solid_image
from tests.stream.sink.results import frame_lines


def accounted(report, lines):
    """Check that every frame of the source has its place in the report."""
    taken = report.frames + report.drops + report.trigger_drops + report.unread
    assert report.received == taken
    assert report.frames == lines + report.lost


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
    assert "warning: 1 broken frames" in report.summary()
    strict = dataclasses.replace(report, strict=True)
    with fails(DataError, "data/broken-frames") as caught:
        strict.check()
    assert caught.value.problem.startswith("1 of 4 frames")
