"""The anomaly map is brought back for pictures and rules, and for the regions of records alone."""

import copy
import json

import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.stream import stream
from tests.kit.fakes import Collector, ListSource, PlainBackend, RedBackend, solid_image

BAD, GOOD = 204, 51  # the map is red / 255: 0.8 and 0.2, and masks are of what is above 0.5
FRAMES = [GOOD, BAD, GOOD, GOOD, BAD]


class CopyingBackend(RedBackend):
    """Leaves its map on a device unless it is to be copied; counts both ways."""

    def __init__(self):
        super().__init__()
        self.copies_map, self.counts = True, {"copied": 0, "fetched": 0}

    def second(self):
        return copy.copy(self)

    def run(self):
        super().run()
        self.device = self._slot.anomaly_map.copy()
        self.counts["copied"] += self.copies_map
        if not self.copies_map:
            self._slot.anomaly_map[...] = np.nan

    def fetch_map(self):
        self._slot.anomaly_map[...] = self.device
        self.counts["fetched"] += 1


@pytest.mark.parametrize(
    ("lines", "pictures", "rule", "copied", "fetched"),
    [
        (False, False, None, 0, 0),
        (True, False, None, 0, FRAMES.count(BAD)),
        (True, True, None, len(FRAMES), 0),
        (True, False, "region", len(FRAMES), 0),
    ],
    ids=["no output", "lines", "pictures", "rule for regions"],
)
@pytest.mark.parametrize("in_flight", [1, 2])
def test_the_map_is_copied_only_for_who_reads_it(
    tmp_path, lines, pictures, rule, copied, fetched, in_flight
):
    backend = CopyingBackend()
    path = tmp_path / "lines.jsonl"
    sinks = [JsonlSink(path)] if lines else []
    sinks += [Collector()] if pictures else []
    warm_up = in_flight + 2
    stream(
        backend,
        ListSource([solid_image(red) for red in FRAMES]),
        sinks,
        StreamConfig(window=False, rule=rule, in_flight=in_flight),
    )
    assert backend.counts == {"copied": warm_up + copied, "fetched": fetched}
    for sink in sinks:
        sink.close()
    if lines:
        found = [json.loads(line) for line in path.read_text().splitlines()]
        peaks = [line["regions"][0]["peak"] for line in found if "regions" in line]
        assert peaks == pytest.approx([0.8] * FRAMES.count(BAD))


def test_a_backend_that_always_has_its_map_is_not_asked(tmp_path):
    with JsonlSink(tmp_path / "lines.jsonl") as lines:
        report = stream(
            PlainBackend(), ListSource([solid_image(BAD)]), [lines], StreamConfig(window=False)
        )
    assert report.anomalous == 1
    assert '"peak": 0.8' in (tmp_path / "lines.jsonl").read_text()
