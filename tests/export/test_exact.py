"""The rewrites together: which are done, what the card says, that every precision builds."""

import dataclasses

import numpy as np
import onnx
import pytest

from edgeseg.config import AUTO_REWRITES, REWRITES, BuildConfig, ExportConfig
from edgeseg.export.exact import PASSES, rewrite
from edgeseg.export.export import export_graph
from edgeseg.graph.graph import Graph
from edgeseg.graph.wiring import parts
from edgeseg.machine.facts import this_machine
from edgeseg.quantize.calibration_file import Range, Ranges
from edgeseg.quantize.fp16 import half_nodes, to_fp16
from edgeseg.quantize.int8 import Int8
from edgeseg.quantize.placement import measured, place
from edgeseg.runtime.onnx_card import read_onnx_card
from tests.kit.deploy import toy_backend
from tests.kit.plans import plan_of
from tests.kit.small_head import answer, features
from tests.kit.tiny import two_levels

NONE = {"Shape", "Slice", "Identity", "Constant", "BatchNormalization", "Expand"}


@pytest.fixture(scope="session")
def original(exported):
    return onnx.load(exported.graph)


@pytest.fixture(scope="session")
def rewritten(original):
    """What the default of `edgeseg export` makes of the same run."""
    model, done = rewrite(original, AUTO_REWRITES)
    assert done == AUTO_REWRITES
    return model


@pytest.fixture(scope="session")
def ranges(rewritten, exported):
    limits = {name: Range(3.0) for name in measured(Graph(rewritten))}
    return Ranges(graph=exported.graph.name, graph_sha256="0" * 64, tensors=limits)


def test_every_name_has_its_pass():
    assert tuple(PASSES) == REWRITES
    assert set(AUTO_REWRITES) <= set(REWRITES)


def test_all_of_them_answer_the_same(head, monkeypatch):
    monkeypatch.setattr("edgeseg.export.taps.WORTH", 0.0)  # so small a head is not worth it
    side, model = head
    after, done = rewrite(model, REWRITES)
    assert set(AUTO_REWRITES) <= set(done)
    feeds = features(side, side)
    np.testing.assert_allclose(answer(after, feeds), answer(model, feeds), atol=1e-5)


def test_no_helper_node_of_the_exporter_is_left(rewritten):
    assert not NONE & {n.op_type for n in rewritten.graph.node}


def test_a_graph_without_a_head_is_returned_as_it_is():
    model = two_levels()
    del model.graph.node[-10:]
    assert rewrite(model, REWRITES) == (model, ())


def test_the_card_says_what_was_done(tmp_path):
    with toy_backend() as backend:
        found = export_graph(backend, tmp_path / "toy.onnx", ExportConfig())
    assert found.card.rewrites == ()
    assert read_onnx_card(found.graph).rewrites == ()
    assert "rewrites none" in found.summary() and found.to_json()["rewrites"] == []
    card = dataclasses.replace(found.card, rewrites=("pooled",))
    assert "rewrites pooled" in dataclasses.replace(found, card=card).summary()


def test_half_reaches_through_the_head(original, rewritten):
    """No float island inside it: from its first convolution to its last all is Half."""
    half, part = half_nodes(rewritten), parts(rewritten)
    last = next(n for n in rewritten.graph.node if n.name == "head.aspp.4")
    means = {"ReduceMean"}
    inside = [n for n in rewritten.graph.node if part[n.output[0]] == "head"]
    inside = inside[: inside.index(last) + 1]
    assert {n.op_type for n in inside if n.name not in half} == means
    casts = [
        sum(n.op_type == "Cast" for n in to_fp16(model).graph.node)
        for model in (original, rewritten)
    ]
    assert casts[0] == casts[1]


def test_int8_leaves_what_it_left(original, rewritten, ranges):
    """The rewrites add no convolution that INT8 would spoil, and take none from it."""
    before, after = place(Graph(original)), place(Graph(rewritten))
    assert {n.split("/")[0] for n in after.left} == set(before.left)
    assert {n.split("/")[0] for n in after.convolutions} == set(before.convolutions)
    for flavor in ("fp16", "fp32", "cpu"):
        for product in ("kept", "equalized"):
            assert (
                Int8(ranges=ranges, file=None, similarity=product)
                .apply(rewritten, flavor)
                .graph.node
            )


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_tensorrt_rtx_builds_it_with_the_planned_types(rewritten, ranges, exported, precision):
    pytest.importorskip("tensorrt_rtx")
    config = BuildConfig(precision=precision, runtime="tensorrt-rtx", compute_capability="8.6")
    int8 = Int8(ranges=ranges, file=exported.graph) if precision == "int8" else None
    plan = plan_of("tensorrt-rtx", rewritten, config, this_machine(), int8=int8)
    count = sum(n.op_type == "Conv" for n in rewritten.graph.node)
    types = {"fp32": {"fp32": count}, "fp16": {"fp16": count}}
    if int8:
        eight = len(int8.placement(rewritten, "fp16").convolutions)
        types["int8"] = {"int8": eight, "fp16": count - eight}
    expected = {f"convolutions_{kind}": n for kind, n in types[precision].items()}
    assert plan.layers == {"convolutions": count, "norms": 6, "norms_fp32": 6, **expected}
