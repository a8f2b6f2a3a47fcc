"""The command inspect: MACs and parameters of each module, of a file and of a run."""

import json

import numpy as np
import pytest

from edgeseg.errors import ModelError
from edgeseg.exporter.inspect import inspect_model, module_sizes
from edgeseg.graph.files import read_graph
from tests.kit.errors import fails
from tests.kit.hand_made import graph, node, quantized


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
    sizes = module_sizes(model)
    convolution = 8 * 8 * 9 * 16 * 16
    assert sizes["head"].gmac == pytest.approx(2 * convolution / 1e9)
    assert sizes["head"].parameters_m == pytest.approx((8 * 8 * 9 + 8) / 1e6)  # shared: once
    assert sizes["rest"].gmac == pytest.approx(8 * 16 * 16 * 4 / 1e9)
    assert sizes["rest"].parameters_m == pytest.approx(16 * 4 / 1e6)
    assert sizes["total"].gmac == pytest.approx(sizes["head"].gmac + sizes["rest"].gmac)
    assert sizes["total"].parameters_m == pytest.approx((584 + 64) / 1e6)


def test_of_a_quantized_graph_the_levels_count_and_the_scales_do_not():
    sizes = module_sizes(quantized(bias=True))
    assert sizes["total"].parameters_m == pytest.approx((8 * 8 * 9 + 8) / 1e6)


def test_inspect_model_of_a_file(exported):
    found = inspect_model(exported.graph)
    assert found.sizes == module_sizes(read_graph(exported.graph)[0])
    text = found.summary()
    assert "64 x 64" in text and "bgr" in text and "similarity" in text
    assert json.loads(json.dumps(found.to_json()))["modules"]["head"]["gmac"] > 1


def test_inspect_model_of_a_run_is_that_of_its_graph(run, exported):
    assert inspect_model(run).sizes == inspect_model(exported.graph).sizes


def test_an_engine_without_shapes_needs_its_graph(exported, tmp_path):
    plan = tmp_path / "screws-fp16-rtx-sm86.engine"
    plan.write_bytes(b"plan")
    with fails(ModelError, "model/no-shapes") as caught:
        inspect_model(plan)
    assert caught.value.remedy.startswith("--graph")
    found = inspect_model(plan, graph=exported.graph)
    assert found.path == plan and found.sizes == inspect_model(exported.graph).sizes
