"""ONNX files as messages: for whoever needs more of a graph than to run it."""

from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.cards import GraphCard, card_from_metadata
from edgeseg.errors import ModelError
from edgeseg.extras import require
from edgeseg.runtime.engine_files import card_path, engine_path

if TYPE_CHECKING:
    from onnx import ModelProto


def graph_file(path: Path) -> Path:
    """Return the graph of a model: the engine of a card, where that is a graph, or the file."""
    file = engine_path(path) if path == card_path(path) else path
    if file.suffix != ".onnx":
        raise ModelError(
            f"{file} is an engine that names its layers and not their shapes.",
            remedy="--graph runs/NAME/NAME.onnx, the graph that it was built from",
        )
    return file


def read_graph(path: Path) -> "tuple[ModelProto, GraphCard]":
    """Read a graph that edgeseg exported, and its card; ModelError for any other file."""
    onnx = require("onnx", extra="cpu")
    try:
        model = onnx.load(str(path))
    except Exception as error:  # protobuf's DecodeError has a name of its own in each version
        raise ModelError(
            f"{path} is no ONNX file: {error}.", remedy="edgeseg export RUN"
        ) from error
    return model, card_from_metadata({p.key: p.value for p in model.metadata_props}, path)
