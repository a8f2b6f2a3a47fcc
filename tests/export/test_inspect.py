"""Inspect: work and numbers of each part, of a file as it is, of a run before and after."""

import dataclasses
import json

import numpy as np
import onnx
import pytest

from edgeseg.cards import card_from_metadata, metadata_from
from edgeseg.errors import ModelError
from edgeseg.export.exact import rewrite
from edgeseg.export.inspect import inspect_model, part_sizes
from tests.kit.hand_made import graph, node, quantized


@pytest.fixture(scope="session")
def of_the_run(run):
    return inspect_model(run)


def test_sizes_by_hand():
    model = graph(
        [
            node("Conv", ["x", "w", "b"], "t", "head.a", pads=[1] * 4),
            node("Conv", ["t", "w"], "u", "head.b", pads=[1] * 4),
            node("MatMul", ["u", "m"], "v", "resize"),
            node("Reshape", ["v", "shape"], "y"),
        ],
        constants={
            "w": np.ones((8, 8, 3, 3), np.float32),
            "b": np.ones(8, np.float32),
            "m": np.ones((16, 4), np.float32),
            "shape": np.array([1, 8, 64]),
        },
    )
    sizes = part_sizes(model)
    convolution = 8 * 8 * 9 * 16 * 16
    assert sizes["head"].gmac == pytest.approx(2 * convolution / 1e9)
    assert sizes["head"].parameters_m == pytest.approx((8 * 8 * 9 + 8) / 1e6)  # shared: once
    assert sizes["rest"].gmac == pytest.approx(8 * 16 * 16 * 4 / 1e9)
    assert sizes["rest"].parameters_m == pytest.approx(16 * 4 / 1e6)
    assert sizes["total"].gmac == pytest.approx(sizes["head"].gmac + sizes["rest"].gmac)
    assert sizes["total"].parameters_m == pytest.approx((584 + 64) / 1e6)


def test_of_a_quantized_graph_the_levels_count_and_the_scales_do_not():
    sizes = part_sizes(quantized(bias=True))
    assert sizes["total"].parameters_m == pytest.approx((8 * 8 * 9 + 8) / 1e6)


def test_a_file_is_what_it_is(exported):
    found = inspect_model(exported.graph)
    assert list(found.states) == ["graph"] and found.rewrites == ()
    assert found.states["graph"] == part_sizes(onnx.load(exported.graph))
    text = found.summary()
    assert "rewrites    none" in text and "64 x 64" in text and "bgr" in text
    assert json.loads(json.dumps(found.to_json()))["states"]["graph"]["head"]["gmac"] > 1


def test_a_run_is_shown_before_and_after(of_the_run, exported):
    before, after = of_the_run.states.values()
    assert list(of_the_run.states) == ["traced", "exported"]
    assert before == part_sizes(onnx.load(exported.graph))
    assert of_the_run.rewrites == ("pooled", "taps")
    assert {part for part in before if before[part] != after[part]} == {"head", "total"}
    assert after["total"].gmac < 0.9 * before["total"].gmac
    share = 1 - after["total"].gmac / before["total"].gmac
    assert f"multiplies and accumulates {share:.1%} less" in of_the_run.summary()


def test_a_rewritten_file_shows_what_the_run_promised(of_the_run, exported, tmp_path):
    model, done = rewrite(onnx.load(exported.graph), ("pooled", "taps"))
    card = dataclasses.replace(exported.card, rewrites=done)
    onnx.helper.set_model_props(model, metadata_from(card))
    onnx.save(model, tmp_path / "screws.onnx")
    found = inspect_model(tmp_path / "screws.onnx")
    assert found.rewrites == done
    assert found.states["graph"] == of_the_run.states["exported"]


def test_a_graph_from_before_there_were_rewrites(exported, tmp_path):
    model = onnx.load(exported.graph)
    props = {p.key: p.value for p in model.metadata_props if p.key != "edgeseg.rewrites"}
    assert card_from_metadata(props, exported.graph).rewrites is None
    onnx.helper.set_model_props(model, props)
    onnx.save(model, tmp_path / "old.onnx")
    assert "rewrites    unknown" in inspect_model(tmp_path / "old.onnx").summary()


def test_an_engine_without_shapes_needs_its_graph(exported, tmp_path):
    plan = tmp_path / "screws-fp16-rtx-sm86.engine"
    plan.write_bytes(b"plan")
    with pytest.raises(ModelError, match="names its layers and not their shapes") as caught:
        inspect_model(plan)
    assert caught.value.remedy.startswith("--graph")
    found = inspect_model(plan, graph=exported.graph)
    assert found.path == plan and found.states == inspect_model(exported.graph).states
