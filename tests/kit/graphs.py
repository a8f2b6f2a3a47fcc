"""ONNX models from nodes and named tensors."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, HALF, BYTES, INT8 = (
    *(TensorProto.FLOAT, TensorProto.FLOAT16),
    *(TensorProto.UINT8, TensorProto.INT8),
)


def make_graph(nodes, constants=None, *, inputs, outputs, opset=19):
    """A model; `constants` by name, `inputs` and `outputs` as name -> (type, shape)."""
    made = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, *kind) for name, kind in inputs.items()],
        [helper.make_tensor_value_info(name, *kind) for name, kind in outputs.items()],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in (constants or {}).items()],
    )
    domains = [helper.make_opsetid("", opset)]
    domains += [helper.make_opsetid(n.domain, 1) for n in nodes if n.domain]
    model = helper.make_model(made, opset_imports=domains, ir_version=10)
    return onnx.shape_inference.infer_shapes(model)
