"""gate: which graphs pass, which blocks it finds, and when it fails."""

import dataclasses

import numpy as np
import pytest
from onnx import numpy_helper

from edgeseg.accuracy.cases import open_cases
from edgeseg.accuracy.gate import Allowance, gate
from edgeseg.errors import GateFailed, ModelError
from edgeseg.evaluation.compare import Comparison
from edgeseg.evaluation.metrics import UNDEFINED
from edgeseg.graph.blocks import blocks_of
from edgeseg.quantize.fp16 import half_nodes, to_fp16
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
from tests.kit.errors import fails
from tests.kit.red_graph import CARD, CHAIN, red_graph, scaling, write_plates, zeroing


@pytest.fixture
def plates(tmp_path):
    return open_cases(write_plates(tmp_path / "plates"), CARD, 400)


class Counting:
    """Opens graphs in ONNX Runtime, and counts them."""

    def __init__(self):
        self.opened = 0

    def __call__(self, path):
        self.opened += 1
        return OnnxRuntimeBackend(path, threads=1)


def run(source, retype, cases, *, max_drop=0.01, max_flip_rate=1.0, opener=None):
    convolutions = frozenset(n.name for n in source.graph.node if n.op_type == "Conv")
    return gate(
        source,
        retype,
        blocks_of(source, convolutions),
        cases,
        card=CARD,
        open_graph=opener or Counting(),
        allowed=Allowance(max_drop, max_flip_rate),
        higher="fp32",
    )


def names(passed):
    return [block.name for block in passed.kept]


def test_gate_passes_at_once_where_nothing_changes(plates, said):
    source, opener = red_graph(), Counting()
    passed = run(source, zeroing(source, []), plates, opener=opener)
    assert opener.opened == 2  # the source, and the typed graph once
    assert passed.kept == ()
    assert passed.on.startswith("onnxruntime ")
    assert (passed.accuracy.before.pixel_ap, passed.accuracy.after.pixel_ap) == (1.0, 1.0)
    assert (passed.accuracy.mask_iou, passed.accuracy.flipped_verdicts) == (1.0, 0)
    assert said[1] == (
        "gate: pixel AP 1.0000 -> 1.0000, image AUROC 1.0000 -> 1.0000, mask IoU 1.0000, "
        "0 of 12 verdicts flipped"
    )


def test_gate_refuses_to_pass_on_nothing(plates):
    source = red_graph()
    good = plates.subset(np.flatnonzero(plates.good))
    with fails(GateFailed, "gate/nothing-judged"):
        run(source, zeroing(source, []), good)


def test_gate_says_what_it_judged(tmp_path, said):
    source = red_graph()
    cases = open_cases(write_plates(tmp_path / "plates", masks=False), CARD, 400)
    passed = run(source, zeroing(source, []), cases)
    assert passed.accuracy.judged == ("image AUROC",)
    assert said[1].endswith("6 good, 6 defective, 0 with a mask")
    assert said[2].startswith("gate: pixel AP not judged, image AUROC 1.0000 -> 1.0000")


@pytest.mark.parametrize("name", CHAIN)
def test_gate_finds_the_block_that_spoils_the_maps_and_no_other(plates, name, said):
    source = red_graph()
    passed = run(source, zeroing(source, [name]), plates)
    assert names(passed) == [name]
    assert passed.accuracy.after == passed.accuracy.before
    assert f"gate: now left in fp32: {name}" in said
    weights = {i.name: numpy_helper.to_array(i) for i in passed.model.graph.initializer}
    assert weights[f"{name}/one"].item() == 1.0


def test_gate_finds_several_blocks_that_hide_each_other(plates):
    # Each alone makes every map 0: to keep one of them changes nothing.
    source, spoiled = red_graph(), {"teacher.layer1.0", "student.layer1.1", "head.blocks.0"}
    passed = run(source, zeroing(source, spoiled), plates)
    assert set(names(passed)) == spoiled
    assert passed.accuracy.drop == 0.0


def test_gate_leaves_the_block_that_fp16_destroys(plates):
    source = red_graph(fragile=["student.layer1.0"])
    with fails(GateFailed, "gate/accuracy"):
        run(source, lambda keep: to_fp16(source), plates)  # ignores `keep`
    passed = run(source, lambda keep: to_fp16(source, keep=keep), plates)
    assert names(passed) == ["student.layer1.0"]
    assert passed.accuracy.after.pixel_ap == pytest.approx(1.0)
    half = half_nodes(source, frozenset().union(*(b.nodes for b in passed.kept)))
    assert "student.layer1.1.conv1" in half
    assert not any(name.startswith("student.layer1.0") for name in half)


