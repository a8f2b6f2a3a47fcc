"""Cards: the JSON metadata of runs, graphs and engines.

runs/<name>/card.json                            ModelCard, beside model.safetensors
<name>.onnx, metadata_props `edgeseg.*`          GraphCard, inside the file
engines/<name>-<precision>-<target>.json         EngineCard, beside the engine
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edgeseg.errors import ModelError
from edgeseg.files import write_atomic

RUNS, ENGINES = Path("runs"), Path("engines")
"""The default folders."""
WEIGHTS = "model.safetensors"
CARD = "card.json"
IMPORTED = "imported"  # key of ModelCard.config: the file that a run was imported from
PREFIX = "edgeseg."  # of the keys in an ONNX file's metadata_props

C = TypeVar("C", "ModelCard", "GraphCard", "EngineCard")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """A trained model: settings, training files, weights and thresholds."""

    name: str
    model: str
    """The method: `destseg`, `stpm` or `dskd`."""
    image_size: int
    """Side of the square the network sees, in pixels."""
    frame_size: tuple[int, int] | None
    """(height, width) of the training images when all share one size."""
    config: dict[str, Any]
    """The TrainConfig; of an imported run, its network and the imported file."""
    split: dict[str, dict[str, str]]
    """`train` and `holdout`: relative path -> SHA-256 of the file."""
    weights_sha256: str
    versions: dict[str, str]
    steps: dict[str, int]
    """Optimizer steps, by phase."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Duration of the phases, including the wait for batches."""
    trained_on: str = ""
    """The machine and the number of threads."""
    threshold: float | None = None
    """Pixel threshold, on the anomaly map."""
    image_threshold: float | None = None
    """Image threshold, on the image score."""
    context: float = 0.0
    """Sigma of the Gaussian that the anomaly map is averaged with, in its pixels; 0 disables."""
    threshold_note: dict[str, Any] = field(default_factory=dict)
    """How the thresholds were set: false-reject rate, number of images, what it supports."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Of a run of `edgeseg reproduce`: its evaluation, in [0, 1] or None."""


@dataclass(frozen=True, kw_only=True)
class GraphCard:
    """An exported graph: what is needed to run it; stored inside the ONNX file."""

    name: str
    model: str
    frame_format: str
    """`bgr`, `rgb` or `gray`."""
    frame_shape: tuple[int, int, int, int]
    """[N, H, W, C] of the `frame` input."""
    image_size: int
    threshold: float
    image_threshold: float
    classes: tuple[str, str] = ("good", "anomalous")
    weights_sha256: str
    training: dict[str, Any]
    """The TrainConfig of the weights."""
    context: float = 0.0
    """As in ModelCard."""
    versions: dict[str, str]
    parity: dict[str, Any] = field(default_factory=dict)
    """Differences from PyTorch on real frames."""
    inference_precision: str = "f32"
    """What OpenVINO's INFERENCE_PRECISION_HINT has to be: `f32`, or `bf16` of a BF16 engine."""


@dataclass(frozen=True, kw_only=True)
class EngineCard:
    """An engine: its graph, its builder and its target machine."""

    graph: GraphCard
    file: str
    """File name of the engine, in the folder of the card."""
    sha256: str
    bytes: int
    runtime: str
    runtime_version: str
    precision: str
    target: str
    """`cpu`, or a compute capability such as `sm86`."""
    built_on: dict[str, Any]
    source_sha256: str
    """SHA-256 of the exported ONNX file."""
    inputs: dict[str, list[Any]]
    """Name -> [type, shape]."""
    outputs: dict[str, list[Any]]
    layers: dict[str, int] = field(default_factory=dict)
    """Counts from the layer information of the build, e.g. convolutions with FP16 input."""
    accuracy: dict[str, Any] = field(default_factory=dict)
    """Result of the accuracy gate on labelled frames."""
    quantization: dict[str, Any] = field(default_factory=dict)
    """Of an INT8 engine: calibration file, its hash, and the placement of Q/DQ pairs."""
    parity: dict[str, Any] = field(default_factory=dict)
    typing: str = "strong"
    """`strong`: the types of the graph; `weak`: builder flags (TensorRT 8.6)."""
    seconds: float = 0.0
    """Build time in seconds."""
    via: str = "onnx"
    """Builder input: `onnx`, the graph; `torch-tensorrt`, the run."""


def read_card(path: Path, kind: type[C]) -> C:
    """Read a card; ModelError if it is missing, damaged or of another kind."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"card not found: {path}",
            remedy="name a run, an ONNX file or an engine of edgeseg",
            code="model/no-card",
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(
            f"cannot read the card {path}: {error}",
            remedy="make the artefact again: edgeseg train, export or build-engine",
            code="model/damaged-card",
        ) from error
    return card_from(document, kind, path)


def card_from(document: Any, kind: type[C], path: Path) -> C:
    """Convert a JSON document to a card; errors name `path`."""
    names = {f.name: f for f in dataclasses.fields(kind)}
    required = {
        name
        for name, f in names.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    found = set(document) if isinstance(document, dict) else set()
    if missing := sorted(required - found):
        raise ModelError(
            f"invalid {kind.__name__} in {path}: missing {', '.join(missing)}",
            remedy="name an artefact of this version of edgeseg, or make it again",
            code="model/incomplete-card",
        )
    values = {name: document[name] for name in names if name in found}
    for name in ("frame_size", "frame_shape", "classes"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    if kind is EngineCard:
        values["graph"] = card_from(values["graph"], GraphCard, path)
    return kind(**values)


def write_card(path: Path, card: "ModelCard | GraphCard | EngineCard") -> None:
    """Write a card atomically."""
    text = json.dumps(dataclasses.asdict(card), indent=1, ensure_ascii=False)
    write_atomic(path, (text + "\n").encode())


def metadata_from(card: GraphCard) -> dict[str, str]:
    """Convert a card to ONNX metadata: `edgeseg.<field>` -> JSON."""
    document = dataclasses.asdict(card)
    return {PREFIX + key: json.dumps(value, sort_keys=True) for key, value in document.items()}


def card_from_metadata(metadata: Mapping[str, str], path: Path) -> GraphCard:
    """Convert the metadata of an ONNX file to its card."""
    ours = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
    if not ours:
        raise ModelError(
            f"{path} was not exported by edgeseg: no metadata {PREFIX}*",
            remedy="edgeseg export RUN",
            code="model/foreign-graph",
        )
    try:
        document = {key: json.loads(value) for key, value in ours.items()}
    except json.JSONDecodeError as error:
        raise ModelError(
            f"invalid metadata in {path}: {error}",
            remedy="edgeseg export RUN",
            code="model/damaged-metadata",
        ) from error
    return card_from(document, GraphCard, path)
