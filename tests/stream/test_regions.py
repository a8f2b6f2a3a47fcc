"""Regions in a stream and in a folder: verdicts by the rule, lines, CSV and COCO."""

import csv
import json

import cv2
import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.data.damaged import DamagedImages
from edgeseg.data.images import write_png
from edgeseg.errors import ConfigError
from edgeseg.evaluation.regions.score import judge_outcome
from edgeseg.evaluation.run_images import run_images
from edgeseg.stream.predict import image_files, predict
from edgeseg.stream.region_files import COCO, CSV
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.stream import stream
from edgeseg.verdict.region_config import RegionConfig
from edgeseg.verdict.rule import Rule
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.fakes import Collector, ListSource, RedBackend
from tests.kit.predictions import lines_of
from tests.kit.rois import make_roi
from tests.stream.sink.results import frame_lines

REGION = Rule(by="region", min_area=100)


def spotted(*sides, height=48, width=64):
    """A black BGR image with red squares of some sides, side by side."""
    image = np.zeros((height, width, 3), np.uint8)
    for place, side in enumerate(sides):
        image[4 : 4 + side, 20 * place + 2 : 20 * place + 2 + side, 2] = 255
    return image


def verdicts(images, *, backend=None, **settings):
    collector = Collector()
    config = StreamConfig(window=False, **settings)
    report = stream(backend or RedBackend(), ListSource(images), [collector], config)
    assert report.anomalous == sum(each.verdict == "anomalous" for each in collector.results)
    return collector.results


IMAGES = [spotted(), spotted(4), spotted(12), spotted(4, 5, 6)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"rule": "region"}, "good anomalous anomalous anomalous"),
        ({"rule": "region", "min_area": "30"}, "good good anomalous anomalous"),
        ({"rule": "area:77"}, "good good anomalous good"),
        ({"rule": "count:2"}, "good good good anomalous"),
        ({"rule": "region", "min_area": "1mm2", "mm_per_px": 0.1}, "good good anomalous good"),
    ],
)
def test_a_stream_judges_by_the_rule(settings, expected):
    found = verdicts(IMAGES, **settings)
    assert [each.verdict for each in found] == expected.split()


def test_a_stream_judges_by_the_rule_of_the_card_and_a_flag_overrides_it():
    backend = RedBackend(make_card(rule=REGION))
    assert [each.verdict for each in verdicts(IMAGES, backend=backend)] == [
        *("good", "good", "anomalous", "good")
    ]
    found = verdicts(IMAGES, backend=backend, min_area="10")
    assert [each.region_count for each in found] == [0, 1, 1, 3]


def test_areas_are_scaled_to_the_image_of_the_source():
    """Frames of half the size: 12 pixels of the image are 6 of the frame."""
    backend = RedBackend(make_card(rule=REGION))
    images = [spotted(side, height=96, width=128) for side in (8, 12)]
    small, large = verdicts(images, backend=backend, mm_per_px=0.5)
    assert (small.verdict, large.verdict) == ("good", "anomalous")
    (region,) = large.regions
    assert region.area == 36 and region.area_mm2 == pytest.approx(36)


def test_an_area_in_mm2_without_a_size_of_a_pixel_is_refused_before_a_frame():
    with fails(ConfigError, "config/no-scale"):
        verdicts(IMAGES, min_area="1mm2")


def test_lines_have_the_regions_and_the_start_has_the_rule(tmp_path):
    path = tmp_path / "lines.jsonl"
    config = StreamConfig(window=False, rule="count:2")
    with JsonlSink(path) as sink:
        stream(RedBackend(), ListSource(IMAGES), [sink], config)
    lines = frame_lines(path)
    assert ["regions" in line for line in lines] == [False, True, True, True]
    assert [region["area"] for region in lines[3]["regions"]] == [36, 25, 16]


def test_nothing_is_measured_where_nobody_asks(monkeypatch):
    def measure(*_, **__):
        raise AssertionError("measured")

    monkeypatch.setattr("edgeseg.stream.pipeline.judge.find_regions", measure)
    report = stream(RedBackend(), ListSource(IMAGES), [], StreamConfig(window=False))
    assert (report.frames, report.anomalous) == (4, 2)


