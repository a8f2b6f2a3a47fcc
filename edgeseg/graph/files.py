"""Reading and writing the ONNX files of edgeseg: the graph and its card.

In a file the input `threshold` has a default, an initializer of the same name, so that a program
may leave it out. In memory it has none: TensorRT and OpenVINO take an input with an initializer for
a constant.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.cards import GraphCard, card_from_metadata, metadata_from
from edgeseg.errors import ModelError
from edgeseg.packages.extras import require
from edgeseg.runtime.engine_pair import card_path, engine_path

if TYPE_CHECKING:
    from onnx import ModelProto


def graph_file(path: Path) -> Path:
    """Return the graph of a model: the engine of a card, where that is a graph, or the file."""
    file = engine_path(path) if path == card_path(path) else path
    if file.suffix != ".onnx":
        raise ModelError(
            f"{file} is an engine without layer shapes",
            remedy="--graph runs/NAME/NAME.onnx (the graph that it was built from)",
            code="model/no-shapes",
        )
    return file


def read_graph(path: Path) -> "tuple[ModelProto, GraphCard]":
    """Read a graph that edgeseg exported, and its card; ModelError for any other file.

    `threshold` is a plain input of it.
    """
    onnx = require("onnx", extra="cpu")
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's DecodeError has a name of its own in each version
        raise ModelError(
            f"cannot read the ONNX file {path}: {error}",
            remedy="edgeseg export RUN",
            code="model/unreadable",
        ) from error
    card = card_from_metadata({p.key: p.value for p in model.metadata_props}, path)
    for default in [i for i in model.graph.initializer if i.name == "threshold"]:
        model.graph.initializer.remove(default)
    return model, card


def graph_digest(path: Path) -> str:
    """Return a SHA-256 of the nodes and weights of a graph, whatever its thresholds and its card.

    ModelError for a file that is no graph of edgeseg.
    """
    model, _ = read_graph(path)
    return hashlib.sha256(model.graph.SerializeToString(deterministic=True)).hexdigest()


def graph_bytes(model: "ModelProto", card: GraphCard) -> bytes:
    """Return the file of a graph: its card as metadata, and the card's threshold as the default."""
    onnx = require("onnx", extra="cpu")
    file = onnx.ModelProto()
    file.CopyFrom(model)
    onnx.helper.set_model_props(file, metadata_from(card))
    kind = onnx.TensorProto.FLOAT
    file.graph.initializer.append(onnx.helper.make_tensor("threshold", kind, [1], [card.threshold]))
    onnx.checker.check_model(file)
    data: bytes = file.SerializeToString()
    return data
