"""Explicit quantization: every step and level by hand, on graphs of a few nodes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from edgeseg.errors import ModelError
from edgeseg.quantize.calibration_file import Range, Ranges, write_ranges
from edgeseg.quantize.int8 import Int8, describe, quantize
from edgeseg.quantize.placement import measured, place
from tests.kit.tiny import WEIGHT, conv, graph_of, node, run, two_levels, types

FLAVORS = ("half", "float", "cpu")
Q, DQ = "QuantizeLinear", "DequantizeLinear"


def ranges(**limits):
    return Ranges(
        graph="tiny.onnx",
        graph_sha256="0" * 64,
        tensors={name: Range(float(limit)) for name, limit in limits.items()},
    )


def constants(model):
    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


def pointwise():
    """y = 1x1 convolution of x; output channel k multiplies input channel k by (k + 1) / 8."""
    weight = np.zeros((8, 8, 1, 1), np.float32)
    weight[np.arange(8), np.arange(8)] = (np.arange(8)[:, None, None] + 1) / 8
    weight[7] = [[[v]] for v in (1.27, -1.27, 0.64, 0.004, 0.006, 0, 0, 0)]
    bias = np.full(8, 100.25, np.float32)
    return graph_of([node("Conv", "x weight bias", "y")], {"weight": weight, "bias": bias}, "y")


@pytest.mark.parametrize("flavor", FLAVORS)
def test_values_are_rounded_and_clipped_to_127_steps(flavor):
    x = np.zeros((1, 8, 6, 6), np.float32)
    x[0, 0, 0, :6] = [3.4, 3.6, -3.6, 500, -500, 0.4]
    quantized = quantize(pointwise(), ranges(x=127), flavor=flavor)
    y = run(quantized, x)[0, 0, 0] - 100.25
    # Clips at -128, as the format does: its scale is for 127.
    np.testing.assert_allclose(y, np.array([3, 4, -4, 127, -128, 0]) / 8, rtol=2e-3, atol=1e-4)


def test_on_a_cpu_what_is_never_negative_has_255_steps():
    nodes = [node("Relu", "x", "r"), node("Conv", "r weight", "y")]
    weight = {"weight": np.eye(8, dtype=np.float32)[:, :, None, None]}
    x = np.zeros((1, 8, 6, 6), np.float32)
    x[0, 0, 0, :6] = [0.4, 0.6, 254.6, 300, -7, 128.2]
    quantized = quantize(graph_of(nodes, weight, "y"), ranges(r=255), flavor="cpu")
    np.testing.assert_allclose(run(quantized, x)[0, 0, 0], [0, 1, 255, 255, 0, 128], rtol=1e-6)
    found = constants(quantized)
    assert found["r/zero"].dtype == np.uint8 and found["r/zero"] == 0


def test_on_a_cpu_the_zero_of_other_tensors_is_in_the_middle():
    found = constants(quantize(pointwise(), ranges(x=127), flavor="cpu"))
    assert found["x/zero"].dtype == np.uint8 and found["x/zero"] == 128
    assert found["x/scale"] == 1.0


def test_on_a_cpu_the_bias_is_in_steps_of_the_products():
    quantized = quantize(pointwise(), ranges(x=127), flavor="cpu")
    found = constants(quantized)
    np.testing.assert_allclose(found["conv:y/bias/scale"], found["weight/scale"])
    levels = found["conv:y/bias/quantized"]
    assert levels.dtype == np.int32
    np.testing.assert_array_equal(levels, np.rint(100.25 / found["weight/scale"]))


@pytest.mark.parametrize("flavor", ["half", "float"])
def test_on_a_gpu_the_bias_stays(flavor):
    found = constants(quantize(pointwise(), ranges(x=127), flavor=flavor))
    bias = found["bias"]
    np.testing.assert_array_equal(bias, np.full(8, 100.25))


def test_a_bias_beside_dead_weights_fits_all_the_same():
    model = graph_of(
        [node("Conv", "x weight bias", "y")],
        {"weight": np.zeros((8, 8, 1, 1), np.float32), "bias": np.full(8, 100.25, np.float32)},
        "y",
    )
    y = run(quantize(model, ranges(x=1e-3), flavor="cpu"), np.zeros((1, 8, 6, 6), np.float32))
    np.testing.assert_allclose(y, 100.25, rtol=1e-6)


@pytest.mark.parametrize("flavor", ["half", "cpu"])
def test_weights_have_a_scale_for_each_output_channel(flavor):
    found = constants(quantize(pointwise(), ranges(x=127), flavor=flavor))
    levels = found["weight/quantized"]
    scale = found["weight/scale" if flavor == "cpu" else "weight/scale/half"]
    assert levels.dtype == np.int8 and levels.shape == (8, 8, 1, 1)
    np.testing.assert_allclose(scale[:7], np.arange(1, 8) / 8 / 127, rtol=1e-3)
    assert scale[7] == pytest.approx(0.01, rel=1e-3)
    np.testing.assert_array_equal(levels[:7, :7, 0, 0], 127 * np.eye(7))
    np.testing.assert_array_equal(levels[7].ravel(), [127, -127, 64, 0, 1, 0, 0, 0])
    np.testing.assert_array_equal(found["weight/zero"], np.zeros(8, np.int8))


def test_a_tensor_without_values_has_a_step():
    model = graph_of([conv("x", "y")], {"weight": WEIGHT}, "y")
    for flavor in FLAVORS:
        found = constants(quantize(model, ranges(x=0), flavor=flavor))
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


@pytest.mark.parametrize("flavor", ["half", "float"])
def test_one_pair_for_a_tensor_however_many_read_it(flavor):
    quantized = quantize(residual(), ranges(**LIMITS), flavor=flavor)
    kinds = [n.op_type for n in quantized.graph.node]
    assert kinds.count(Q) == 4 + (flavor == "float")  # the weight, which four convolutions share
    assert kinds.count(DQ) == 5
    reads = {n.name: list(n.input) for n in quantized.graph.node}
    assert reads["conv:c"][0] == reads["add:f"][1] == "b/dequantized"
    assert reads["add:f"][0] == "e"
    assert {reads[f"conv:{t}"][1] for t in "aceh"} == {"weight/dequantized"}
    assert reads["relu:b"] == ["a"]


def test_on_a_cpu_both_sides_of_an_addition_have_their_pair():
    quantized = quantize(residual(), ranges(**LIMITS, e=1), flavor="cpu")
    reads = {n.name: list(n.input) for n in quantized.graph.node}
    assert reads["add:f"] == ["e/dequantized", "b/dequantized"]
    assert reads["conv:c"][0] == "b/dequantized"


@pytest.mark.parametrize("flavor", ["half", "float"])
def test_scales_and_types(flavor):
    quantized = quantize(residual(), ranges(**LIMITS), flavor=flavor)
    found, kind = constants(quantized), types(quantized)
    half = flavor == "half"
    float_type = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    for tensor in "xbdg":
        assert kind[f"{tensor}/quantized"] == TensorProto.INT8
        assert kind[f"{tensor}/dequantized"] == float_type
        scale = found[f"{tensor}/scale" + half * "/half"]
        assert scale.shape == () and found[f"{tensor}/zero"] == np.int8(0)
        assert scale == pytest.approx(LIMITS[tensor] / 127, rel=1e-3)
    assert kind["weight/dequantized"] == float_type
    assert ("weight" in found) is (flavor == "float")
    assert all(kind[t] == float_type for t in "abcdefgh")
    assert kind["y"] == TensorProto.FLOAT
    pairs = [n for n in quantized.graph.node if n.op_type in (Q, DQ)]
    axes = {n.name: [a.i for a in n.attribute] for n in pairs}
    assert axes.pop("weight/dequantized") == [0]
    axes.pop("weight/quantized", None)
    assert set(map(tuple, axes.values())) == {()}


@pytest.mark.parametrize("flavor", FLAVORS)
def test_the_answers_stay_near(flavor):
    x = np.random.default_rng(1).uniform(-1, 1, (1, 8, 6, 6)).astype(np.float32)
    expected = run(residual(), x)
    y = run(quantize(residual(), ranges(**EVERY), flavor=flavor), x)
    error = np.abs(y - expected).max() / np.abs(expected).max()
    assert 1e-5 < error < 0.03


def test_inputs_outputs_metadata_and_the_graph_that_was_given_stay(exported):
    model = onnx.load(exported.graph)
    before = model.SerializeToString()
    limits = ranges(**dict.fromkeys(measured(model), 4.0))
    quantized = quantize(model, limits)
    assert model.SerializeToString() == before
    assert list(quantized.graph.input) == list(model.graph.input)
    assert [o.name for o in quantized.graph.output] == [o.name for o in model.graph.output]
    kinds = types(quantized)
    assert kinds["mask"] == TensorProto.UINT8 and kinds["score"] == TensorProto.FLOAT
    assert list(quantized.metadata_props) == list(model.metadata_props)
    assert [o.version for o in quantized.opset_import] == [o.version for o in model.opset_import]
    assert quantized.ByteSize() < 0.35 * model.ByteSize()


def test_unit_vectors_and_what_follows_the_head_are_as_they_were(exported):
    model = onnx.load(exported.graph)
    quantized = quantize(model, ranges(**dict.fromkeys(measured(model), 4.0)), product="equalized")
    convolutions = {n.name for n in model.graph.node if n.op_type in ("Conv", "Add", "Clip")}
    exempt = convolutions | {n.name for n in model.graph.node if n.op_type in ("Relu", "Concat")}
    given = {n.name: n for n in quantized.graph.node}
    for old in model.graph.node:
        if old.name not in exempt:
            assert not any("quantized" in name for name in given[old.name].input), old.name


@pytest.mark.parametrize("flavor", FLAVORS)
def test_a_kept_convolution_reads_what_it_read(flavor):
    keep = frozenset({"conv:c"})
    quantized = quantize(residual(), ranges(**EVERY), keep=keep, flavor=flavor)
    reads = {n.name: list(n.input) for n in quantized.graph.node}
    half = "/half" if flavor == "half" else ""
    assert reads["conv:c"] == ["b", f"weight{half}"]
    assert reads["add:f"] == ["e" + "/dequantized" * (flavor == "cpu"), "b/dequantized"]


def test_all_kept_is_the_graph_itself():
    keep = frozenset({"conv:a", "conv:c", "conv:e", "conv:h"})
    quantized = quantize(residual(), ranges(), keep=keep, flavor="cpu")
    assert [n.op_type for n in quantized.graph.node] == [n.op_type for n in residual().graph.node]


def test_a_tensor_that_was_not_measured():
    with pytest.raises(ModelError, match="lack the tensor d"):
        quantize(residual(), ranges(x=1, b=1, g=1))


def test_an_equalized_product_keeps_what_one_scale_loses():
    model = two_levels(shallow=0.0)  # the head reads the faint level alone
    x = np.random.default_rng(3).normal(0, 1, (1, 8, 6, 6)).astype(np.float32)
    keep = frozenset(place(model).convolutions)  # of all convolutions, those of the product
    limits = {"p1": 0.8, "p2_large": 0.04, "cat": 0.8, "b4": 0.05}
    outputs = {}
    for faint in (0.8, 0.04):  # measured as large as the other, it is not equalized
        given = ranges(**limits | {"p2_large": faint})
        quantized = quantize(model, given, keep=keep, flavor="cpu", product="equalized")
        outputs[faint] = run(quantized, x)
    expected = run(model, x)
    errors = {faint: np.abs(y - expected).max() for faint, y in outputs.items()}
    assert errors[0.04] < errors[0.8] / 4


def test_the_cards_words(tmp_path):
    model = two_levels()
    path = tmp_path / "screws.ranges.json"
    write_ranges(path, ranges(**dict.fromkeys(measured(model), 1.0)))
    given = ranges(**dict.fromkeys(measured(model), 1.0))
    int8 = Int8(ranges=given, file=path, keep=frozenset({"conv:t2"}))
    document = int8.to_json(model, "half")
    assert document == {
        "ranges": "screws.ranges.json",
        "ranges_sha256": document["ranges_sha256"],
        "flavor": "half",
        "product": "kept",
        "convolutions": 4,
        "left_alone": {
            "conv:b1": "product",
            "conv:b4": "product",
            "conv:logits": "output",
            "conv:t2": "kept",
        },
        "quantize": 3,
        "dequantize": 4,
    }
    assert int8.to_json(model, "float")["quantize"] == 4
    assert describe(document) == (
        "4 convolutions, 3 QuantizeLinear, 4 DequantizeLinear, product kept, ranges "
        f"screws.ranges.json ({document['ranges_sha256'][:12]}); left alone: kept 1, output 1, "
        "product 2"
    )
