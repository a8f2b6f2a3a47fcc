"""Stages of known frames."""

import pytest

from edgeseg.stream.pipeline.ring import Frame
from edgeseg.stream.pipeline.stages import Stages

MS = 1_000_000


def make_frame(arrival, started, submitted, done):
    times = {"arrival": arrival, "started": started, "submitted": submitted, "done": done}
    return Frame(**{name: value * MS for name, value in times.items()})


def test_each_stage_is_the_time_between_its_moments():
    stages = Stages()
    seconds = stages.add(make_frame(5, 8, 9, 20), submitted=True, device=0.007)
    stages.add_sinks(0.030)
    assert seconds == pytest.approx(0.015)
    assert stages.total().max_ms == pytest.approx(15)
    found = {name: stage.p50_ms for name, stage in stages.parts().items()}
    assert found == pytest.approx({"wait": 3, "run": 12, "submit": 1, "device": 7, "sinks": 30})


def test_what_there_is_not_is_not_in_the_report():
    stages = Stages()
    assert stages.total() is None and stages.parts() == {}
    stages.add(make_frame(0, 0, 0, 4), submitted=False, device=None)
    assert set(stages.parts()) == {"wait", "run"}
    assert stages.count == 1


def test_one_late_frame_in_a_thousand_is_the_maximum():
    stages = Stages()
    for _ in range(999):
        stages.add(make_frame(0, 0, 0, 5), submitted=True, device=None)
    stages.add(make_frame(0, 60, 60, 65), submitted=True, device=None)
    total = stages.total()
    assert (total.p999_ms, total.max_ms) == pytest.approx((5, 65))
    assert stages.parts()["wait"].max_ms == pytest.approx(60)
