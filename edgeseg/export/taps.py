"""Convolutions before the upsampling that they read: weights and interpolation change places.

    before  x [N, C, h/s, w/s] -> upsample -> concatenate -> convolution, k x k
    after   x -> 1x1 convolution to k * k * O channels, one for each tap -> interpolate, shift, sum

A tap takes the same channels at every position, so that it may come before the interpolation: at
a sixteenth of the positions where the map is four times as large. What remains is a sum over the
taps of shifted, interpolated maps, and that is linear in each axis by itself: two products with
constant matrices, [w, w/s * k] and [h, h/s * k], whose rows also know the zeros around the map.
The products have the channels last, where INT8's kernels have them: on the way through, blocks of
channels move as a whole, and the second product is a single large one.
With the deepest level of ResNet18 at 256 x 256 it takes 2.5 billion multiply-accumulates out of
the head's first block, and puts 0.1 into the products.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgeseg.graph.rewrite import rebuilt
from edgeseg.graph.wiring import Wiring, is_plain, tensor_shapes

WORTH = 8.0
"""Multiply-accumulates saved for each one spent in a product, which stays Float in an INT8 graph.

With 3, where ResNet18's stride-8 level is moved too, INT8 at 256 x 256 took 0.97 of the speed that
it has without; with 8, where only stride 16 is, FP32 and INT8 both gained.
"""
BILINEAR = {
    **{"mode": b"linear", "coordinate_transformation_mode": b"half_pixel"},
    **{"antialias": 0, "exclude_outside": 0, "keep_aspect_ratio_policy": b"stretch"},
}
RESIZE_DEFAULTS = BILINEAR | {"mode": b"nearest"}

Shapes = dict[str, tuple[int, ...]]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Level:
    """An upsampled input of the concatenation: what it is made of, and its channels."""

    tensor: str
    source: str
    channels: slice
    size: tuple[int, int]


def taps(model: ModelProto) -> ModelProto:
    """Return the graph with its convolutions before upsampling; the same object where none is."""
    wiring, shapes = Wiring(model.graph), tensor_shapes(model)
    weights = {i.name: i for i in model.graph.initializer}
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    joined: set[str] = set()
    for node in model.graph.node:
        levels = _levels(node, wiring, shapes)
        if levels:
            weight = np.asarray(numpy_helper.to_array(weights[node.input[1]]), np.float32)
            place = _Place(node, wiring.producers[node.input[0]], weight, shapes, joined)
            nodes += place.nodes(levels)
            constants += [numpy_helper.from_array(v, k) for k, v in place.constants.items()]
        else:
            nodes.append(node)
    if not constants:
        return model
    return rebuilt(model, nodes, constants)


def _levels(convolution: NodeProto, wiring: Wiring, shapes: Shapes) -> list[_Level]:
    """Return the upsampled levels that a convolution is moved before; seldom any.

    What reads one concatenation decides together: were one reader to keep a level that another is
    moved before, the level would be upsampled and joined all the same.
    """
    concat = wiring.producers.get(convolution.input[0]) if convolution.op_type == "Conv" else None
    if concat is None or concat.op_type != "Concat":
        return []
    readers = [wiring.nodes[name] for name, _ in wiring.readers[concat.output[0]]]
    constant = all(r.op_type == "Conv" and r.input[1] in wiring.shapes for r in readers)
    if not constant or not all(is_plain(reader, shapes) for reader in readers):
        return []
    height, width = shapes[concat.output[0]][2:]
    levels, first = [], 0
    for name in concat.input:
        channels = slice(first, first + shapes[name][1])
        first = channels.stop
        if (source := _upsampled(name, wiring)) is None:
            continue
        h, w = shapes[source][2:]
        saved = spent = 0
        for reader in readers:
            outputs, _, kernel, _ = shapes[reader.input[1]]
            saved += kernel**2 * shapes[name][1] * outputs * (height * width - h * w)
            spent += kernel * outputs * h * width * (kernel * w + height)
        if saved > WORTH * spent:
            levels.append(_Level(name, source, channels, (h, w)))
    return levels if len(levels) < len(concat.input) else []


def _upsampled(tensor: str, wiring: Wiring) -> str | None:
    """Return what a bilinear Resize made a tensor of; None where that is not so."""
    node = wiring.producers.get(tensor)
    if node is None or node.op_type != "Resize" or len(node.input) < 4:
        return None
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    found = RESIZE_DEFAULTS | {name: v for name, v in given.items() if name in BILINEAR}
    return str(node.input[0]) if found == BILINEAR and "axes" not in given else None


class _Place:
    """One convolution, what it reads, and the nodes and constants that take its place."""

    def __init__(
        self,
        convolution: NodeProto,
        concat: NodeProto,
        weight: Floats,
        shapes: Shapes,
        joined: set[str],
    ) -> None:
        self.convolution, self.concat, self.weight = convolution, concat, weight
        self.joined = joined
        """The concatenations of what stays that another place has made."""
        self.outputs, _, self.kernel, _ = weight.shape
        self.batch, _, self.height, self.width = shapes[concat.output[0]]
        self.constants: dict[str, NDArray[np.generic]] = {}
        self.made: list[NodeProto] = []

    def nodes(self, levels: list[_Level]) -> list[NodeProto]:
        """Return the nodes in the convolution's stead, which write what it wrote."""
        rest = self._rest(levels)
        lines = [self._lines(str(k), level) for k, level in enumerate(levels)]
        joined = self._node("Concat", lines, "lines", axis=2) if len(lines) > 1 else lines[0]
        sums = [interpolation(self.height, level.size[0], self.kernel) for level in levels]
        down = self._constant("down", np.concatenate(sums, axis=1))
        total = self._node("MatMul", [down, joined], "sum")
        total = self._shaped(total, "map", (self.batch, self.height, self.width, self.outputs))
        total = self._node("Transpose", [total], "channels", perm=[0, 3, 1, 2])
        name = f"{self.convolution.name}/taps/add"
        return [*self.made, helper.make_node("Add", [rest, total], self.convolution.output, name)]

    def _rest(self, levels: list[_Level]) -> str:
        """Convolve what is not upsampled, by the old name; return what that writes."""
        moved = [level.tensor for level in levels]
        kept = [name for name in self.concat.input if name not in moved]
        own = np.delete(self.weight, np.r_[tuple(level.channels for level in levels)], axis=1)
        data = self._joined(kept) if len(kept) > 1 else kept[0]
        node = NodeProto()
        node.CopyFrom(self.convolution)
        node.input[0], node.input[1] = data, self._constant("weight", own)
        node.output[0] = f"{self.convolution.name}/taps/rest"
        self.made.append(node)
        return str(node.output[0])

    def _joined(self, kept: list[str]) -> str:
        """Concatenate what stays, once for all its readers; by its name it is none of the head's.

        INT8 leaves what reads the product alone, and is told by the names where the head begins.
        """
        name = "/".join([self.concat.name, *kept])
        if name not in self.joined:
            self.joined.add(name)
            self.made.append(helper.make_node("Concat", kept, [name], name, axis=1))
        return name

    def _lines(self, name: str, level: _Level) -> str:
        """Return [N, 1, h * k, W * O]: each row of taps for itself, summed along the width."""
        k, (h, w) = self.kernel, level.size
        channels = level.channels.stop - level.channels.start
        # Output channels by (row of the tap, its column, output): [O, C, k, k] -> [k * k * O, C].
        weight = self.weight[:, level.channels].transpose(2, 3, 0, 1).reshape(-1, channels, 1, 1)
        weights = self._constant(f"{name}/weight", np.ascontiguousarray(weight))
        data = self._node("Conv", [level.source, weights], name)
        data = self._node("Transpose", [data], f"{name}/last", perm=[0, 2, 3, 1])
        if k > 1:  # [N, h, w, k * k * O] -> [N, h * k, w * k, O]
            data = self._shaped(data, f"{name}/split", (self.batch * h, w, k, k * self.outputs))
            data = self._node("Transpose", [data], f"{name}/turned", perm=[0, 2, 1, 3])
            shape = (self.batch, h * k, w * k, self.outputs)
            data = self._shaped(data, f"{name}/rows", shape)
        across = self._constant(f"{name}/across", interpolation(self.width, w, k))
        data = self._node("MatMul", [across, data], f"{name}/wide")
        shape = (self.batch, 1, h * k, self.width * self.outputs)
        return self._shaped(data, f"{name}/lines", shape)

    def _shaped(self, data: str, name: str, shape: tuple[int, ...]) -> str:
        return self._node("Reshape", [data, self._constant(f"{name}/shape", np.array(shape))], name)

    def _constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.constants[f"{self.convolution.name}/taps/{name}"] = value
        return f"{self.convolution.name}/taps/{name}"

    def _node(self, op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        name = f"{self.convolution.name}/taps/{output}"
        self.made.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name


def interpolation(fine: int, coarse: int, kernel: int) -> Floats:
    """[fine, coarse * kernel]: bilinear interpolation along one axis, for each tap shifted by it.

    Positions beyond the map are the convolution's zeros; in the map, ONNX's `half_pixel`.
    """
    places = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    low = np.floor(places).astype(int)
    matrix = np.zeros((fine, coarse), np.float32)
    np.add.at(matrix, (np.arange(fine), low), 1 - (places - low))
    np.add.at(matrix, (np.arange(fine), np.minimum(low + 1, coarse - 1)), places - low)
    border = kernel // 2
    padded = np.pad(matrix, ((border, border), (0, 0)))
    taps = np.stack([padded[tap : tap + fine] for tap in range(kernel)], axis=2)
    return taps.reshape(fine, coarse * kernel)
