"""verify: the same bytes for both models, the limits, and the FP16 headroom."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from edgeseg.accuracy.verify import check_comparable, verify
from edgeseg.accuracy.verify_report import limits_of
from edgeseg.cards import InputLimit
from edgeseg.config import VerifyConfig
from edgeseg.errors import ConfigError, DataError, GateFailed
from edgeseg.quantize.fp16 import to_fp16
from tests.kit.errors import fails
from tests.kit.red_graph import CARD, CHAIN, SIDE, red_graph, write_plates

LOOSE = VerifyConfig(max_map_diff=1.0, max_score_diff=1.0, min_iou=0.0, max_flip_rate=1.0)


def save(path, model):
    onnx.save(model, path)
    return path


def scaled(model, name, factor):
    """Return the graph with one block's weight multiplied."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    for constant in changed.graph.initializer:
        if constant.name == f"{name}/one":
            value = numpy_helper.to_array(constant) * np.float32(factor)
            constant.CopyFrom(numpy_helper.from_array(value, constant.name))
    return changed


def quantizing(model, name):
    """Return the graph with one block's weight through a pair, which changes it by nothing."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    one = next(i for i in changed.graph.initializer if i.name == f"{name}/one")
    top = float(numpy_helper.to_array(one).max())
    scale = numpy_helper.from_array(np.float32(top / 127), "pair/scale")
    zero = numpy_helper.from_array(np.int8(0), "pair/zero")
    changed.graph.initializer.extend([scale, zero])
    for node in changed.graph.node:
        node.input[:] = ["restored" if i == one.name else i for i in node.input]
    pair = [
        helper.make_node(
            "QuantizeLinear", [one.name, "pair/scale", "pair/zero"], ["pair/bytes"], "quantize"
        ),
        helper.make_node(
            "DequantizeLinear", ["pair/bytes", "pair/scale", "pair/zero"], ["restored"], "restore"
        ),
    ]
    for node in reversed(pair):
        changed.graph.node.insert(0, node)
    return changed


@pytest.fixture
def red(tmp_path):
    return save(tmp_path / "red.onnx", red_graph())


@pytest.fixture
def data(tmp_path):
    return write_plates(tmp_path / "plates")


def test_verify_of_a_graph_with_itself(red, data):
    report = verify(red, red, VerifyConfig(data=data, image_count=5))
    assert report.problems() == []
    report.check()
    assert (report.comparison.max_abs_diff, report.comparison.frames) == (0.0, 5 + 3)
    assert report.pictures == f"5 images of {data}, black, white and noise, as 1 x 16 x 16 rgb"
    assert "passed" in report.summary().splitlines()
    assert len(report.headroom) == 1  # one file, looked at once


def test_verify_finds_names_and_judges_a_difference(red, data, tmp_path):
    # Half as bright: of 250 / 255 red 0.49 is left, below both thresholds.
    faint = save(tmp_path / "faint.onnx", scaled(red_graph(), "head.aspp.4", 0.5))
    report = verify(red, faint, VerifyConfig(data=data, image_count=100))
    assert report.comparison.max_abs_diff == pytest.approx(0.5)  # white
    assert report.comparison.flipped_verdicts == 6 + 2  # the defective, white and noise
    with fails(GateFailed, "gate/verify") as caught:
        report.check()
    for words in ("the maps differ by 0.5", "the scores differ by 0.5", "verdicts flipped: 8"):
        assert words in caught.value.problem
    lines = [line.split() for line in report.summary().splitlines()]
    assert ["flipped", "verdicts", "8", "0", "of", "15"] in lines
    assert report.worst[0].startswith("white: map difference 5.0e-01")
    assert "06.png: " in report.summary()
    document = json.loads(json.dumps(report.to_json()))
    assert document["flipped_verdicts"] == 8
    assert document["limits"]["max_flips"] == 0
    assert document["problems"] == report.problems()


def test_verify_compares_the_input_checks(data, tmp_path):
    # Good plates are 0.1 to 0.5 bright on average; 15 % less red moves all of them.
    limits = (InputLimit(name="brightness", low=0.0, high=1.0),)
    card = dataclasses.replace(CARD, input_check=limits)
    a = save(tmp_path / "a.onnx", red_graph(card=card))
    b = save(tmp_path / "b.onnx", scaled(red_graph(card=card), "head.aspp.4", 0.85))
    config = VerifyConfig(data=data, image_count=100, max_map_diff=1.0, max_score_diff=1.0)
    report = verify(a, b, config)
    assert report.comparison.check_diff == pytest.approx(0.15, abs=1e-5)  # white
    assert report.problems() == ["the input checks differ by 0.15 of their limits"]
    assert "input check, of its limits" in report.summary()
    without = save(tmp_path / "c.onnx", red_graph())
    assert "note: only A checks its input" in verify(a, without, config).notes
    assert "input check, of" not in verify(a, without, config).summary()


def test_verify_has_limits_of_its_own_for_int8(red, data, tmp_path):
    dim = scaled(red_graph(), "head.aspp.4", 0.85)
    config = VerifyConfig(data=data, image_count=100, max_score_diff=1.0)
    floats = verify(red, save(tmp_path / "dim.onnx", dim), config)
    assert floats.problems() == ["the maps differ by 0.15"]
    assert floats.extremes is None
    coarse = save(tmp_path / "coarse.onnx", quantizing(dim, "head.aspp.4"))
    int8 = verify(red, coarse, config)
    assert int8.comparison.max_abs_diff == pytest.approx(0.15 * 250 / 255)
    assert int8.problems() == []
    assert (int8.comparison.frames, int8.extremes.frames) == (12, 3)
    assert "black, white and noise, not judged: map difference 1.5e-01" in int8.summary()
    asked = dataclasses.replace(config, max_map_diff=0.1)
    assert verify(red, coarse, asked).problems() == ["the maps differ by 0.15"]


def test_limits_of_max_flip_rate():
    config = VerifyConfig()
    flips = [limits_of(config, n, int8=True).max_flips for n in (2, 199, 200, 348)]
    assert flips == [1, 1, 2, 3]
    assert limits_of(config, 348, int8=False).max_flips == 0
    tenth = VerifyConfig(max_flip_rate=0.1)
    assert [limits_of(tenth, 35, int8=int8).max_flips for int8 in (True, False)] == [3, 3]


def test_verify_limits_are_settings(red, data, tmp_path):
    faint = save(tmp_path / "faint.onnx", scaled(red_graph(), "head.aspp.4", 0.5))
    loose = dataclasses.replace(LOOSE, data=data)
    assert verify(red, faint, loose).problems() == []
    for change in (
        {"max_map_diff": 0.4},
        {"max_score_diff": 0.4},
        {"min_iou": 0.9},
        {"max_flip_rate": 7.9 / 15},
    ):
        (problem,) = verify(red, faint, dataclasses.replace(loose, **change)).problems()
        assert problem.split()[-1][:2] in ("0.", "8")


def test_verify_does_not_judge_the_iou_of_few_pixels(tmp_path):
    # Threshold 0.99: of all frames only the noise's brightest pixels pass, and all of white.
    high = dataclasses.replace(CARD, threshold=1.0)
    a = save(tmp_path / "a.onnx", red_graph(card=high))
    b = save(tmp_path / "b.onnx", scaled(red_graph(card=high), "head.aspp.4", 1.003))
    report = verify(a, b, dataclasses.replace(LOOSE, min_iou=0.95))
    marked = report.comparison.anomalous_pixels
    assert report.comparison.mask_iou == 0.0 and marked >= SIDE * SIDE  # white is marked by one
    assert report.problems() == ["the mask IoU is 0.0000"]
    few = dataclasses.replace(report.comparison, anomalous_pixels=99)
    assert dataclasses.replace(report, comparison=few).problems() == []
    assert (
        "of 99 anomalous pixels, too few to judge"
        in dataclasses.replace(report, comparison=few).summary()
    )


def test_verify_with_another_channel_order(red, data, tmp_path):
    bgr = dataclasses.replace(CARD, frame_format="bgr")
    turned = red_graph(card=bgr)
    for constant in turned.graph.initializer:
        if constant.name == "red":
            constant.CopyFrom(
                numpy_helper.from_array(numpy_helper.to_array(constant)[:, ::-1], "red")
            )
    other = save(tmp_path / "bgr.onnx", turned)
    for pair in ((red, other), (other, red)):
        report = verify(*pair, VerifyConfig(data=data))
        assert report.comparison.max_abs_diff == 0.0
        first, second = (room.peaks[0].value for room in report.headroom)
        assert first == second


def test_verify_opens_a_run_for_the_frames_of_the_graph(run, exported):
    for pair in ((run, exported.graph), (exported.graph, run)):
        report = verify(*pair, VerifyConfig())
        assert report.comparison.max_abs_diff < 1e-4
        assert report.pictures == (
            "synthetic pictures (--data: your own), black, white and noise, as 1 x 80 x 48 bgr"
        )
        assert [str(exported.graph)] == [room.graph for room in report.headroom]


@pytest.mark.parametrize(
    ("change", "frames"),
    [
        ({"frame_shape": (1, 48, 64, 3)}, "1 x 64 x 48 rgb"),
        ({"frame_shape": (2, 16, 16, 3)}, "2 x 16 x 16 rgb"),
        ({"frame_shape": (1, 16, 16, 1), "frame_format": "gray"}, "1 x 16 x 16 gray"),
        ({"frame_shape": (1, 24, 16, 1), "frame_format": "nv12"}, "1 x 16 x 16 nv12"),
    ],
)
def test_check_comparable_refuses_other_frames(change, frames):
    with fails(ConfigError, "verify/frames") as caught:
        check_comparable(CARD, dataclasses.replace(CARD, **change))
    assert "1 x 16 x 16 rgb" in caught.value.problem and frames in caught.value.problem
    remedy = "edgeseg export plates --frame-size 16x16 --format rgb --batch 1"
    assert caught.value.remedy.startswith(remedy)


def test_check_comparable_tells_formats_of_one_shape_apart():
    yuyv, uyvy = (
        dataclasses.replace(CARD, frame_shape=(1, 16, 16, 2), frame_format=kind)
        for kind in ("yuyv", "uyvy")
    )
    check_comparable(yuyv, yuyv)
    check_comparable(CARD, dataclasses.replace(CARD, frame_format="bgr"))
    with fails(ConfigError, "verify/frames"):
        check_comparable(yuyv, uyvy)


def test_check_comparable_refuses_another_network_size():
    with fails(ConfigError, "verify/network-size"):
        check_comparable(CARD, dataclasses.replace(CARD, network_size=(32, 32)))


def test_verify_notes_other_weights_and_thresholds(red, tmp_path):
    other = dataclasses.replace(CARD, weights_sha256="11", threshold=0.25)
    report = verify(red, save(tmp_path / "o.onnx", red_graph(card=other)), LOOSE)
    assert report.notes == (
        "note: the models have different weights",
        "note: each model is judged by its own thresholds: pixel 0.5 and 0.25, image 0.7 and 0.7",
    )
    assert report.comparison.max_abs_diff == 0.0
    assert report.comparison.mask_iou < 1.0


def test_verify_finds_an_fp16_overflow_by_the_headroom(red, tmp_path):
    # 300 times as large, twice, and back: past the end of Half between the second and the third.
    large = red_graph()
    for name, factor in zip(CHAIN, (300, 300, 1 / 300, 1 / 300), strict=False):
        large = scaled(large, name, factor)
    report = verify(red, save(tmp_path / "large.onnx", large), VerifyConfig())
    assert report.problems() == []  # in FP32 it is sound
    assert (report.headroom[1].typed, report.headroom[1].fits) == (False, False)
    assert report.headroom[1].peaks[0].value == pytest.approx(90000)
    assert "teacher.layer2.0.conv1 overflows" in report.summary()
    path = save(tmp_path / "half.onnx", to_fp16(large))
    report = verify(red, path, LOOSE)
    assert f"{path} overflows FP16 in teacher.layer2.0.conv1" in report.problems()
    json.dumps(report.to_json(), allow_nan=False)


def test_verify_says_what_a_cpu_does_not_show(red):
    text = verify(red, red, VerifyConfig()).summary()
    assert "A CPU computes FP16 layers in FP32" in text
    assert f"{red}: " in text and "12 tensors" in text


def test_verify_refuses_a_folder_without_images(red, tmp_path):
    (tmp_path / "empty").mkdir()
    with fails(DataError, "data/no-images"):
        verify(red, red, VerifyConfig(data=tmp_path / "empty"))


def test_verify_does_not_count_a_borderline_flip(red, data, tmp_path):
    # The defective plates score 250 / 255; the threshold lies between that and 0.9999 of it.
    card = dataclasses.replace(CARD, image_threshold=250 / 255 * 0.99995)
    a = save(tmp_path / "a.onnx", red_graph(card=card))
    dim = scaled(red_graph(card=card), "head.aspp.4", 0.9999)
    b = save(tmp_path / "b.onnx", dim)
    config = VerifyConfig(data=data, image_count=100)
    report = verify(a, b, config)
    assert (report.comparison.flipped_verdicts, report.comparison.borderline_flips) == (6, 6)
    assert report.problems() == []
    assert "of 15, 6 borderline (within " in report.summary()
    int8 = verify(a, save(tmp_path / "c.onnx", quantizing(dim, "head.aspp.4")), config)
    assert int8.problems() == []
