"""A graph whose every answer is known: the map is the red channel, 0 to 1, through named blocks.

    frame -> red -> first -> ... -> last -> anomaly_map; score: the maximum
    input_check: the mean, in each column that the card names

Each block is one convolution that changes nothing, and a Relu. `fragile` is one that Half destroys:
it multiplies by 1 and by 1 + 2^-12, which Half rounds to 1, and returns 4096 times the difference.
"""

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper, save

from edgeseg.cards import metadata_from
from edgeseg.data.images import write_png
from tests.kit.cards import make_card, write_engine
from tests.kit.graphs import BYTES, FLOAT, make_graph

SIDE = 16
CHAIN = (
    "teacher.layer1.0",
    "teacher.layer2.0",
    "student.layer1.0",
    "student.layer1.1",
    "head.blocks.0",
    "head.aspp.4",
)
CARD = make_card(
    SIDE,
    SIDE,
    frame_format="rgb",
    name="plates",
    image_threshold=0.7,
    weights_sha256="00ff",
    training={"top": 4},
)


def red_graph(chain=CHAIN, *, fragile=(), card=CARD):
    """Return the graph with a block for each name; those of `fragile` break in Half."""
    node = helper.make_node
    constants = {
        "axes": np.array([1]),
        "all": np.array([1, 2]),
        "scale": np.float32(255),
        "red": np.array([1, 0, 0], np.float32).reshape(1, 3, 1, 1),
        "one": np.ones((1, 1, 1, 1), np.float32),
        "split": np.array([1, 1 + 2**-12], np.float32).reshape(2, 1, 1, 1),
        "join": np.array([-4096, 4096], np.float32).reshape(1, 2, 1, 1),
        "white": np.float32(255),
        "black": np.float32(0),
    }
    nodes = [
        node("Cast", ["frame"], ["float"], "cast", to=TensorProto.FLOAT),
        node("Transpose", ["float"], ["planes"], "transpose", perm=[0, 3, 1, 2]),
        node("Div", ["planes", "scale"], ["unit"], "div"),
        node("Conv", ["unit", "red"], ["x"], "stem.0"),
    ]
    at = "x"
    for name in chain:
        if name in fragile:
            nodes.append(node("Conv", [at, "split"], [f"{name}/two"], f"{name}.conv1"))
            nodes.append(node("Conv", [f"{name}/two", "join"], [f"{name}/y"], f"{name}.conv2"))
        else:
            constants[f"{name}/one"] = constants["one"]
            nodes.append(node("Conv", [at, f"{name}/one"], [f"{name}/y"], f"{name}.conv1"))
        at = f"{name}/relu"
        nodes.append(node("Relu", [f"{name}/y"], [at], f"relu_{len(nodes)}"))
    nodes += [
        node("Squeeze", [at, "axes"], ["anomaly_map"], "squeeze"),
        node("ReduceMax", ["anomaly_map", "all"], ["score"], "max", keepdims=0),
        node("Greater", ["anomaly_map", "threshold"], ["over"], "greater"),
        node("Where", ["over", "white", "black"], ["level"], "where"),
        node("Cast", ["level"], ["mask"], "cast_1", to=TensorProto.UINT8),
    ]
    if card.input_check:
        constants["columns"] = np.array([card.frame_shape[0], len(card.input_check)])
        nodes += [
            node("ReduceMean", ["anomaly_map", "all"], ["mean"], "mean", keepdims=0),
            node("Unsqueeze", ["mean", "axes"], ["mean_column"], "unsqueeze"),
            node("Expand", ["mean_column", "columns"], ["input_check"], "expand"),
        ]
    used = {name for n in nodes for name in n.input}
    n, (side, _) = card.frame_shape[0], card.network_size
    model = make_graph(
        nodes,
        {name: value for name, value in constants.items() if name in used},
        inputs={"frame": (BYTES, card.frame_shape), "threshold": (FLOAT, [1])},
        outputs={
            "mask": (BYTES, [n, side, side]),
            "score": (FLOAT, [n]),
            "anomaly_map": (FLOAT, [n, side, side]),
            **({"input_check": (FLOAT, [n, len(card.input_check)])} if card.input_check else {}),
        },
    )
    helper.set_model_props(model, metadata_from(card))
    return model


def zeroing(source, blocks):
    """Return a `retype` whose lower precision is 0: of the blocks that are named, unless kept."""
    return scaling(source, blocks, 0.0)


def scaling(source, blocks, factor):
    """Return a `retype` that multiplies what the named blocks write, unless they are kept."""

    def retype(keep):
        typed = ModelProto()
        typed.CopyFrom(source)
        for constant in typed.graph.initializer:
            name = constant.name.removesuffix("/one")
            if name in blocks and f"{name}.conv1" not in keep:
                scaled = numpy_helper.to_array(constant) * np.float32(factor)
                constant.CopyFrom(numpy_helper.from_array(scaled, constant.name))
        return typed

    return retype


def write_plates(root, *, good=6, bad=6, masks=True):
    """Write test images: a defect is a patch redder (250) than any good part (0 to 100)."""
    for k in range(good + bad):
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        image[..., 0] = 100 * k // (good + bad)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        folder, label = ("good", "") if k < good else ("dent", f"{k:02}_mask.png")
        if label:
            image[2:6, 3:9, 0] = mask[2:6, 3:9] = 250
            if masks:
                write_png(root / "ground_truth/dent" / label, np.where(mask, 255, 0).astype("u1"))
        write_png(root / f"test/{folder}/{k:02}.png", image)
    write_png(root / "train/good/0.png", np.zeros((SIDE, SIDE, 3), np.uint8))
    return root


def write_project(folder):
    """Write the graph, an engine of it for each CPU runtime, and photos."""
    graph = red_graph()
    save(graph, folder / "plates.onnx")
    write_plates(folder / "photos")
    for runtime in ("onnxruntime", "openvino"):
        path = folder / f"{runtime}.onnx"
        write_engine(path, graph.SerializeToString(), CARD, runtime=runtime, precision="fp32")
    return folder
