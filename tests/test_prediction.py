"""Mirrors edgeseg/prediction.py: any frame in, a Prediction out."""

import threading

import numpy as np
import pytest

from edgeseg.cards import InputLimit
from edgeseg.data.formats.frame_bytes import write_frame
from edgeseg.errors import ConfigError, DataError, ModelError
from edgeseg.frame.pixel_formats import PIXEL_FORMATS
from edgeseg.prediction import Model, Prediction, load, mask_of
from edgeseg.verdict.region_config import RegionConfig
from edgeseg.verdict.regions import Region
from edgeseg.verdict.rule import Rule
from tests.kit.cards import make_card
from tests.kit.errors import fails
from tests.kit.fakes import RedBackend, solid_image


def red_square(height=48, width=64, *, x=16, y=12, side=12):
    """A black BGR frame with a red square; RedBackend's map is the red channel / 255."""
    frame = np.zeros((height, width, 3), np.uint8)
    frame[y : y + side, x : x + side, 2] = 255
    return frame


@pytest.fixture
def model():
    with Model(RedBackend()) as opened:
        yield opened


def test_model_returns_verdict_score_mask_and_map(model):
    found = model(red_square())
    assert isinstance(found, Prediction)
    assert (found.verdict, found.mask.shape, found.mask.dtype) == ("anomalous", (48, 64), np.uint8)
    assert set(np.unique(found.mask)) == {0, 255}
    assert found.anomaly_map.shape == (16, 16)
    assert found.score > model.image_threshold
    assert found.milliseconds > 0
    assert model(np.zeros((48, 64, 3), np.uint8)).verdict == "good"


@pytest.mark.parametrize("shape", [(48, 64), (48, 64, 1), (48, 64, 3), (30, 40), (97, 131, 3)])
def test_model_takes_gray_and_color_of_any_size(model, shape):
    found = model(np.full(shape, 255, np.uint8))
    assert found.mask.shape == shape[:2]
    assert found.verdict == "anomalous"
    assert found.draw().shape == (*shape[:2], 3)


def test_model_takes_frames_that_are_not_contiguous(model):
    frame = red_square(96, 128, x=32, y=24, side=24)[::2, ::2]
    assert not frame.flags.c_contiguous
    np.testing.assert_array_equal(model(frame).mask, model(np.ascontiguousarray(frame)).mask)


@pytest.mark.parametrize("frame_format", PIXEL_FORMATS)
def test_model_converts_to_the_channels_of_the_graph(frame_format):
    model = Model(RedBackend(make_card(frame_format=frame_format)))
    frame = red_square()
    found = model(frame)
    np.testing.assert_array_equal(found.mask, model(frame[..., ::-1], channels="rgb").mask)
    np.testing.assert_array_equal(found.draw(), model(frame[..., ::-1], channels="rgb").draw())


@pytest.mark.parametrize("frame_format", ["yuyv", "uyvy", "nv12", "bayer_rggb"])
def test_model_takes_the_raw_bytes_of_its_format(frame_format):
    red = PIXEL_FORMATS[frame_format]
    raw = np.zeros(red.shape(48, 64), np.uint8)
    write_frame(solid_image(200), "bgr", raw, frame_format)
    with Model(RedBackend(make_card(frame_format=frame_format))) as model:
        expected = model(solid_image(200))
        found = model(raw, channels="rgb")
        assert (found.score, found.mask.shape) == (
            pytest.approx(expected.score, abs=0.01),
            (48, 64),
        )
        drawn = found.draw()
    assert drawn.shape == (48, 64, 3)
    if frame_format in ("yuyv", "uyvy"):
        with Model(RedBackend(make_card(frame_format=frame_format))) as model:
            assert model(raw[:30, :20]).mask.shape == (30, 20)
            with fails(DataError, "frame/shape"):
                model(raw[:, :21])
    if frame_format == "nv12":
        with Model(RedBackend(make_card(frame_format=frame_format))) as model:
            assert model(raw[:, :, 0]).score == found.score


