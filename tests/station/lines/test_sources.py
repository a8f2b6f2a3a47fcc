"""A line with a real GigE camera that is triggered, and with a folder that images come to."""

import pytest

from edgeseg.stream.source.genicam import connection as connections
from tests.kit.gige import gige
from tests.kit.stations import until, write_photos
from tests.station.lines.test_line import HEIGHT, WIDTH, Bench

__all__ = ["gige"]


def test_each_trigger_of_a_gige_camera_has_a_record_with_the_cameras_number_and_clock(
    tmp_path, gige
):
    gige.plug_in()
    settings = {"mode": "triggered", "trigger": "software", "width": WIDTH, "height": HEIGHT}
    source = "genicam://EDGE1?trigger=software&exposure=100"
    with Bench(tmp_path, source=source, fps=500.0, deadline_ms=60_000.0, **settings) as bench:
        for place in range(4):
            bench.line.trigger(f"part-{place}")
            found = bench.records(place + 1)
    assert [(each.trigger, each.part) for each in found] == [
        (place + 1, f"part-{place}") for place in range(4)
    ]
    numbers = [each.frame for each in found]
    assert numbers == list(range(numbers[0], numbers[0] + 4))
    assert all(each.score is not None and each.captured <= each.arrived for each in found)
    clocks = [each.camera_ns for each in found]
    assert clocks == sorted(set(clocks)) and clocks[0] > 0


@pytest.mark.parametrize("mode", ["file", "triggered"])
def test_each_file_has_one_record_also_after_a_restart(tmp_path, mode):
    photos = write_photos(tmp_path / "drop", [10, 20, 250])
    settings = {"source": f"watch://{photos}?settle=0.05&move=../judged", "mode": mode}
    with Bench(tmp_path, trigger="hardware", **settings) as bench:
        assert [each.verdict for each in bench.records(3)] == ["good", "good", "anomalous"]
        assert until(lambda: not list(photos.glob("*.png")))
    assert len(list((tmp_path / "judged").glob("*.png"))) == 3
    write_photos(tmp_path / "more", [200])
    (tmp_path / "more" / "000.png").rename(photos / "003.png")
    with Bench(tmp_path, trigger="hardware", **settings) as bench:
        assert [each.verdict for each in bench.records(4)[3:]] == ["anomalous"]
        assert until(lambda: not list(photos.glob("*.png")))
        assert len(bench.records()) == 4


@pytest.mark.slow
def test_missing_packets_and_a_lost_camera_are_recorded_and_it_comes_back(
    tmp_path, gige, monkeypatch
):
    monkeypatch.setattr(connections, "NO_FRAME", 0.5)
    gige.plug_in(lost=60)
    source = "genicam://127.0.0.1"
    with Bench(tmp_path, source=source, width=WIDTH, height=HEIGHT, fps=50.0) as bench:
        assert until(lambda: {0, 1, 14} & codes(bench) and 14 in codes(bench))
        gige.unplug()
        assert until(lambda: 13 in codes(bench))
        gige.plug_in()
        count = len(bench.records())
        assert until(lambda: len(bench.records()) > count + 5)
        found = bench.records()
    lost = [each.code for each in found].index(13)
    assert all(each.score is None for each in found if each.code in (13, 14))
    assert {each.code for each in found[lost + 1 :]} <= {0, 1, 11}
    assert all(each.verdict == "unknown" for each in found if each.code in (11, 13, 14))


def codes(bench):
    """The codes of the records so far."""
    return {each.code for each in bench.records()}