def test_gate_fails_where_no_block_helps(plates):
    source = red_graph()
    ruined = zeroing(source, CHAIN)(frozenset())
    with fails(GateFailed, "gate/accuracy") as caught:
        run(source, lambda keep: ruined, plates)
    # Of 12 x 256 pixels 6 x 24 are anomalous; on a flat map the AUROC is 0.5.
    assert "pixel AP 1.0000 -> 0.0469, image AUROC 1.0000 -> 0.5000" in caught.value.problem
    assert "6 of 12 verdicts flipped" in caught.value.problem
    assert caught.value.remedy == "--precision fp32, or a larger --max-drop or --max-flip-rate"


def test_gate_passes_within_a_larger_max_drop(plates):
    source = red_graph()
    passed = run(source, zeroing(source, ["head.aspp.4"]), plates, max_drop=1.0)
    assert passed.kept == ()
    assert passed.accuracy.drop == pytest.approx(1 - 0.0469, abs=1e-4)


def test_gate_searches_where_only_verdicts_flip(plates):
    # Of maps a tenth as high none is above the threshold: the order of pixels and parts stays.
    source = red_graph()
    faint = scaling(source, ["head.aspp.4"], 0.1)
    passed = run(source, faint, plates)
    assert (names(passed), passed.accuracy.flipped_verdicts) == ([], 6)
    passed = run(source, faint, plates, max_flip_rate=0.01)
    assert (names(passed), passed.accuracy.flipped_verdicts) == (["head.aspp.4"], 0)


def test_gate_finds_the_block_that_returns_nan(plates, said):
    source = red_graph()
    zero = zeroing(source, ["student.layer1.1"])

    def retype(keep):
        typed = zero(keep)
        for constant in typed.graph.initializer:
            if constant.name.endswith("/one") and not numpy_helper.to_array(constant).any():
                nan = np.full((1, 1, 1, 1), np.nan, np.float32)
                constant.CopyFrom(numpy_helper.from_array(nan, constant.name))
        return typed

    passed = run(source, retype, plates, max_drop=1.0)
    assert said[1] == "gate: NaN or infinity within 12 frames"
    assert names(passed) == ["student.layer1.1"]


def test_gate_refuses_a_source_that_returns_nan(plates):
    source = red_graph()
    for constant in source.graph.initializer:
        if constant.name == "head.aspp.4/one":
            nan = np.full((1, 1, 1, 1), np.nan, np.float32)
            constant.CopyFrom(numpy_helper.from_array(nan, constant.name))
    with fails(ModelError, "model/not-finite"):
        run(source, zeroing(source, []), plates)


def test_gate_with_a_partial_last_batch(tmp_path):
    card = dataclasses.replace(CARD, frame_shape=(5, *CARD.frame_shape[1:]))
    cases = open_cases(write_plates(tmp_path / "plates"), card, 400)
    source = red_graph(card=card)
    passed = run(source, zeroing(source, []), cases)
    assert passed.accuracy.frames == 12
    assert (passed.accuracy.before.pixel_ap, passed.accuracy.before.image_auroc) == (1.0, 1.0)


@pytest.mark.parametrize(
    ("flips", "frames", "passes"), [(1, 2, True), (2, 2, False), (3, 300, True), (4, 300, False)]
)
def test_allowance_covers_one_verdict_or_a_share(flips, frames, passes):
    same = dataclasses.replace(UNDEFINED, image_auroc=0.5)
    found = Comparison(
        max_abs_diff=0.0,
        mean_abs_diff=0.0,
        score_diff=0.0,
        mask_iou=1.0,
        anomalous_pixels=0,
        mask_errors=0,
        check_diff=0.0,
        flipped_verdicts=flips,
        borderline_flips=0,
        margin=0.01,
        frames=frames,
        finite=True,
        before=same,
        after=same,
    )
    assert Allowance(drop=0.0, flip_rate=0.01).covers(found) is passes
    assert Allowance(drop=0.0, flip_rate=1.0).covers(found)
    assert not Allowance(drop=-0.1, flip_rate=1.0).covers(found)
    borderline = dataclasses.replace(found, borderline_flips=flips)
    assert Allowance(drop=0.0, flip_rate=0.0).covers(borderline)