def test_a_prediction_keeps_its_arrays_when_the_model_runs_again(model):
    first = model(red_square())
    mask, anomaly_map = first.mask.copy(), first.anomaly_map.copy()
    model(np.zeros((48, 64, 3), np.uint8))
    np.testing.assert_array_equal(first.mask, mask)
    np.testing.assert_array_equal(first.anomaly_map, anomaly_map)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (np.zeros((48, 64, 3), np.float32), "frame/dtype"),
        ([[0, 0], [0, 0]], "frame/dtype"),
        (None, "frame/dtype"),
        (np.zeros((48, 64, 4), np.uint8), "frame/shape"),
        (np.zeros((1, 48, 64, 3), np.uint8), "frame/shape"),
        (np.zeros(48, np.uint8), "frame/shape"),
        (np.zeros((0, 64, 3), np.uint8), "frame/shape"),
    ],
)
def test_model_rejects_what_is_no_frame(model, frame, code):
    with fails(DataError, code):
        model(frame)


@pytest.mark.parametrize("channels", ["BGR", "gray", None, 3])
def test_model_rejects_channels_that_it_does_not_know(model, channels):
    with fails(ConfigError, "frame/channels"):
        model(red_square(), channels=channels)


@pytest.mark.parametrize(
    ("kind", "scaled"), [(np.uint16, 0xFF00), (np.float32, 1.0), (np.bool_, True)]
)
def test_the_remedy_for_a_type_of_frame_scales_it(model, kind, scaled):
    frame = np.full((4, 4), scaled, kind)
    with fails(DataError, "frame/dtype") as caught:
        model(frame)
    expression = caught.value.remedy.partition(": ")[2]
    assert (eval(expression, {"frame": frame, "numpy": np}) == 255).all()


@pytest.mark.parametrize(("bits", "largest"), [(10, 1023), (12, 4095), (16, 65535)])
def test_the_remedy_for_16_bits_is_that_of_the_training_images(bits, largest):
    frame = np.full((4, 4), largest, np.uint16)
    with fails(DataError, "frame/dtype") as caught:
        Model(RedBackend(make_card(bit_depth=bits)))(frame)
    expression = caught.value.remedy.partition(": ")[2]
    assert (eval(expression, {"frame": frame, "numpy": np}) == 255).all()


def test_model_that_is_closed_says_so():
    model = Model(RedBackend())
    model.close()
    model.close()
    with fails(ModelError, "model/closed"):
        model(red_square())


def test_a_frame_of_another_thread_is_refused_and_the_first_is_not_disturbed():
    errors = []

    def call_again(runs):
        if runs == 2:  # the first is the warm-up
            other = threading.Thread(target=call)
            other.start()
            other.join()

    def call():
        with fails(ModelError, "model/busy"):
            model(red_square())
        errors.append("busy")

    model = Model(RedBackend(on_run=call_again))
    assert model(red_square()).verdict == "anomalous"
    assert errors == ["busy"]
    assert model(red_square()).verdict == "anomalous"


def test_close_waits_for_the_frame_of_another_thread():
    started, closing = threading.Event(), threading.Event()
    closed_while_running = []

    def wait(runs):
        if runs == 2:
            started.set()
            closing.wait(5)
            closed_while_running.append(backend.closed)

    backend = RedBackend(on_run=wait)
    model = Model(backend)
    caller = threading.Thread(target=model, args=(red_square(),))
    caller.start()
    assert started.wait(5)
    closer = threading.Thread(target=model.close)
    closer.start()
    closing.set()
    caller.join()
    closer.join()
    assert closed_while_running == [False] and backend.closed


def test_a_score_that_is_no_number_is_unknown(model, monkeypatch):
    def run():
        model._slot.score[0] = np.nan

    monkeypatch.setattr(model._backend, "run", run)
    found = model(red_square())
    assert (found.verdict, found.reason) == ("unknown", "the result is not a number")


