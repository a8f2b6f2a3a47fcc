"""A frozen camera: the same bytes again and again."""

import numpy as np

from edgeseg.config import StreamConfig
from edgeseg.stream.pipeline.frozen import FROZEN, STEP, FrozenWatch
from edgeseg.stream.stream import stream
from tests.kit.fakes import Collector, ListSource, RedBackend, solid_image


def test_the_same_bytes_many_times_in_a_row_are_frozen():
    watch, image = FrozenWatch(), solid_image(40)
    assert [watch.frozen(image) for _ in range(FROZEN + 2)] == [False] * (FROZEN - 1) + [True] * 3


def test_another_byte_anywhere_starts_again():
    watch, image = FrozenWatch(), solid_image(40)
    for _ in range(FROZEN - 1):
        watch.frozen(image)
    other = image.copy()
    other[STEP // 2, STEP // 2 + 1] += 1  # between the pixels that are compared first
    assert not watch.frozen(other)
    assert not watch.frozen(other)
    assert [watch.frozen(other) for _ in range(FROZEN)][-1]


def test_another_size_starts_again():
    watch = FrozenWatch()
    assert not any(watch.frozen(solid_image(40)) for _ in range(FROZEN - 1))
    assert not watch.frozen(solid_image(40, 96, 128))


def judged(*, live):
    images = [solid_image(0)] * (FROZEN + 2) + [solid_image(1)]
    collector, source = Collector(), ListSource(images, live=live)
    source.read_into = paced(source, collector) if live else source.read_into
    report = stream(RedBackend(), source, [collector], StreamConfig(window=False))
    return report, [(record.verdict, record.reason) for record in collector.results]


def paced(source, collector):
    """Deliver a frame only when the one before was judged: a live source drops none here."""
    import time

    read, delivered = source.read_into, [0]

    def read_into(frame):
        while len(collector.results) < delivered[0]:
            time.sleep(0.001)
        delivered[0] += 1
        return read(frame)

    return read_into


def test_a_frozen_camera_is_unknown_until_its_picture_changes():
    report, verdicts = judged(live=True)
    names = [name for name, _ in verdicts]
    assert names == ["good"] * (FROZEN - 1) + ["unknown"] * 3 + ["good"]
    assert verdicts[-2][1].startswith("frozen camera")
    assert report.unknown == 3


def test_a_file_may_repeat_a_picture():
    report, verdicts = judged(live=False)
    assert report.unknown == 0
    assert {name for name, _ in verdicts} == {"good"}


def test_what_is_compared_is_kept_and_not_the_buffer_of_the_camera():
    watch, buffer = FrozenWatch(), solid_image(0).copy()
    seen = []
    for k in range(FROZEN + 5):
        buffer[...] = k
        seen.append(watch.frozen(buffer))
    assert not np.any(seen)
