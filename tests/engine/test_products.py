"""Products as convolutions and sums: the same answers, and what is left alone."""

import numpy as np
import onnxruntime
import pytest
import torch

from edgeseg.config import BuildConfig
from edgeseg.engine.products import without_products
from edgeseg.exporter.trace import trace
from edgeseg.graph.files import read_graph
from edgeseg.machine.facts import this_machine
from edgeseg.model.input_check import InputCheck
from edgeseg.quantize.fp16 import half_nodes, to_fp16
from tests.kit.hand_made import FLOAT, HALF, graph, node, one
from tests.kit.plans import plan_of

X = np.random.default_rng(0).normal(size=(2, 3, 5, 7)).astype(np.float32)


def run(model, feeds):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


def product(places, matrix, kind=FLOAT, shape=X.shape):
    return one("MatMul", inputs=places, shape=shape, kind=kind, constants={"w": matrix})


@pytest.mark.parametrize(("places", "size"), [(("x", "w"), (7, 4)), (("w", "x"), (4, 5))])
def test_a_constant_on_either_side(places, size):
    matrix = np.random.default_rng(1).normal(size=size).astype(np.float32)
    rewritten = without_products(product(places, matrix))
    assert [n.op_type for n in rewritten.graph.node] == ["Transpose", "Conv", "Transpose"]
    assert [n.name for n in rewritten.graph.node][1] == "it"
    assert [i.name for i in rewritten.graph.initializer] == ["it/weight"]
    expected = X @ matrix if places[0] == "x" else matrix @ X
    np.testing.assert_allclose(run(rewritten, {"x": X})[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("places", "size", "shape"),
    [
        (("w", "x"), (3, 4, 5), (2, 3, 5, 7)),
        (("x", "w"), (3, 5, 4), (3, 7, 5)),
        (("w", "x"), (4, 5), (2, 5, 7)),
        (("x", "w"), (7, 4), (2, 5, 7)),
        (("x", "w"), (7, 4), (5, 7)),
    ],
)
def test_a_product_in_blocks_becomes_a_sum(places, size, shape):
    matrices = np.random.default_rng(1).normal(size=size).astype(np.float32)
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    rewritten = without_products(product(places, matrices, shape=shape))
    assert [n.op_type for n in rewritten.graph.node] == ["Reshape", "Mul", "ReduceSum"]
    assert rewritten.graph.node[-1].name == "it"
    expected = x @ matrices if places[0] == "x" else matrices @ x
    np.testing.assert_allclose(run(rewritten, {"x": x})[0], expected, atol=1e-5)


def test_other_products_stay():
    both = graph(
        [node("MatMul", ["x", "z"], "y")], inputs={"x": (FLOAT, [1, 1, 4, 4]), "z": (FLOAT, [4, 4])}
    )
    vector = product(("x", "w"), np.ones((7, 4), np.float32), shape=[7])
    half = product(("x", "w"), np.ones((7, 4), np.float16), kind=HALF)
    for model in (both, vector, half):
        assert [n.op_type for n in without_products(model).graph.node] == ["MatMul"]


def test_the_exported_graph_answers_the_same(exported):
    model = read_graph(exported.graph)[0]
    products = [n.name for n in model.graph.node if n.op_type == "MatMul"]
    rewritten = without_products(model)
    assert products and not [n for n in rewritten.graph.node if n.op_type == "MatMul"]
    frame = np.random.default_rng(0).integers(0, 256, (1, 48, 80, 3), np.uint8)
    feeds = {"frame": frame, "threshold": np.array([0.5], np.float32)}
    for a, b in zip(run(model, feeds), run(rewritten, feeds), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_the_input_check_answers_the_same_and_is_built_for_turing():
    pytest.importorskip("tensorrt_rtx")
    module = InputCheck([3], (64, 64)).eval()
    for reference in (module.layout, module.features):
        reference.whitening.copy_(torch.rand_like(reference.whitening))

    class Check(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.check = module

        def forward(self, image):
            return self.check(image, [image[:, :, ::8, ::8]])

    image = torch.rand(1, 3, 64, 64) * 255
    model = trace(Check().eval(), (image,), ["image"], ["input_check"])
    assert [n for n in model.graph.node if n.op_type == "MatMul"]
    rewritten = without_products(model)
    assert not [n for n in rewritten.graph.node if n.op_type == "MatMul"]
    feeds = {"image": image.numpy()}
    np.testing.assert_allclose(run(rewritten, feeds)[0], run(model, feeds)[0], atol=1e-4)
    config = BuildConfig(precision="fp32", runtime="tensorrt-rtx", compute_capability="7.5")
    assert plan_of("tensorrt-rtx", model, config, this_machine()).target == "sm75"


def test_after_the_typing_they_stay_in_float(exported):
    model = read_graph(exported.graph)[0]
    products = {n.name for n in model.graph.node if n.op_type == "MatMul"} - half_nodes(model)
    assert len(products) == 4  # the resize of the frame and of the map; the head's are FP16
    weights = {i.name: i.data_type for i in without_products(to_fp16(model)).graph.initializer}
    assert {weights[f"{name}/weight"] for name in products} == {FLOAT}
