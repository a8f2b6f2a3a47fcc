"""ROIs in predictions, streams and evaluations: what is outside neither marks nor counts."""

import numpy as np
import pytest

from edgeseg.config import StreamConfig
from edgeseg.data.damaged import DamagedImages
from edgeseg.data.images import write_png
from edgeseg.data.layouts import open_dataset
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.regions.score import judge_outcome, judges_alike, thresholds_of
from edgeseg.evaluation.run_images import run_images
from edgeseg.prediction import Model
from edgeseg.stream.stream import stream
from edgeseg.verdict.region_config import RegionConfig
from edgeseg.verdict.rule import Rule
from edgeseg.verdict.verdict import OTHER_SHAPE
from tests.kit.cards import make_card
from tests.kit.fakes import Collector, ListSource, RedBackend
from tests.kit.red_backend import PlateBackend, write_image
from tests.kit.rois import make_roi

ROI = make_roi((48, 64), ignored=[(0, 0, 8, 8)], left=(0, 0, 32, 48), right=(40, 0, 64, 48))


def spotted(*places, side=8, height=48, width=64):
    """A black BGR image with red squares whose top left corners are (x, y)."""
    image = np.zeros((height, width, 3), np.uint8)
    for x, y in places:
        image[y : y + side, x : x + side, 2] = 255
    return image


def backend(**changes):
    return RedBackend(make_card(**{"roi": ROI} | changes))


def test_a_prediction_has_the_regions_of_the_rois_by_name():
    with Model(backend()) as model:
        outside = model(spotted((32, 20), (0, 0)))
        inside = model(spotted((16, 20), (48, 32)))
        halved = model(spotted((28, 20)))
    assert (outside.verdict, outside.regions, outside.mask.any()) == ("good", (), False)
    assert inside.verdict == "anomalous"
    assert {region.roi for region in inside.regions} == {"left", "right"}
    (region,) = halved.regions
    assert (region.roi, region.box) == ("left", (28, 20, 4, 8)), "it is cut at the border"


def test_an_image_of_another_size_is_inspected_in_the_same_places():
    with Model(backend()) as model:
        found = model(spotted((64, 40), (32, 40), side=16, height=96, width=128))
        other = model(spotted((0, 0), side=40, height=64, width=64))
    (region,) = found.regions
    assert region.box == pytest.approx((32, 40, 16, 16), abs=3) and region.roi == "left"
    assert (other.verdict, other.reason) == ("unknown", OTHER_SHAPE)


def test_counts_are_those_of_one_roi():
    rule = RegionConfig(rule="count:1").applied(Rule())
    with Model(backend(rule=rule)) as model:
        apart = model(spotted((16, 20), (48, 20), side=4))
        together = model(spotted((48, 8), (48, 20), side=4))
    assert (apart.verdict, apart.region_count) == ("good", 2)
    assert (together.verdict, together.region_count) == ("anomalous", 2)


def test_an_overlay_shows_rois_with_names_and_ignored_areas():
    with Model(backend()) as model:
        drawn = model(spotted()).draw()
    white, gray = (np.abs(drawn.astype(int) - level).max(axis=2) < 60 for level in (255, 150))
    assert white[10:40, 30:33].any(axis=1).all(), "the right side of the left ROI"
    assert gray[0:8, 6:9].any(), "the ignored area"
    assert not white[20:40, 34:38].any()


def test_a_stream_inspects_the_rois_and_knows_other_shapes():
    collector = Collector()
    images = [spotted((32, 20)), spotted((16, 20)), spotted((0, 0), side=40, height=64)]
    config = StreamConfig(window=False)
    stream(backend(), ListSource(images), [collector], config)
    assert [each.verdict for each in collector.results] == ["good", "anomalous", "unknown"]
    assert [region.roi for region in collector.results[1].regions] == ["left"]
    assert collector.results[2].reason == OTHER_SHAPE


@pytest.fixture
def root(tmp_path):
    """Defects in the upper left corner, and dirt of the same red in the lower right one."""
    root, dirt = tmp_path / "plates", (slice(12, 16), slice(12, 16))
    write_image(root / "train/good/0.png", 10)
    for place in range(3):
        write_image(root / f"test/good/{place}.png", 200 + place, dirt)
        path = write_image(root / f"test/spot/{place}.png", 200 + place)
        mask = np.zeros((16, 16), np.uint8)
        mask[:4, :4] = 255
        write_png(root / f"ground_truth/spot/{path.stem}_mask.png", mask)
    return root


CORNER = make_roi((16, 16), corner=(0, 0, 8, 8))


def test_an_evaluation_measures_the_inside(root):
    dataset = open_dataset(root)
    whole = evaluate(PlateBackend(), dataset)
    found = evaluate(PlateBackend(roi=CORNER), dataset)
    assert (whole.false_rejects, found.false_rejects, found.overall.missed) == (3, 0, 0)
    assert whole.overall.scores.image_auroc == 0.5
    assert found.overall.scores.image_auroc == 1
    assert whole.overall.scores.pixel_ap < 0.6 and found.overall.scores.pixel_ap == 1
    assert not found.doubts


def test_an_evaluation_tells_of_defects_outside(root):
    elsewhere = make_roi((16, 16), elsewhere=(8, 8, 16, 16))
    found = evaluate(PlateBackend(roi=elsewhere), open_dataset(root))
    assert "3 defective images have no defect inside of the ROI" in found.doubts
    assert found.overall.missed == 3


def test_a_stored_evaluation_is_of_the_same_rois():
    card = make_card(roi=CORNER)
    assert judges_alike(thresholds_of(card), make_card(roi=CORNER))
    assert not judges_alike(thresholds_of(card), make_card())


def test_an_image_of_another_shape_is_unknown_in_an_evaluation(tmp_path):
    path = tmp_path / "wide.png"
    write_png(path, np.zeros((16, 40, 3), np.uint8))
    plates = PlateBackend(roi=CORNER)
    (outcome,) = run_images(plates, [path], title="", damaged=DamagedImages())
    assert judge_outcome(outcome, plates.card).verdict == ("unknown", OTHER_SHAPE)