@pytest.fixture
def results(tmp_path):
    """The results of two images in folders of their own."""
    photos = tmp_path / "photos"
    write_png(photos / "a" / "0.png", spotted(12, 4)[:, :, ::-1])
    write_png(photos / "b" / "0.png", spotted()[:, :, ::-1])
    files = image_files([photos], tmp_path / "out")
    report = predict(
        RedBackend(),
        files,
        tmp_path / "out",
        threshold=None,
        image_threshold=None,
        regions=RegionConfig(rule="region", mm_per_px=0.5),
    )
    return tmp_path / "out", report


def test_predict_judges_by_the_rule_and_lists_regions(results):
    out, report = results
    assert report.counts() == {"good": 1, "anomalous": 1, "unknown": 0}
    assert "a frame is anomalous if there is a region" in report.summary()
    assert "2 regions" in report.summary()
    first, second = lines_of(out)
    assert [region["area_mm2"] for region in first["regions"]] == [36, 4]
    assert (second["regions"], second["region_count"]) == ([], 0)
    assert report.to_json()["rule"]["by"] == "region"


def test_the_csv_has_a_row_for_each_region(results):
    out, report = results
    rows = list(csv.DictReader((out / CSV).read_text().splitlines()))
    assert [row["number"] for row in rows] == ["1", "2"]
    assert rows[0]["file"] == report.images[0].file
    assert [rows[0][name] for name in ("left", "top", "box_width", "box_height", "area")] == [
        *("2", "4", "12", "12", "144")
    ]
    assert (rows[0]["length_mm"], rows[0]["centroid_x"], rows[0]["roi"]) == ("6.0", "7.5", "")


def test_a_name_that_is_not_utf_8_costs_no_result(tmp_path):
    roi = make_roi(**{"lat\udce9": (0, 0, 60, 40)})
    write_png(tmp_path / "a.png", spotted(12)[:, :, ::-1])
    predict(
        RedBackend(make_card(roi=roi)),
        [tmp_path / "a.png"],
        tmp_path / "out",
        threshold=None,
        image_threshold=None,
    )
    (row,) = csv.DictReader((tmp_path / "out" / CSV).read_text().splitlines())
    assert (row["roi"], row["area"]) == ("lat\\xe9", "144")


def test_the_coco_file_has_images_boxes_and_polygons_of_the_area(results):
    out, _ = results
    document = json.loads((out / COCO).read_text())
    assert [image["file_name"] for image in document["images"]] == ["a/0.png", "b/0.png"]
    assert {(image["width"], image["height"]) for image in document["images"]} == {(64, 48)}
    first, second = document["annotations"]
    assert (first["bbox"], first["area"], first["image_id"]) == ([2, 4, 12, 12], 144, 1)
    assert first["category_id"] == document["categories"][0]["id"]
    for each in (first, second):
        polygon = np.array(each["segmentation"][0], np.float32).reshape(-1, 1, 2)
        assert cv2.contourArea(polygon) == each["area"]


def test_predict_stream_and_evaluate_agree(results, tmp_path):
    """One rule, three ways to a verdict."""
    images = [spotted(side) for side in range(2, 16)]
    rule = Rule(by="area", limit=60, min_area=4)
    files = []
    for place, image in enumerate(images):
        files.append(tmp_path / f"{place:02}.png")
        write_png(files[-1], image[:, :, ::-1])
    backend = RedBackend(make_card(rule=rule))
    streamed = [each.verdict for each in verdicts(images, backend=backend)]
    report = predict(backend, files, tmp_path / "o", threshold=None, image_threshold=None)
    evaluated = [
        judge_outcome(outcome, backend.card).verdict.name
        for outcome in run_images(backend, files, title="", damaged=DamagedImages())
    ]
    assert streamed == [each.verdict for each in report.images] == evaluated
    assert streamed == ["good"] * 6 + ["anomalous"] * 8
