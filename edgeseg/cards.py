"""Cards: the JSON metadata of runs, graphs and engines.

runs/<name>/card.json                            ModelCard, beside model.safetensors
<name>.onnx, metadata_props `edgeseg.*`          GraphCard, inside the file
engines/<name>-<precision>-<target>.json         EngineCard, beside the engine
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isqrt, prod
from pathlib import Path
from typing import Any, Literal, TypeVar

from edgeseg import __version__
from edgeseg.config import Precision, RuntimeName, Typing, Via
from edgeseg.errors import ModelError
from edgeseg.files import shown, write_atomic
from edgeseg.frame.geometry import MORE_PIXELS, Aspect, Box, Size, fit
from edgeseg.frame.pixel_formats import FrameFormat, frame_shape, picture_size
from edgeseg.frame.roi import Roi
from edgeseg.frame.tiles import Tiles
from edgeseg.limits import THRESHOLD, limit
from edgeseg.recipes import TrainConfig
from edgeseg.schema import (
    Invalid,
    bounded,
    build,
    check_given,
    check_range,
    parse,
    read_text,
    without_nan,
)
from edgeseg.settings import LARGEST_SIDE
from edgeseg.verdict.rule import Rule

RUNS, ENGINES = Path("runs"), Path("engines")
"""The default folders."""
WEIGHTS = "model.safetensors"
CARD = "card.json"
IMPORTED = "imported"  # key of ModelCard.config: the file that a run was imported from
PREFIX = "edgeseg."  # of the keys in an ONNX file's metadata_props
VERSION = 1  # of the cards; an older card has fewer fields, and their defaults
NETWORK = {
    "": ("teacher", "top"),
    "dskd": ("teacher", "top", "distance_weight", "structure", "embedding", "maps"),
}
"""By model: the settings without which its network cannot be built; others have defaults."""
AGAIN = "make it again: edgeseg train, export or build-engine"
UPDATE = "update edgeseg to the version that wrote it, or make it again with this one"

C = TypeVar("C", "ModelCard", "GraphCard", "EngineCard")


@dataclass(frozen=True, kw_only=True)
class InputLimit:
    """One column of the output `input_check`, and within which values a frame can be judged."""

    name: str = bounded(name=True)
    """What it measures, such as `brightness`; verdict.py has it in words."""
    low: float | None = bounded(-THRESHOLD, THRESHOLD, default=None)
    """None: no lower limit."""
    high: float | None = bounded(-THRESHOLD, THRESHOLD, default=None)


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """A trained model: settings, training files, weights and thresholds."""

    name: str = bounded(name=True)
    model: str
    """The method: `destseg`, `stpm` or `dskd`."""
    network_size: Size = bounded(1, LARGEST_SIDE)
    """(height, width) of what the network sees, in pixels: of a tile, if there are tiles."""
    aspect: Aspect
    """Whether images keep their aspect ratio in it."""
    tiles: Tiles | None = None
    """The tiles that a frame is cut into; None: the network sees the whole frame."""
    frame_size: tuple[int, int] | None = bounded(1, LARGEST_SIDE)
    """(height, width) of the training images when all share one size."""
    config: dict[str, Any]
    """The TrainConfig; of an imported run, its network and the imported file."""
    split: dict[str, dict[str, str]]
    """`train`, `holdout`, `defects` (trained on): relative path -> SHA-256 of the file."""
    defects: dict[str, str] = field(default_factory=dict)
    """Of the defective images that were trained on: SHA-256 of the file -> type of defect."""
    continues: dict[str, Any] = field(default_factory=dict)
    """Of a run that continues another: its name and weights, the steps of the first training, and
    how many images were added and how many of them it rejected."""
    weights_sha256: str
    versions: dict[str, str]
    steps: dict[str, int] = bounded(0)
    """Optimizer steps, by phase."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Duration of the phases, including the wait for batches."""
    trained_on: str = ""
    """The machine and the number of threads."""
    threshold: float | None = bounded(-THRESHOLD, THRESHOLD, default=None)
    """Pixel threshold, on the anomaly map."""
    image_threshold: float | None = bounded(-THRESHOLD, THRESHOLD, default=None)
    """Image threshold, on the image score."""
    rule: Rule = Rule()
    """By what a frame is anomalous, and which regions count."""
    roi: Roi | None = None
    """What of a picture is inspected; None: all of it."""
    context: float = bounded(0, 10_000, default=0.0)
    """Sigma of the Gaussian that the anomaly map is averaged with, in its pixels; 0 disables."""
    threshold_note: dict[str, Any] = field(default_factory=dict)
    """How the thresholds were set: false-reject rate, number of images, what it supports."""
    input_check: tuple[InputLimit, ...] = ()
    """The columns of the input check; empty: the model has none."""
    input_note: dict[str, Any] = field(default_factory=dict)
    """How the limits of the input check were found: wanted rate, number of images, method."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """Of a run of `edgeseg reproduce`: its evaluation, in [0, 1] or None."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """The verdict of `edgeseg evaluate`, for a warning (evaluation/remembered.py)."""
    bit_depth: int = bounded(8, 16, default=16)
    """Of the values in 16-bit image files, found over the training images."""
    card_version: int = bounded(1, VERSION, default=VERSION)

    @property
    def map_size(self) -> Size:
        """(height, width) of what all tiles see together, and of the anomaly map."""
        return map_size(self)


@dataclass(frozen=True, kw_only=True)
class GraphCard:
    """An exported graph: what is needed to run it; stored inside the ONNX file."""

    name: str = bounded(name=True)
    model: str
    frame_format: FrameFormat
    frame_shape: tuple[int, int, int, int] = bounded(1, LARGEST_SIDE)
    """Of the `frame` input: [N, H, W, C] for bgr, rgb and gray; else as `pixel_formats.py` says."""
    network_size: Size = bounded(1, LARGEST_SIDE)
    """As in ModelCard."""
    aspect: Aspect
    """As in ModelCard."""
    tiles: Tiles | None = None
    """As in ModelCard."""
    threshold: float = bounded(-THRESHOLD, THRESHOLD)
    image_threshold: float = bounded(-THRESHOLD, THRESHOLD)
    rule: Rule = Rule()
    """As in ModelCard."""
    roi: Roi | None = None
    """As in ModelCard; the graph has it in its maps and masks."""
    classes: tuple[str, str] = ("good", "anomalous")
    weights_sha256: str
    training: dict[str, Any]
    """The TrainConfig of the weights."""
    context: float = bounded(0, 10_000, default=0.0)
    """As in ModelCard."""
    defects: dict[str, str] = field(default_factory=dict)
    """As in ModelCard."""
    bit_depth: int = bounded(8, 16, default=16)
    """As in ModelCard."""
    input_check: tuple[InputLimit, ...] = ()
    """The columns of the output `input_check`, in order; empty: the graph lacks this output."""
    optimized_for: str = "cpu"
    """The form of the head: `cpu` has fewer MACs, `gpu` fewer kernels; `any`: it has no head."""
    input_note: dict[str, Any] = field(default_factory=dict)
    """As in ModelCard; of an engine also what its precision moved."""
    versions: dict[str, str]
    parity: dict[str, Any] = field(default_factory=dict)
    """Differences from PyTorch on real frames."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    """As in ModelCard; of an engine it may be its own."""
    inference_precision: Literal["f32", "bf16"] = "f32"
    """What OpenVINO's INFERENCE_PRECISION_HINT has to be: `f32`, or `bf16` of a BF16 engine."""
    card_version: int = bounded(1, VERSION, default=VERSION)

    @property
    def frame_size(self) -> Size:
        """(height, width) of the picture in a frame."""
        return picture_size(self.frame_format, self.frame_shape)

    @property
    def map_size(self) -> Size:
        """As in ModelCard."""
        return map_size(self)

    @property
    def decisive_threshold(self) -> float:
        """The pixel threshold where the regions decide the verdict, else the image threshold."""
        return self.threshold if self.rule.by_regions else self.image_threshold

    @property
    def content(self) -> Box:
        """Where the frame lies in the anomaly map; the map outside does not count."""
        return fit(self.frame_size, self.map_size, self.aspect)

    @property
    def picture_place(self) -> Box:
        """Where a frame shows the picture that the ROIs were drawn on; without ROIs: all of it."""
        return fit(self.roi.picture if self.roi else self.frame_size, self.frame_size, self.aspect)

    @property
    def whole_roi(self) -> Roi | None:
        """The ROIs, if frames show the whole picture of the ROIs and nothing else."""
        return self.roi if self.roi and self.roi.fits(self.frame_size) else None

    def content_of(self, size: Size) -> Box:
        """Return where an image of a size lies in the map, after it was brought to the frames."""
        place = fit(size, self.frame_size, self.aspect)
        return place.within(self.frame_size, self.content)


