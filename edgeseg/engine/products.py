"""Matrix products with a constant, as 1x1 convolutions: what TensorRT-RTX wants for Turing.

TensorRT-RTX 1.7.1 builds no FP32 GEMM for compute capability 7.5 ("FP32 GEMM is not supported") and
builds FP32 convolutions there. Both compute the same sums: the axis that the product sums over
becomes the channels.

    x [a, b, c, K] @ w [K, M]  =  swap(convolve(swap(x), w.T))      swap: axes 1 and 3
    w [M, K] @ x [a, b, K, d]  =  swap(convolve(swap(x), w))        swap: axes 1 and 2
"""

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.graph.rewrite import checked, replace_nodes

SWAPS = {0: [0, 2, 1, 3], 1: [0, 3, 2, 1]}  # by the constant's place among the inputs


def as_convolutions(model: ModelProto) -> ModelProto:
    """Return the graph with FP32 products of a 4-D tensor and a constant matrix rewritten.

    The convolutions keep the products' names; other products stay as they are.
    """
    rewritten = ModelProto()
    rewritten.CopyFrom(model)
    graph = rewritten.graph
    matrices = {
        i.name: numpy_helper.to_array(i)
        for i in graph.initializer
        if i.data_type == TensorProto.FLOAT and len(i.dims) == 2
    }
    ranks = {v.name: len(v.type.tensor_type.shape.dim) for v in (*graph.value_info, *graph.input)}
    nodes: list[NodeProto] = []
    weights: list[TensorProto] = []
    for node in graph.node:
        place = next((k for k, name in enumerate(node.input) if name in matrices), None)
        if node.op_type != "MatMul" or place is None or ranks.get(node.input[1 - place]) != 4:
            nodes.append(node)
            continue
        matrix = matrices[node.input[place]]
        nodes += _convolution(node, node.input[1 - place], SWAPS[place])
        weight = _weight(matrix if place == 0 else matrix.T)
        weights.append(numpy_helper.from_array(weight, f"{node.name}/weight"))
    replace_nodes(graph, nodes, weights)
    return checked(rewritten)


def _convolution(node: NodeProto, data: str, swap: list[int]) -> list[NodeProto]:
    before, after = f"{node.name}/channels", f"{node.name}/sums"
    return [
        helper.make_node("Transpose", [data], [before], before, perm=swap),
        helper.make_node("Conv", [before, f"{node.name}/weight"], [after], node.name),
        helper.make_node("Transpose", [after], [node.output[0]], f"{node.name}/back", perm=swap),
    ]


def _weight(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """[M, K] -> [M, K, 1, 1]."""
    return np.ascontiguousarray(matrix)[:, :, None, None]
