"""The gate: what passes, which block it finds, and when it gives up."""

import dataclasses

import numpy as np
import pytest
from onnx import numpy_helper

from edgeseg.accuracy.cases import open_cases
from edgeseg.accuracy.gate import gate
from edgeseg.accuracy.measure import Allowance
from edgeseg.errors import GateFailed, ModelError
from edgeseg.graph.blocks import blocks_of
from edgeseg.quantize.fp16 import half_nodes, to_fp16
from edgeseg.runtime.onnxrt import OnnxRuntimeBackend
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


def run(source, retype, cases, *, max_drop=0.01, max_flips=1.0, opener=None):
    convolutions = frozenset(n.name for n in source.graph.node if n.op_type == "Conv")
    return gate(
        source,
        retype,
        blocks_of(source, convolutions),
        cases,
        card=CARD,
        open_graph=opener or Counting(),
        allowed=Allowance(max_drop, max_flips),
        higher="fp32",
    )


def names(passed):
    return [block.name for block in passed.kept]


def test_what_costs_nothing_passes_at_once(plates, said):
    source, opener = red_graph(), Counting()
    passed = run(source, zeroing(source, []), plates, opener=opener)
    assert opener.opened == 2  # the source, and the typed graph once
    assert passed.kept == ()
    assert passed.on.startswith("onnxruntime ")
    assert (passed.accuracy.before.pixel_ap, passed.accuracy.after.pixel_ap) == (1.0, 1.0)
    assert (passed.accuracy.mask_iou, passed.accuracy.flipped_verdicts) == (1.0, 0)
    assert said[1] == (
        "gate: pixel AP 1.0000 -> 1.0000, image AUROC 1.0000 -> 1.0000, mask IoU 1.0000, "
        "0 flipped verdicts over 12 frames"
    )


@pytest.mark.parametrize("name", CHAIN)
def test_the_block_that_spoils_the_maps_is_found_and_no_other(plates, name, said):
    source = red_graph()
    passed = run(source, zeroing(source, [name]), plates)
    assert names(passed) == [name]
    assert passed.accuracy.after == passed.accuracy.before
    assert f"gate: kept in fp32 now: {name}" in said
    weights = {i.name: numpy_helper.to_array(i) for i in passed.model.graph.initializer}
    assert weights[f"{name}/one"].item() == 1.0


def test_several_blocks_that_hide_each_other_are_found(plates):
    # Each alone makes every map 0: to keep one of them changes nothing.
    source, spoiled = red_graph(), {"teacher.layer1.0", "student.layer1.1", "head.blocks.0"}
    passed = run(source, zeroing(source, spoiled), plates)
    assert set(names(passed)) == spoiled
    assert passed.accuracy.drop == 0.0


def test_fp16_keeps_the_block_that_half_destroys(plates):
    source = red_graph(fragile=["student.layer1.0"])
    with pytest.raises(GateFailed):
        run(source, lambda keep: to_fp16(source), plates)  # deaf to `keep`
    passed = run(source, lambda keep: to_fp16(source, keep=keep), plates)
    assert names(passed) == ["student.layer1.0"]
    assert passed.accuracy.after.pixel_ap == pytest.approx(1.0)
    half = half_nodes(source, frozenset().union(*(b.nodes for b in passed.kept)))
    assert "student.layer1.1.conv1" in half
    assert not any(name.startswith("student.layer1.0") for name in half)


def test_a_precision_that_no_block_repairs_fails_with_its_numbers(plates):
    source = red_graph()
    ruined = zeroing(source, CHAIN)(frozenset())
    with pytest.raises(GateFailed) as caught:
        run(source, lambda keep: ruined, plates)
    assert caught.value.exit_code == 3
    # Of 12 x 256 pixels 6 x 24 are anomalous; on a flat map every part is a coin's toss.
    assert "pixel AP 1.0000 -> 0.0469, image AUROC 1.0000 -> 0.5000" in caught.value.problem
    assert "6 flipped verdicts over 12 frames" in caught.value.problem
    assert "nothing was written" in caught.value.problem
    assert caught.value.remedy == "--precision fp32, or a larger --max-drop or --max-flip-rate"


def test_a_larger_limit_lets_it_pass(plates):
    source = red_graph()
    passed = run(source, zeroing(source, ["head.aspp.4"]), plates, max_drop=1.0)
    assert passed.kept == ()
    assert passed.accuracy.drop == pytest.approx(1 - 0.0469, abs=1e-4)


def test_flipped_verdicts_alone_send_it_to_look_for_the_blocks(plates):
    # Of maps a tenth as high none is above the threshold: the order of pixels and parts stays.
    source = red_graph()
    faint = scaling(source, ["head.aspp.4"], 0.1)
    passed = run(source, faint, plates)
    assert (names(passed), passed.accuracy.flipped_verdicts) == ([], 6)
    passed = run(source, faint, plates, max_flips=0.01)
    assert (names(passed), passed.accuracy.flipped_verdicts) == (["head.aspp.4"], 0)


def test_nan_is_a_fall_without_end_and_its_block_is_found(plates, said):
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


def test_a_source_that_is_broken_itself_is_refused(plates):
    source = red_graph()
    for constant in source.graph.initializer:
        if constant.name == "head.aspp.4/one":
            nan = np.full((1, 1, 1, 1), np.nan, np.float32)
            constant.CopyFrom(numpy_helper.from_array(nan, constant.name))
    with pytest.raises(ModelError, match="plates returns NaN or infinity before"):
        run(source, zeroing(source, []), plates)


def test_batches_and_their_rest(tmp_path):
    card = dataclasses.replace(CARD, frame_shape=(5, *CARD.frame_shape[1:]))
    cases = open_cases(write_plates(tmp_path / "plates"), card, 400)
    source = red_graph(card=card)
    passed = run(source, zeroing(source, []), cases)
    assert passed.accuracy.frames == 12
    assert (passed.accuracy.before.pixel_ap, passed.accuracy.before.image_auroc) == (1.0, 1.0)