@dataclass(frozen=True, kw_only=True)
class EngineCard:
    """An engine: its graph, its builder and its target machine."""

    graph: GraphCard
    file: str = bounded(name=True)
    """File name of the engine, in the folder of the card."""
    sha256: str
    bytes: int = bounded(0)
    runtime: RuntimeName
    runtime_version: str
    precision: Precision
    target: str
    """`cpu`, or compute capabilities: `sm86`, `sm86-sm89`."""
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
    typing: Typing = "strong"
    """`strong`: the types of the graph; `weak`: builder flags (TensorRT 8.6)."""
    seconds: float = bounded(0, default=0.0)
    """Build time in seconds."""
    via: Via = "onnx"
    """Builder input: `onnx`, the graph; `torch-tensorrt`, the run."""
    lean: bool = False
    """Whether it was built for TensorRT's lean runtime of the same version."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Further settings of the build that differ from their defaults; for the next build."""
    card_version: int = bounded(1, VERSION, default=VERSION)


def map_size(card: ModelCard | GraphCard) -> Size:
    """Return the size of the anomaly map of a model."""
    return card.tiles.grid(card.network_size) if card.tiles else card.network_size


def read_card(path: Path, kind: type[C]) -> C:
    """Read a card; ModelError if it is missing, damaged or of another kind or version."""
    try:
        document = parse(read_text(path))
    except FileNotFoundError as error:
        raise ModelError(
            f"card not found: {shown(path)}",
            remedy="name a run, an ONNX file or an engine of edgeseg",
            code="model/no-card",
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(
            f"cannot read the card {shown(path)}: {error}", remedy=AGAIN, code="model/damaged-card"
        ) from error
    return card_from(document, kind, path)


def card_from(document: Any, kind: type[C], path: Path) -> C:
    """Convert a JSON document to a card; errors name `path`."""
    try:
        card = build(kind, _upgraded(document))
        _check(card)
    except Invalid as error:
        version = document.get("card_version", VERSION) if isinstance(document, dict) else VERSION
        newer = error.kind == "unknown" or (type(version) is int and version > VERSION)
        found = "newer" if newer else "incomplete" if error.kind == "missing" else "invalid"
        note = f"; a newer edgeseg wrote it, this is {__version__}" * newer
        raise ModelError(
            f"invalid {kind.__name__} in {shown(path)}: {error}{note}",
            remedy=UPDATE if newer else AGAIN,
            code=f"model/{found}-card",
        ) from error
    return card


def _upgraded(document: Any) -> Any:
    """Return a card of edgeseg 0.1, whose networks see a square, with today's fields."""
    if not isinstance(document, dict):
        return document
    found = dict(document)
    if "graph" in found:
        found["graph"] = _upgraded(found["graph"])
    if "network_size" not in found and "image_size" in found:
        side = found.pop("image_size")
        found |= {"network_size": [side, side], "aspect": "stretch"}
    return found


def write_card(path: Path, card: ModelCard | GraphCard | EngineCard) -> None:
    """Write a card atomically; ModelError if a value is beyond its bounds."""
    text = json.dumps(_document(card, path), indent=1)
    write_atomic(path, (text + "\n").encode())


def metadata_from(card: GraphCard) -> dict[str, str]:
    """Convert a card to ONNX metadata: `edgeseg.<field>` -> JSON."""
    document = _document(card, Path(f"{card.name}.onnx"))
    return {PREFIX + key: json.dumps(value, sort_keys=True) for key, value in document.items()}


def card_from_metadata(metadata: Mapping[str, str], path: Path) -> GraphCard:
    """Convert the metadata of an ONNX file to its card."""
    ours = {k.removeprefix(PREFIX): v for k, v in metadata.items() if k.startswith(PREFIX)}
    if not ours:
        raise ModelError(
            f"{shown(path)} was not exported by edgeseg: no metadata {PREFIX}*",
            remedy="edgeseg export RUN",
            code="model/foreign-graph",
        )
    try:
        document = {key: parse(value) for key, value in ours.items()}
    except ValueError as error:
        raise ModelError(
            f"invalid metadata in {shown(path)}: {error}",
            remedy="edgeseg export RUN",
            code="model/damaged-metadata",
        ) from error
    return card_from(document, GraphCard, path)


def _document(card: ModelCard | GraphCard | EngineCard, path: Path) -> dict[str, Any]:
    """Return a card as JSON has it: measurements that are not finite are null."""
    values = dataclasses.asdict(card).items()
    document = {k: without_nan(v) if isinstance(v, dict) else v for k, v in values}
    kind: Any = type(card)
    card_from(document, kind, path)
    return document


def _check(card: ModelCard | GraphCard | EngineCard) -> None:
    """Check what no single field tells: settings, and sizes before memory is allocated."""
    if isinstance(card, EngineCard):
        return _check(card.graph)
    side = isqrt(int(prod(card.network_size) / MORE_PIXELS))
    _check_most("the square root of the pixels of network_size", side, "EDGESEG_MAX_IMAGE_SIZE")
    if card.tiles:
        _check_tiles(card.tiles, card)
    if isinstance(card, ModelCard):
        return _check_settings("config", card.config, NETWORK.get(card.model, NETWORK[""]), card)
    _check_settings("training", card.training, ("top",), card)
    count, (height, width) = card.frame_shape[0], card.frame_size
    try:
        shape = frame_shape(card.frame_format, height, width)
    except ValueError as error:
        raise Invalid(f"frame_shape is of {error}", "value") from error
    if card.frame_shape[1:] != shape:
        raise Invalid(
            f"frame_shape is {list(card.frame_shape)} (expected {[count, *shape]} for "
            f"{card.frame_format})",
            "value",
        )
    _check_most("the product of frame_shape", count * height * width, "EDGESEG_MAX_PIXELS")


def _check_tiles(tiles: Tiles, card: ModelCard | GraphCard) -> None:
    for shared, side in zip(tiles.overlap, card.network_size, strict=True):
        check_range("tiles.overlap", shared, 0, side // 2)
    for gains in (tiles.gains, tiles.score_gains):
        if len(gains) not in (0, tiles.count):
            raise Invalid(f"tiles has {len(gains)} gains for {tiles.count} tiles", "value")
    _check_most("the product of the sides of all tiles", prod(card.map_size), "EDGESEG_MAX_PIXELS")


def _check_most(what: str, found: int, name: str) -> None:
    if found > (most := limit(name)):
        raise Invalid(
            f"{what} is {found} (expected at most {most}; {name} raises the limit)", "value"
        )


def _check_settings(
    place: str, config: dict[str, Any], needed: tuple[str, ...], card: ModelCard | GraphCard
) -> None:
    missing = [f"{place}.{name}" for name in needed if config.get(name) is None]
    if missing:
        raise Invalid("missing " + ", ".join(missing), "missing")
    check_given(TrainConfig, {k: v for k, v in config.items() if k != IMPORTED}, place)
    check_range(f"{place}.top", config["top"], 1, prod(card.map_size))