def test_a_frame_beyond_a_limit_is_unknown_whatever_its_score():
    limits = (InputLimit(name="brightness", low=0.25, high=0.75),)
    with Model(RedBackend(make_card(input_check=limits))) as checked:
        found = [checked(solid_image(red)) for red in (0, 128, 255)]
    assert [each.verdict for each in found] == ["unknown", "good", "unknown"]
    assert [each.reason for each in found] == ["too dark", "", "too bright"]


def test_model_refuses_a_graph_of_several_frames():
    with fails(ModelError, "model/batch"):
        Model(RedBackend(make_card(batch=2)))


def test_thresholds_override_the_card():
    frame = np.full((48, 64), 128, np.uint8)  # a map of 0.5, a score of 0.5
    assert Model(RedBackend(), image_threshold=0.6)(frame).verdict == "good"
    low = Model(RedBackend(), threshold=0.4, image_threshold=0.4)(frame)
    assert (low.verdict, low.mask.min(), low.threshold) == ("anomalous", 255, 0.4)


@pytest.mark.parametrize("name", ["threshold", "image_threshold"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "0.5"])
def test_no_threshold_of_a_model_may_be_something_else_than_a_number(model, name, value):
    with fails(ConfigError, "config/invalid"):
        setattr(model, name, value)
    with fails(ConfigError, "config/invalid"):
        Model(RedBackend(), **{name: value})
    with fails(ConfigError, "config/invalid"):
        Model(RedBackend(make_card(**{name: value})))
    assert getattr(model, name) == getattr(model.card, name)


def test_load_refuses_a_threshold_that_is_no_number():
    with fails(ConfigError, "config/invalid"):
        load("nowhere", image_threshold=float("nan"))


@pytest.mark.parametrize("wrong", [{"threads": "2"}, {"threads": 0}, {"threshold": "a"}])
def test_load_refuses_settings_of_another_type(wrong):
    with fails(ConfigError, "config/invalid"):
        load("nowhere", **wrong)


def test_load_names_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in ("nowhere", tmp_path / "nowhere.onnx", None):
        with pytest.raises(ModelError) as caught:
            load(path)
        assert caught.value.remedy


def prediction(mask, anomaly_map):
    return Prediction(
        verdict="anomalous",
        score=1.0,
        mask=mask,
        anomaly_map=anomaly_map,
        milliseconds=1.0,
        threshold=0.5,
        _frame=np.zeros((*mask.shape, 3), np.uint8),
    )


def test_regions_have_boxes_areas_and_peaks_the_largest_first():
    mask = np.zeros((40, 80), np.uint8)
    mask[4:6, 10:14] = 255
    mask[20:30, 60:80] = 255
    mask[30, 59] = 255  # touches the second by a corner
    anomaly_map = np.zeros((8, 16), np.float32)
    anomaly_map[0, 2], anomaly_map[5, 15], anomaly_map[7, 0] = 0.75, 0.875, 1.0
    found = prediction(mask, anomaly_map)
    large, small = found.regions
    assert (large.box, large.area, large.peak) == ((59, 20, 21, 11), 201, 0.875)
    assert small == Region(
        (10, 4, 4, 2), 8, 4.0, 2.0, 0.0, (11.5, 4.5), peak=0.75, mean=0.75, pixel=(10, 4)
    )
    assert found.region_count == 2


def test_a_mask_without_anomalies_has_no_regions():
    assert prediction(np.zeros((8, 8), np.uint8), np.zeros((4, 4), np.float32)).regions == ()


