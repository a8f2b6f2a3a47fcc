"""Matrix products with a constant, as 1x1 convolutions: what TensorRT-RTX needs for Turing.

TensorRT-RTX 1.7.1 builds no FP32 GEMM for compute capability 7.5 ("FP32 GEMM is not supported") and
builds FP32 convolutions there. Both compute the same sums: the axis that the product sums over
becomes the channels.

    x [a, b, c, K] @ w [K, M]  =  swap(convolve(swap(x), w.T))      swap: axes 1 and 3
    w [M, K] @ x [a, b, K, d]  =  swap(convolve(swap(x), w))        swap: axes 1 and 2
"""

import numpy as np
import onnx_ir as ir
from onnx import ModelProto

from edgeseg.graph.graph import Graph, constant, name_of, shape

SWAPS = {0: [0, 2, 1, 3], 1: [0, 3, 2, 1]}  # by the constant's place among the inputs


def as_convolutions(model: ModelProto) -> ModelProto:
    """Return the graph with FP32 products of a 4-D tensor and a constant matrix rewritten.

    The convolutions keep the products' names; other products stay as they are.
    """
    graph = Graph(model)
    for node in graph.of("MatMul"):
        matrices = [constant(tensor) for tensor in node.inputs]
        place = 0 if matrices[0] is not None else 1
        matrix, data = matrices[place], node.inputs[1 - place]
        if matrix is None or matrix.dtype != np.float32 or matrix.ndim != 2:
            continue
        if len(shape(data)) != 4:
            continue
        name, swap = name_of(node), SWAPS[place]
        weight = graph.add_constant(
            f"{name}/weight", (matrix if place == 0 else matrix.T)[:, :, None, None]
        )
        turned = graph.add_node("Transpose", [data], f"{name}/channels", before=node, perm=swap)
        sums = graph.add_node("Conv", [turned, weight], f"{name}/sums", before=node)
        graph.by_name[f"{name}/sums"].name, node.name = name, f"{name}/back"
        node.op_type = "Transpose"
        node.resize_inputs(1)
        node.replace_input_with(0, sums)
        node.attributes["perm"] = ir.AttrInt64s("perm", swap)
    return graph.to_proto()
