"""Results for the tests of the sinks."""

import json
from dataclasses import fields, replace

import numpy as np

from edgeseg.data.formats.frame_bytes import write_frame
from edgeseg.frame.pixel_formats import frame_shape
from edgeseg.stream.sink.base import Record, Result, ResultBuffers

SIZE = (240, 320)


def make_result(index=0, *, score=0.9, arrival=1_700_000_000.0, label=None, frame_format="bgr"):
    frame = np.zeros(frame_shape(frame_format, *SIZE), np.uint8)
    write_frame(np.full((*SIZE, 3), 90, np.uint8), "bgr", frame, frame_format)
    mask = np.zeros(SIZE, np.uint8)
    mask[100:140, 100:140] = 255
    anomalous = not score <= 0.75
    record = Record(
        index=index,
        label=label,
        arrival=arrival,
        milliseconds=12.3456,
        score=score,
        verdict="anomalous" if anomalous else "good",
    )
    buffers = ResultBuffers(
        frame=frame,
        mask=mask,
        anomaly_map=np.zeros((16, 16), np.float32),
    )
    return Result(record=record, buffers=buffers, frame_format=frame_format, threshold=0.5)


def make_record(index=0, **changes):
    names = {field.name for field in fields(Record)} - {"label", "score", "arrival"}
    own = {name: changes.pop(name) for name in names & set(changes)}
    return replace(make_result(index, **changes).record, **own)


def with_arrays(result, **changes):
    """A result with other arrays."""
    return replace(result, buffers=replace(result.buffers, **changes))


def written_in(image, color):
    """Whether an image has text of a color; text is smoothed, differently by OpenCV's version."""
    return bool((np.abs(image.astype(int) - color).max(axis=2) < 60).any())


def frame_lines(path):
    """The lines of a JSON Lines file that are about frames."""
    lines = map(json.loads, path.read_text().splitlines())
    return [line for line in lines if "index" in line]