@pytest.mark.parametrize(
    ("rule", "side", "verdict", "count"),
    [
        ("region", 12, "anomalous", 1),
        ("region", 0, "good", 0),
        ("area:144", 12, "good", 1),
        ("area:143", 12, "anomalous", 1),
        ("count:1", 12, "good", 1),
        ("count:0", 12, "anomalous", 1),
        ("score", 0, "good", 0),
    ],
)
def test_the_regions_decide_where_the_rule_says_so(rule, side, verdict, count):
    """Whatever the score is."""
    limit = 2.0 if rule != "score" else 0.5
    rule = RegionConfig(rule=rule).applied(Rule())
    with Model(RedBackend(make_card(rule=rule)), image_threshold=limit) as judging:
        found = judging(red_square(side=side))
    assert (found.verdict, found.region_count) == (verdict, count)


def test_small_regions_do_not_count_and_those_in_a_larger_image_are_scaled():
    rule = Rule(by="region", min_area=100, mm_per_px=0.5, picture=(48, 64))
    with Model(RedBackend(make_card(rule=rule))) as judging:
        small, large = (judging(red_square(side=side)) for side in (8, 12))
        doubled = judging(red_square(96, 128, x=32, y=24, side=24))
        judging.rule = Rule(by="region")
        assert judging(red_square(side=8)).verdict == "anomalous"
    assert (small.verdict, small.regions) == ("good", ())
    (region,) = large.regions
    assert (large.verdict, region.area_mm2) == ("anomalous", 36)
    assert region.length_mm == doubled.regions[0].length_mm == pytest.approx(6)


def test_a_map_that_is_no_number_is_unknown_where_the_regions_decide(monkeypatch):
    with Model(RedBackend(make_card(rule=Rule(by="region")))) as judging:

        def run():
            judging._slot.score[0], judging._slot.mask[:] = 0, 0
            judging._slot.anomaly_map[0, 3, 3] = np.nan

        monkeypatch.setattr(judging._backend, "run", run)
        found = judging(red_square())
    assert (found.verdict, found.reason) == ("unknown", "the result is not a number")


def test_mask_of_enlarges_the_map_as_the_graph_does():
    anomaly_map = np.array([[0.0, 1.0]], np.float32)  # half-pixel centers: 0, 0.25, 0.75, 1
    np.testing.assert_array_equal(mask_of(anomaly_map, 0.5, (1, 4)), [[0, 0, 255, 255]])
    np.testing.assert_array_equal(mask_of(anomaly_map, 0.2, (1, 4)), [[0, 255, 255, 255]])
    np.testing.assert_array_equal(mask_of(anomaly_map, 1.0, (1, 4)), [[0, 0, 0, 0]])


@pytest.mark.parametrize("size", [(60, 200), (200, 60), (96, 128)])
@pytest.mark.parametrize("frame", [(48, 64), (40, 120)])
def test_a_red_square_is_found_in_its_place_in_a_frame_of_any_shape(frame, size):
    """Twice letterboxed: the image in the graph's frames, and those in the network."""
    card = make_card(*frame, side=(64, 96), aspect="keep")
    with Model(RedBackend(card)) as model:
        found = model(red_square(*size, x=size[1] // 2, y=size[0] // 3, side=20))
    (region,) = found.regions
    assert found.mask.shape == size
    expected_box = size[1] // 2, size[0] // 3, 20, 20
    for place, expected in zip(region.box, expected_box, strict=True):
        assert abs(place - expected) <= 4
    height, width = found.anomaly_map.shape
    assert width / height == pytest.approx(size[1] / size[0], rel=0.08)
    assert region.peak == pytest.approx(1, abs=0.05)


def test_the_map_of_a_letterboxed_frame_is_the_part_that_shows_it():
    card = make_card(30, 90, side=(64, 64), aspect="keep")
    with Model(RedBackend(card)) as model:
        found = model(red_square(30, 90, x=60, y=0, side=30))
        assert found.anomaly_map.shape == (21, 64)
        np.testing.assert_array_equal(found.anomaly_map[:, 44:], 1)
        assert not found.anomaly_map[:, :42].any()
        assert found.draw().shape == (30, 90, 3)
