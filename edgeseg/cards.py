"""Cards: the JSON beside every artefact that says what it is, and the writes that never lose it.

runs/<name>/card.json                            ModelCard, beside model.safetensors
<name>.onnx, metadata_props `edgeseg.*`          GraphCard, inside the file
engines/<name>-<precision>-<target>.json         EngineCard, beside the engine
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from edgeseg.errors import ModelError, WriteError

WEIGHTS = "model.safetensors"
CARD = "card.json"
IMPORTED = "imported"  # key of a card's config: the file of a run that was not trained here
PREFIX = "edgeseg."  # of the keys in an ONNX file's metadata_props

C = TypeVar("C", "ModelCard", "GraphCard", "EngineCard")


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """A trained model: how it was made, from which files, and where its thresholds lie."""

    name: str
    model: str
    """The method: `destseg`, `stpm` or `dskd`."""
    image_size: int
    """Side of the square the network sees, in pixels."""
    frame_size: tuple[int, int] | None
    """(height, width) of the training images when all share one size."""
    config: dict[str, Any]
    """The whole TrainConfig; of an imported run, what its network is, and the file it is from."""
    split: dict[str, dict[str, str]]
    """`train` and `holdout`: relative path -> SHA-256 of the file."""
    weights_sha256: str
    versions: dict[str, str]
    steps: dict[str, int]
    """Optimizer steps that were really made, by phase."""
    seconds: dict[str, float] = field(default_factory=dict)
    """What these took, the wait for their batches included; by phase, absent from older cards."""
    trained_on: str = ""
    """The machine, and how many threads of it."""
    threshold: float | None = None
    """A pixel is anomalous above this value of the map."""
    image_threshold: float | None = None
    """A part is rejected above this score."""
    context: float = 0.0
    """Sigma of the Gaussian that the map is averaged with, in its pixels; 0: none."""
    threshold_note: dict[str, Any] = field(default_factory=dict)
    """How the two were found: wanted rate, number of images, what that number supports."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Of a run of `edgeseg reproduce`: what its evaluation measured, in [0, 1] or None."""


@dataclass(frozen=True, kw_only=True)
class GraphCard:
    """An exported graph: everything that a user needs to run it; travels inside the ONNX file."""

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
    """The TrainConfig that made the weights."""
    context: float = 0.0
    """As in ModelCard."""
    versions: dict[str, str]
    parity: dict[str, Any] = field(default_factory=dict)
    """How far the graph is from PyTorch on real frames."""
    rewrites: tuple[str, ...] | None = None
    """The exact rewrites that it went through; None: exported before there were any."""


@dataclass(frozen=True, kw_only=True)
class EngineCard:
    """An engine: the graph it was built from, what built it, and the machine it runs on."""

    graph: GraphCard
    file: str
    """The engine's file name; it lies beside its card."""
    sha256: str
    bytes: int
    runtime: str
    runtime_version: str
    precision: str
    target: str
    """`cpu`, or a compute capability such as `sm86`."""
    built_on: dict[str, Any]
    source_sha256: str
    """Of the ONNX file that `edgeseg export` wrote."""
    inputs: dict[str, list[Any]]
    """Name -> [type, shape]."""
    outputs: dict[str, list[Any]]
    layers: dict[str, int] = field(default_factory=dict)
    """What the build's layer dump says, for instance how many convolutions read Half."""
    accuracy: dict[str, Any] = field(default_factory=dict)
    """What the accuracy gate measured on labelled frames; its `line` says so where none was run."""
    quantization: dict[str, Any] = field(default_factory=dict)
    """Of an INT8 engine: the file of ranges and its hash, what was placed where."""
    parity: dict[str, Any] = field(default_factory=dict)
    typing: str = "strong"
    """`strong`: types as the graph gives them; `weak`: by builder flags (TensorRT 8.6)."""
    seconds: float = 0.0
    """Build time."""
    via: str = "onnx"
    """From what it was built: `onnx`, the graph; `torch-tensorrt`, the run, by that package."""


def read_card(path: Path, kind: type[C]) -> C:
    """Read a card; ModelError when it is missing, damaged or of another kind."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(
            f"There is no card {path}.", remedy="name a run, an ONNX file or an engine of edgeseg"
        ) from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(
            f"The card {path} cannot be read: {error}.",
            remedy="make the artefact again (edgeseg train, export or build-engine)",
        ) from error
    return card_from(document, kind, path)


def card_from(document: Any, kind: type[C], path: Path) -> C:
    """Make a card of a JSON document; `path` is named in the error."""
    names = {f.name: f for f in dataclasses.fields(kind)}
    required = {
        name
        for name, f in names.items()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING
    }
    found = set(document) if isinstance(document, dict) else set()
    if missing := sorted(required - found):
        raise ModelError(
            f"{path} is no {kind.__name__}: it lacks {', '.join(missing)}.",
            remedy="name an artefact that this version of edgeseg wrote, or make it again",
        )
    values = {name: document[name] for name in names if name in found}
    for name in ("frame_size", "frame_shape", "classes", "rewrites"):
        if isinstance(values.get(name), list):
            values[name] = tuple(values[name])
    if kind is EngineCard:
        values["graph"] = card_from(values["graph"], GraphCard, path)
    return kind(**values)


def write_card(path: Path, card: "ModelCard | GraphCard | EngineCard") -> None:
    """Write a card, whole or not at all."""
    text = json.dumps(dataclasses.asdict(card), indent=1, ensure_ascii=False)
    write_atomic(path, (text + "\n").encode())


def metadata_from(card: GraphCard) -> dict[str, str]:
    """Return the card as ONNX metadata: `edgeseg.<field>` -> JSON."""
    document = dataclasses.asdict(card)
    return {PREFIX + key: json.dumps(value, sort_keys=True) for key, value in document.items()}


def card_from_metadata(metadata: Mapping[str, str], path: Path) -> GraphCard:
    """Return the card that `edgeseg export` put into an ONNX file."""
    ours = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
    if not ours:
        raise ModelError(
            f"{path} was not exported by edgeseg: it has no metadata of the kind {PREFIX}*.",
            remedy="edgeseg export RUN",
        )
    try:
        document = {key: json.loads(value) for key, value in ours.items()}
    except json.JSONDecodeError as error:
        raise ModelError(
            f"The metadata of {path} is damaged: {error}.", remedy="edgeseg export"
        ) from error
    return card_from(document, GraphCard, path)


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    Whatever happens inside, a full disk or a kill included, the old file stays as it was.
    durable: a power cut after the block takes nothing; False does not wait for the disk.
    WriteError when the disk or the folder's rights forbid it.
    """
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        if durable:
            with part.open("rb+") as file:
                os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise WriteError(
            f"{path} cannot be written: {error.strerror or error}.",
            remedy=f"make room or another folder: df -h '{path.parent}'; the old file is unharmed",
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_atomic(path: Path, data: bytes) -> None:
    """Write a whole file under a temporary name, then rename it."""
    with replacing(path) as part:
        part.write_bytes(data)


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def newest(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder that match, the newest first."""
    return sorted(folder.glob(pattern), key=lambda path: path.stat().st_mtime, reverse=True)
