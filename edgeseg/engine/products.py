"""Matrix products with a constant, without GEMM: what TensorRT-RTX needs for Turing.

TensorRT-RTX 1.7.1 builds no FP32 GEMM for compute capability 7.5 ("FP32 GEMM is not supported").
It builds FP32 convolutions there, and sums: the axis that a product sums over becomes the channels.

    x [a, b, c, K] @ w [K, M]        =  swap(convolve(swap(x), w.T))      swap: axes 1 and 3
    w [M, K] @ x [a, b, K, d]        =  swap(convolve(swap(x), w))        swap: axes 1 and 2

The products of `model/pixels/` and of the input check have few terms. They are multiplied and
summed, which TensorRT-RTX fuses with what is around them; as convolutions of g groups it would
multiply zeros.

    w [g, M, K] @ x [a, g, K, d]     =  sum(w [g, M, K, 1] * x [a, g, 1, K, d], axis 3)
    w [M, K] @ x [a, K, d]           =  sum(w [M, K, 1] * x [a, 1, K, d], axis 2)
    x [g, c, K] @ w [g, K, M]        =  sum(x [g, c, 1, K] * w.T [g, 1, M, K], axis 3)
    x [a, c, K] @ w [K, M]           =  sum(x [a, c, 1, K] * w.T [1, M, K], axis 3)
    x [a, K] @ w [K, M]              =  sum(x [a, 1, K] * w.T [1, M, K], axis 2)
"""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import ModelProto

from edgeseg.graph.graph import Graph, constant, name_of, shape

SWAPS = {0: [0, 2, 1, 3], 1: [0, 3, 2, 1]}  # by the constant's place among the inputs


def without_products(model: ModelProto) -> ModelProto:
    """Return the graph with FP32 products of a tensor and constant matrices rewritten.

    The convolutions and sums keep the products' names; other products stay as they are.
    """
    graph = Graph(model)
    for node in graph.of("MatMul"):
        matrices = [constant(tensor) for tensor in node.inputs]
        place = 0 if matrices[0] is not None else 1
        matrix, data = matrices[place], node.inputs[1 - place]
        if matrix is None or data is None or matrix.dtype != np.float32:
            continue
        sizes = shape(data)
        if (matrix.ndim, len(sizes)) == (2, 4):
            _convolve(graph, node, data, matrix if place == 0 else matrix.T, SWAPS[place])
        elif place == 0 and (matrix.ndim, len(sizes)) in ((3, 4), (2, 3)):
            apart = [*sizes[:-2], 1, *sizes[-2:]]
            _sum(graph, node, data, matrix[..., None], apart, axis=len(sizes) - 1)
        elif place == 1 and (matrix.ndim, len(sizes)) in ((3, 3), (2, 3), (2, 2)):
            factors = np.expand_dims(matrix.swapaxes(-1, -2), -3)
            _sum(graph, node, data, factors, [*sizes[:-1], 1, sizes[-1]], axis=len(sizes))
    return graph.to_proto()


def _convolve(
    graph: Graph, node: ir.Node, data: ir.Value, matrix: NDArray[np.float32], swap: list[int]
) -> None:
    name = name_of(node)
    weight = graph.add_constant(f"{name}/weight", matrix[:, :, None, None])
    turned = graph.add_node("Transpose", [data], f"{name}/channels", before=node, perm=swap)
    sums = graph.add_node("Conv", [turned, weight], f"{name}/sums", before=node)
    graph.by_name[f"{name}/sums"].name, node.name = name, f"{name}/back"
    node.op_type = "Transpose"
    node.resize_inputs(1)
    node.replace_input_with(0, sums)
    node.attributes["perm"] = ir.AttrInt64s("perm", swap)


def _sum(
    graph: Graph,
    node: ir.Node,
    data: ir.Value,
    factors: NDArray[np.float32],
    sizes: list[int],
    *,
    axis: int,
) -> None:
    name = name_of(node)
    target = graph.add_constant(f"{name}/shape", np.array(sizes))
    terms = graph.add_node("Reshape", [data, target], f"{name}/terms", before=node)
    weight = graph.add_constant(f"{name}/weight", factors)
    products = graph.add_node("Mul", [terms, weight], f"{name}/products", before=node)
    node.op_type = "ReduceSum"
    node.replace_input_with(0, products)
    node.replace_input_with(1, graph.add_constant(f"{name}/axis", np.array([axis])))
    node.attributes["keepdims"] = ir.AttrInt64("keepdims", 0)
