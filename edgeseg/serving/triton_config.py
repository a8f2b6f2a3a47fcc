"""config.pbtxt: what Triton needs to know of a model, as protobuf text.

Source: triton-inference-server/common, protobuf/model_config.proto. What a client needs for the
verdict (thresholds, rule, limits of the input check) is in `parameters`, as JSON.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from edgeseg.cards import PREFIX, metadata_from
from edgeseg.runtime.base import INPUTS, tensor_types
from edgeseg.serving.config import ServingConfig
from edgeseg.serving.repository import TensorSpec
from edgeseg.serving.servable import Servable

TYPES = {np.dtype(np.uint8): "TYPE_UINT8", np.dtype(np.float32): "TYPE_FP32"}
KEPT = (
    *("name", "threshold", "image_threshold", "rule", "input_check", "classes"),
    *("frame_format", "frame_shape", "weights_sha256"),
)
"""Fields of the card that become parameters `edgeseg.*`."""


@dataclass(frozen=True, kw_only=True)
class Served:
    """A version of a model, and how a server runs it."""

    model: Servable
    version: int
    config: ServingConfig
    warmup: tuple[str, ...]
    """Names of files in `warmup/`, each with one `frame`."""
    threshold_file: str
    """Name of the file in `warmup/` with the `threshold`."""


def batches(model: Servable) -> bool:
    """Whether requests are batched: a graph has a fixed N, which only our Python model fills up."""
    return model.backend == "python" and model.card.frame_shape[0] > 1


def config_text(served: Served) -> str:
    """Return config.pbtxt of a version."""
    model, config = served.model, served.config
    count = model.card.frame_shape[0] if batches(model) else 0
    delay = f"max_queue_delay_microseconds: {round(config.queue_delay_ms * 1000)}"
    known = tensors(model)
    kind = "KIND_GPU" if model.backend == "tensorrt" else "KIND_CPU"
    blocks = [
        f"name: {quoted(model.name)}",
        f"backend: {quoted(model.backend)}",
        f"max_batch_size: {count}",
        _listed("input", [_tensor(name, *each) for name, each in known.items() if name in INPUTS]),
        _listed("output", [_tensor(n, *each) for n, each in known.items() if n not in INPUTS]),
        *([f"dynamic_batching {{ preferred_batch_size: [{count}] {delay} }}"] if count else []),
        f"instance_group [{{ count: {config.instances} kind: {kind} }}]",
        f"version_policy {{ specific {{ versions: [{served.version}] }} }}",
        _listed("model_warmup", [_warmup(served, known, file) for file in served.warmup]),
        *(
            f"parameters {{ key: {quoted(name)} value {{ string_value: {quoted(value)} }} }}"
            for name, value in parameters(model, config).items()
        ),
    ]
    return "\n".join(blocks) + "\n"


def parameters(model: Servable, config: ServingConfig) -> dict[str, str]:
    """Return what clients and backends read: fields of the card, and options of the backend."""
    metadata, threads = metadata_from(model.card), config.instance_threads
    found = {PREFIX + name: metadata[PREFIX + name] for name in KEPT}
    found[f"{PREFIX}sha256"] = json.dumps(model.sha256)
    if model.backend in ("onnxruntime", "python"):
        found["intra_op_thread_count"] = str(threads or 0)
    if model.backend == "openvino":
        found["PERFORMANCE_HINT"] = "LATENCY"
        found |= {"INFERENCE_NUM_THREADS": str(threads)} if threads else {}
        found |= {"HINT_BF16": "YES"} if model.bf16 else {}
    return found


def tensors(model: Servable) -> dict[str, TensorSpec]:
    """Return the tensors of a model by name, inputs first."""
    found = {}
    for name, (shape, kind) in tensor_types(model.card).items():
        dims = tuple(shape)
        if batches(model) and name != "threshold":
            dims = dims[1:] or (1,)
        found[name] = (TYPES[kind], dims, name == "threshold" and model.has_default)
    return found


def quoted(text: str) -> str:
    """Return text as a string of protobuf's text format."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return '"' + "".join(escapes.get(letter, letter) for letter in text) + '"'


def _tensor(name: str, kind: str, dims: tuple[int, ...], optional: bool) -> str:
    end = " optional: true" if optional else ""
    return f"name: {quoted(name)} data_type: {kind} dims: {list(dims)}{end}"


def _warmup(served: Served, known: Mapping[str, TensorSpec], file: str) -> str:
    files = {"frame": file, "threshold": served.threshold_file}
    inputs = " ".join(
        f"inputs {{ key: {quoted(name)} value {{ data_type: {known[name][0]} "
        f"dims: {list(known[name][1])} input_data_file: {quoted(files[name])} }} }}"
        for name in INPUTS
    )
    return f"name: {quoted(file)} batch_size: 1 {inputs}"


def _listed(field: str, items: Iterable[str]) -> str:
    return f"{field} [\n" + ",\n".join(f"  {{ {item} }}" for item in items) + "\n]"
