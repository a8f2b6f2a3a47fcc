"""Explicit quantization: every step and level by hand, on graphs of a few nodes."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from edgeseg.errors import ModelError
from edgeseg.graph.files import read_graph
from edgeseg.graph.graph import Graph
from edgeseg.quantize.calibration_file import Range, Ranges, write_ranges
from edgeseg.quantize.int8 import Int8, describe
from edgeseg.quantize.placement import measured, place
from tests.kit.errors import fails
from tests.kit.tiny import WEIGHT, conv, graph_of, node, run, two_levels, types

STYLES = ("fp16", "fp32", "cpu")
Q, DQ = "QuantizeLinear", "DequantizeLinear"


def ranges(**limits):
    return Ranges(
        graph="tiny.onnx",
        graph_sha256="0" * 64,
        tensors={name: Range(float(limit)) for name, limit in limits.items()},
    )


def quantize(model, ranges, style="fp16", **options):
    return Int8(ranges=ranges, file=Path("x.json"), **options).apply(model, style)


def properties(model):
    return {p.key: p.value for p in model.metadata_props}


def constants(model):
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def pointwise():
    """y = 1x1 convolution of x; output channel k multiplies input channel k by (k + 1) / 8."""
    weight = np.zeros((8, 8, 1, 1), np.float32)
    weight[np.arange(8), np.arange(8)] = (np.arange(8)[:, None, None] + 1) / 8
    weight[7] = [[[v]] for v in (1.27, -1.27, 0.64, 0.004, 0.006, 0, 0, 0)]
    bias = np.full(8, 100.25, np.float32)
    return graph_of([node("Conv", "x weight bias", "y")], {"weight": weight, "bias": bias}, "y")


@pytest.mark.parametrize("style", STYLES)
def test_values_are_rounded_and_clipped_to_127_steps(style):
    x = np.zeros((1, 8, 6, 6), np.float32)
    x[0, 0, 0, :6] = [3.4, 3.6, -3.6, 500, -500, 0.4]
    quantized = quantize(pointwise(), ranges(x=127), style=style)
    y = run(quantized, x)[0, 0, 0] - 100.25
    # Clips at -128, as the format does: its scale is for 127.
    np.testing.assert_allclose(y, np.array([3, 4, -4, 127, -128, 0]) / 8, rtol=2e-3, atol=1e-4)


def test_on_a_cpu_what_is_never_negative_has_255_steps():
    nodes = [node("Relu", "x", "r"), node("Conv", "r weight", "y")]
    weight = {"weight": np.eye(8, dtype=np.float32)[:, :, None, None]}
    x = np.zeros((1, 8, 6, 6), np.float32)
    x[0, 0, 0, :6] = [0.4, 0.6, 254.6, 300, -7, 128.2]
    quantized = quantize(graph_of(nodes, weight, "y"), ranges(r=255), style="cpu")
    np.testing.assert_allclose(run(quantized, x)[0, 0, 0], [0, 1, 255, 255, 0, 128], rtol=1e-6)
    found = constants(quantized)
    assert found["r/zero"].dtype == np.uint8 and found["r/zero"] == 0


def test_on_a_cpu_the_zero_of_other_tensors_is_in_the_middle():
    found = constants(quantize(pointwise(), ranges(x=127), style="cpu"))
    assert found["x/zero"].dtype == np.uint8 and found["x/zero"] == 128
    assert found["x/scale"] == 1.0


def test_on_a_cpu_the_bias_is_in_steps_of_the_products():
    quantized = quantize(pointwise(), ranges(x=127), style="cpu")
    found = constants(quantized)
    np.testing.assert_allclose(found["conv:y/bias/scale"], found["weight/scale"])
    levels = found["conv:y/bias/quantized"]
    assert levels.dtype == np.int32
    np.testing.assert_array_equal(levels, np.rint(100.25 / found["weight/scale"]))


@pytest.mark.parametrize("style", ["fp16", "fp32"])
def test_on_a_gpu_the_bias_stays(style):
    found = constants(quantize(pointwise(), ranges(x=127), style=style))
    bias = found["bias"]
    np.testing.assert_array_equal(bias, np.full(8, 100.25))


def test_a_bias_beside_dead_weights_fits_all_the_same():
    model = graph_of(
        [node("Conv", "x weight bias", "y")],
        {"weight": np.zeros((8, 8, 1, 1), np.float32), "bias": np.full(8, 100.25, np.float32)},
        "y",
    )
    y = run(quantize(model, ranges(x=1e-3), style="cpu"), np.zeros((1, 8, 6, 6), np.float32))
    np.testing.assert_allclose(y, 100.25, rtol=1e-6)


@pytest.mark.parametrize("style", ["fp16", "cpu"])
def test_weights_have_a_scale_for_each_output_channel(style):
    found = constants(quantize(pointwise(), ranges(x=127), style=style))
    levels = found["weight/quantized"]
    scale = found["weight/scale" if style == "cpu" else "weight/scale/fp16"]
    assert levels.dtype == np.int8 and levels.shape == (8, 8, 1, 1)
    np.testing.assert_allclose(scale[:7], np.arange(1, 8) / 8 / 127, rtol=1e-3)
    assert scale[7] == pytest.approx(0.01, rel=1e-3)
    np.testing.assert_array_equal(levels[:7, :7, 0, 0], 127 * np.eye(7))
    np.testing.assert_array_equal(levels[7].ravel(), [127, -127, 64, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(found["weight/zero"], np.zeros(8, np.int8))


def test_a_tensor_without_values_has_a_step():
    model = graph_of([conv("x", "y")], {"weight": WEIGHT}, "y")
    for style in STYLES:
        found = constants(quantize(model, ranges(x=0), style=style))
        scales = [value for name, value in found.items() if "scale" in name]
        assert len(scales) == 2 and all((scale > 0).all() for scale in scales)


def residual():
    """x -> a -> relu b -> conv c -> relu d -> conv e; relu(e + b) -> conv h -> sigmoid y."""
    nodes = [
        *(conv("x", "a"), node("Relu", "a", "b"), conv("b", "c"), node("Relu", "c", "d")),
        *(conv("d", "e"), node("Add", "e b", "f"), node("Relu", "f", "g"), conv("g", "h")),
        node("Sigmoid", "h", "y"),
    ]
    return graph_of(nodes, {"weight": WEIGHT}, "y")


LIMITS = {"x": 1, "b": 1.5, "d": 1, "g": 2}
EVERY = LIMITS | {"e": 1.5}


@pytest.mark.parametrize("style", ["fp16", "fp32"])
def test_one_pair_for_a_tensor_however_many_read_it(style):
    quantized = quantize(residual(), ranges(**LIMITS), style=style)
    kinds = [n.op_type for n in quantized.graph.node]
    assert kinds.count(Q) == 4 + (style == "fp32")  # the weight, which four convolutions share
    assert kinds.count(DQ) == 5
    reads = {n.name: list(n.input) for n in quantized.graph.node}
    assert reads["conv:c"][0] == reads["add:f"][1] == "b/dequantized"
    assert reads["add:f"][0] == "e"
    assert {reads[f"conv:{t}"][1] for t in "aceh"} == {"weight/dequantized"}
    assert reads["relu:b"] == ["a"]


def test_on_a_cpu_both_sides_of_an_addition_have_their_pair():
    quantized = quantize(residual(), ranges(**LIMITS, e=1), style="cpu")
    reads = {n.name: list(n.input) for n in quantized.graph.node}
    assert reads["add:f"] == ["e/dequantized", "b/dequantized"]
    assert reads["conv:c"][0] == "b/dequantized"


@pytest.mark.parametrize("style", ["fp16", "fp32"])
def test_scales_and_types(style):
    quantized = quantize(residual(), ranges(**LIMITS), style=style)
    found, kind = constants(quantized), types(quantized)
    half = style == "fp16"
    float_type = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    for tensor in "xbdg":
        assert kind[f"{tensor}/quantized"] == TensorProto.INT8
        assert kind[f"{tensor}/dequantized"] == float_type
        scale = found[f"{tensor}/scale" + half * "/fp16"]
        assert scale.shape == () and found[f"{tensor}/zero"] == np.int8(0)
        assert scale == pytest.approx(LIMITS[tensor] / 127, rel=1e-3)
    assert kind["weight/dequantized"] == float_type
    assert ("weight" in found) is (style == "fp32")
    assert all(kind[t] == float_type for t in "abcdefgh")
    assert kind["y"] == TensorProto.FLOAT
    pairs = [n for n in quantized.graph.node if n.op_type in (Q, DQ)]
    axes = {n.name: [a.i for a in n.attribute] for n in pairs}
    assert axes.pop("weight/dequantized") == [0]
    axes.pop("weight/quantized", None)
    assert set(map(tuple, axes.values())) == {()}


@pytest.mark.parametrize("style", STYLES)
def test_the_answers_stay_near(style):
    x = np.random.default_rng(1).uniform(-1, 1, (1, 8, 6, 6)).astype(np.float32)
    expected = run(residual(), x)
    y = run(quantize(residual(), ranges(**EVERY), style=style), x)
    error = np.abs(y - expected).max() / np.abs(expected).max()
    assert 1e-5 < error < 0.03


def test_inputs_outputs_metadata_and_the_graph_that_was_given_stay(exported):
    model = read_graph(exported.graph)[0]
    before = model.SerializeToString()
    limits = ranges(**dict.fromkeys(measured(Graph(model)), 4.0))
    quantized = quantize(model, limits)
    assert model.SerializeToString() == before
    assert list(quantized.graph.input) == list(model.graph.input)
    assert [o.name for o in quantized.graph.output] == [o.name for o in model.graph.output]
    kinds = types(quantized)
    assert kinds["mask"] == TensorProto.UINT8 and kinds["score"] == TensorProto.FLOAT
    assert properties(quantized) == properties(model)
    assert [o.version for o in quantized.opset_import] == [o.version for o in model.opset_import]
    assert quantized.ByteSize() < 0.35 * model.ByteSize()


def test_unit_vectors_and_what_follows_the_head_are_as_they_were(exported):
    model = read_graph(exported.graph)[0]
    quantized = quantize(
        model, ranges(**dict.fromkeys(measured(Graph(model)), 4.0)), similarity="equalized"
    )
    convolutions = {n.name for n in model.graph.node if n.op_type in ("Conv", "Add", "Clip")}
    exempt = convolutions | {n.name for n in model.graph.node if n.op_type in ("Relu", "Concat")}
    given = {n.name: n for n in quantized.graph.node}
    for old in model.graph.node:
        if old.name not in exempt:
            assert not any("quantized" in name for name in given[old.name].input), old.name


@pytest.mark.parametrize("style", STYLES)
def test_a_kept_convolution_reads_what_it_read(style):
    keep = frozenset({"conv:c"})
    quantized = quantize(residual(), ranges(**EVERY), keep=keep, style=style)
    reads = {n.name: list(n.input) for n in quantized.graph.node}
    half = "/fp16" if style == "fp16" else ""
    assert reads["conv:c"] == ["b", f"weight{half}"]
    assert reads["add:f"] == ["e" + "/dequantized" * (style == "cpu"), "b/dequantized"]


def test_all_kept_is_the_graph_itself():
    keep = frozenset({"conv:a", "conv:c", "conv:e", "conv:h"})
    quantized = quantize(residual(), ranges(), keep=keep, style="cpu")
    assert [n.op_type for n in quantized.graph.node] == [n.op_type for n in residual().graph.node]


def test_a_tensor_that_was_not_measured():
    with fails(ModelError, "model/no-range"):
        quantize(residual(), ranges(x=1, b=1, g=1))


def test_an_equalized_product_keeps_what_one_scale_loses():
    model = two_levels(shallow=0.0)  # the head reads the faint level alone
    x = np.random.default_rng(3).normal(0, 1, (1, 8, 6, 6)).astype(np.float32)
    keep = frozenset(place(Graph(model)).convolutions)  # of all convolutions, those of the product
    limits = {"p1": 0.8, "p2_large": 0.04, "cat": 0.8, "b4": 0.05}
    outputs = {}
    for faint in (0.8, 0.04):  # measured as large as the other, it is not equalized
        given = ranges(**limits | {"p2_large": faint})
        quantized = quantize(model, given, keep=keep, style="cpu", similarity="equalized")
        outputs[faint] = run(quantized, x)
    expected = run(model, x)
    errors = {faint: np.abs(y - expected).max() for faint, y in outputs.items()}
    assert errors[0.04] < errors[0.8] / 4


def test_the_cards_words(tmp_path):
    model = two_levels()
    path = tmp_path / "screws.ranges.json"
    write_ranges(path, ranges(**dict.fromkeys(measured(Graph(model)), 1.0)))
    given = ranges(**dict.fromkeys(measured(Graph(model)), 1.0))
    int8 = Int8(ranges=given, file=path, keep=frozenset({"teacher.t2"}))
    document = int8.to_json(model, "fp16")
    assert document == {
        "ranges": "screws.ranges.json",
        "ranges_sha256": document["ranges_sha256"],
        "style": "fp16",
        "similarity": "kept",
        "convolutions": 4,
        "activations": 3,
        "left": {
            "head.b1": "similarity",
            "head.b4": "similarity",
            "head.logits": "output",
            "teacher.t2": "kept",
        },
    }
    assert describe(document) == (
        "4 convolutions and 3 activations in INT8, similarity kept, calibration file "
        f"screws.ranges.json ({document['ranges_sha256'][:12]}); not quantized: 1 kept, 1 output, "
        "2 similarity"
    )
