"""Cards for tests; every function takes changes by the name of the field."""

import hashlib

from edgeseg.cards import EngineCard, GraphCard, ModelCard, write_card
from edgeseg.frame.pixel_formats import frame_shape


def make_card(height=48, width=64, *, batch=1, frame_format="bgr", side=16, **changes):
    """A card of a graph: frames of 48 x 64, a network of 16 x 16."""
    values = {
        "name": "red",
        "model": "destseg",
        "frame_format": frame_format,
        "frame_shape": (batch, *frame_shape(frame_format, height, width)),
        "network_size": (side, side) if isinstance(side, int) else side,
        "aspect": "stretch",
        "threshold": 0.5,
        "image_threshold": 0.75,
        "weights_sha256": "0" * 64,
        "training": {"top": 1},
        "versions": {},
    }
    return GraphCard(**(values | changes))


def make_run_card(**changes):
    """A card of a run, without thresholds."""
    values = {
        "name": "screws",
        "model": "destseg",
        "network_size": (64, 64),
        "aspect": "stretch",
        "frame_size": None,
        "config": {"teacher": "resnet18", "top": 100},
        "split": {"train": {}, "holdout": {}},
        "weights_sha256": "0" * 64,
        "versions": {},
        "steps": {},
    }
    return ModelCard(**(values | changes))


def make_engine_card(graph=None, *, file="red-fp16-openvino-cpu.onnx", data=b"plan", **changes):
    """A card of an engine of OpenVINO; data: the content of the file."""
    values = {
        "graph": graph or make_card(),
        "file": file,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "runtime": "openvino",
        "runtime_version": "2026.4.1",
        "precision": "fp16",
        "target": "cpu",
        "built_on": {},
        "source_sha256": "0" * 64,
        "inputs": {},
        "outputs": {},
    }
    return EngineCard(**(values | changes))


def write_engine(path, data=b"plan", graph=None, **changes):
    """Write an engine and its card beside it; return the path of the engine."""
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    card = make_engine_card(graph, file=path.name, data=data, **changes)
    write_card(path.with_suffix(".json"), card)
    return path
