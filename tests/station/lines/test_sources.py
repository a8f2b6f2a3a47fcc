"""A line with a real GigE camera that is triggered, and with a folder that images come to."""

import pytest

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
    with Bench(tmp_path, source=source, fps=500.0, deadline_ms=5000.0, **settings) as bench:
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
