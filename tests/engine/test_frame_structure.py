"""What TensorRT-RTX builds of the ends of a graph: frames of 1920 x 1080 in, masks out.

The engines were built, not run: there is no GPU.
"""

import pytest

from edgeseg.config import ExportConfig
from edgeseg.engine.layers import read_types
from edgeseg.exporter.export import export_graph
from edgeseg.graph.files import read_graph
from edgeseg.graph.graph import Graph
from edgeseg.graph.modules import node_macs
from tests.engine.test_structure import build
from tests.kit.deploy import toy_backend

HEIGHT, WIDTH = 1080, 1920
SIDE = 256  # of the network
# precision, compute capability -> what the products of the resize read, and their kernels
EXPECTED = {("fp16", "8.6"): ("FP16", "gemm"), ("fp32", "7.5"): ("FP32", "kgen")}


@pytest.fixture(scope="module", params=["bgr", "nv12", "bayer_rggb"])
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("frames") / "toy.onnx"
    kind, size = request.param, (HEIGHT, WIDTH)
    with toy_backend(frame_format=kind, frame_size=size, side=SIDE) as backend:
        return read_graph(export_graph(backend, path, ExportConfig()).graph)[0]


@pytest.fixture(scope="module", params=EXPECTED, ids="-".join)
def built(request, model):
    return build(model, *request.param)


def test_no_product_is_dense(model):
    """The product with the whole matrix of the rows has 1.6e9 MACs for three channels."""
    macs = node_macs(Graph(model))
    dense = SIDE * HEIGHT * WIDTH
    resize = sum(count for name, count in macs.items() if name.startswith("resize."))
    assert 0 < resize < 0.25 * dense
    assert macs["mask.rows"] + macs["mask.columns"] < 0.03 * dense


def test_the_resize_has_the_type_of_the_engine(built):
    wanted, kind = EXPECTED[built.precision, built.capability]
    types = read_types(built.model, built.layers).products
    assert len(types) in (2, 4, 8) and set(types.values()) == {wanted}  # 1, 2, 4 parts
    for name in types:
        assert kind in {layer.kind for layer in built.layers if name in layer.nodes}


def test_the_frame_is_read_by_one_kernel_and_the_mask_written_by_one(built):
    readers = [layer for layer in built.layers if "UInt8" in layer.inputs]
    writers = [layer for layer in built.layers if "UInt8" in layer.outputs]
    assert len(readers) == len(writers) == 1
