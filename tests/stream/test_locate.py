"""ROIs that move with the part, in predictions, streams, folders and evaluations."""

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.data.images import write_png
from edgeseg.data.layouts import open_dataset
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.frame.locate import with_template
from edgeseg.prediction import Model
from edgeseg.stream.sink.jsonl import JsonlSink
from edgeseg.stream.stream import stream
from edgeseg.verdict.verdict import PART_NOT_FOUND
from tests.frame.test_locate import ROI, SIZE, scene
from tests.kit.cards import make_card
from tests.kit.fakes import Collector, ListSource, RedBackend
from tests.stream.sink.results import frame_lines


@pytest.fixture(scope="module")
def roi():
    found = with_template(ROI, scene())
    return replace(found, locate=replace(found.locate, least=0.7))


def backend(roi, **changes):
    return RedBackend(make_card(*SIZE, side=(60, 80), roi=roi, threshold=0.9, **changes))


def with_red(image, left, top, side=16):
    """A picture whose red is dark but for a square."""
    image = image.copy()
    image[:, :, 2] //= 4
    image[top : top + side, left : left + side, 2] = 255
    return image


def test_a_defect_on_a_moved_part_is_found_where_it_is(roi):
    with Model(backend(roi)) as model:
        found = model(with_red(scene(-60, 40), 80, 130))
        lying = model(with_red(scene(), 140, 90))
        beside = model(with_red(scene(-60, 40), 180, 100))
    (region,) = found.regions
    assert region.box == pytest.approx((80, 130, 16, 16), abs=2) and region.roi == "cap"
    ys, xs = np.nonzero(found.mask)
    assert (xs.min(), ys.min()) == pytest.approx((80, 130), abs=1)
    row, column = np.unravel_index(found.anomaly_map.argmax(), found.anomaly_map.shape)
    assert (4 * column, 4 * row) == pytest.approx((88, 138), abs=8)
    assert (found.verdict, lying.verdict) == ("anomalous", "anomalous")
    assert (beside.verdict, beside.regions) == ("good", ()), "the ROI has moved away from there"
    assert found.draw().shape == (*SIZE, 3)


def test_a_picture_without_the_part_is_unknown(roi):
    with Model(backend(roi)) as model:
        found = model(with_red(scene(part=False), 140, 90))
    assert (found.verdict, found.reason) == ("unknown", PART_NOT_FOUND)


def test_a_stream_puts_the_part_in_its_place_and_lists_regions_where_they_are(roi, tmp_path):
    collector = Collector()
    images = [with_red(scene(-60, 40), 80, 130), with_red(scene(part=False), 140, 90)]
    path = tmp_path / "lines.jsonl"
    with JsonlSink(path) as sink:
        stream(backend(roi), ListSource(images), [collector, sink], StreamConfig(window=False))
    first, second = frame_lines(path)
    assert (first["verdict"], second["reason"]) == ("anomalous", PART_NOT_FOUND)
    assert first["moved"] == pytest.approx([-60, 40], abs=1)
    assert first["regions"][0]["box"] == pytest.approx([80, 130, 16, 16], abs=2)
    ys, xs = np.nonzero(collector.masks[0])
    assert (xs.min(), ys.min()) == pytest.approx((140, 90), abs=1), "in its place"


def test_an_evaluation_moves_what_it_measures(roi, tmp_path):
    root = tmp_path / "caps"
    write_png(root / "train/good/0.png", scene()[:, :, ::-1])
    for place, (x, y) in enumerate([(0, 0), (-60, 40), (50, -30)]):
        good = with_red(scene(x, y, seed=place), 5, 5, side=30)  # dirt beside the part
        write_png(root / f"test/good/{place}.png", good[:, :, ::-1])
        bad = with_red(scene(x, y, seed=place), 140 + x, 90 + y)
        write_png(root / f"test/spot/{place}.png", bad[:, :, ::-1])
        mask = np.zeros(SIZE, np.uint8)
        mask[90 + y : 106 + y, 140 + x : 156 + x] = 255
        write_png(root / f"ground_truth/spot/{place}_mask.png", mask)
    lost = with_red(scene(part=False), 140, 90)
    write_png(root / "test/spot/9.png", lost[:, :, ::-1])
    found = evaluate(backend(roi, frame_format="rgb"), open_dataset(root))
    assert (found.false_rejects, found.overall.missed) == (0, 0)
    assert found.overall.scores.pixel_ap > 0.9
    reasons = {row.file: row.reason for row in found.images if row.reason}
    assert reasons == {"test/spot/9.png": PART_NOT_FOUND}
