"""calibration/<name>.ranges.json: the calibration range of each tensor, and the images behind it.

One tensor and one image per line, sorted, with five digits: a changed range is a changed line. A
file belongs to one graph, identified by its hash.
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.files import sha256, write_atomic

DIGITS = 5


@dataclass(frozen=True)
class Range:
    """A tensor's values lie within [-limit, limit]; larger ones are clipped."""

    limit: float
    method: str = "max"
    """How the limit was found: `entropy`, `percentile 99.99`, `max`."""
    peak: float | None = None
    """The largest magnitude that was seen."""
    reader: str | None = None
    """A node that reads the tensor: tensors have numbers, nodes have names."""

    def __post_init__(self) -> None:
        if not 0 <= self.limit < math.inf:
            raise ValueError(f"invalid limit: {self.limit} (expected a finite magnitude)")


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """The result of a calibration."""

    graph: str
    """File name of the ONNX graph."""
    graph_sha256: str
    tensors: dict[str, Range]
    frames: dict[str, str] = field(default_factory=dict)
    """Path of an image -> SHA-256 of the file or the pixels, its first 16 digits."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The CalibrateConfig."""
    versions: dict[str, str] = field(default_factory=dict)

    def limit(self, tensor: str) -> float:
        """Return a tensor's limit; ModelError if it was not measured."""
        if tensor not in self.tensors:
            raise ModelError(
                f"no calibration range for tensor {tensor} of {self.graph}",
                remedy="calibrate again: edgeseg calibrate MODEL DATA",
                code="model/no-range",
            )
        return self.tensors[tensor].limit


def ranges_path(name: str, folder: Path = Path("calibration")) -> Path:
    """Return the calibration file of a model."""
    return folder / f"{name}.ranges.json"


def write_ranges(path: Path, ranges: Ranges) -> None:
    """Write the file atomically."""
    document = asdict(ranges)
    tensors, frames = document.pop("tensors"), document.pop("frames")
    short = {
        name: {k: _short(v) for k, v in found.items() if v is not None}
        for name, found in tensors.items()
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}," for key, value in document.items()]
    text = "\n".join(["{", *lines, _block("tensors", short) + ",", _block("frames", frames), "}"])
    write_atomic(path, (text + "\n").encode())


def read_ranges(path: Path, graph: Path) -> Ranges:
    """Read the ranges of a graph; ModelError if missing, damaged or of another graph."""
    remedy = f"edgeseg calibrate {graph} DATA"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        tensors = {name: Range(**found) for name, found in document.pop("tensors").items()}
        ranges = Ranges(tensors=tensors, **document)
    except FileNotFoundError as error:
        raise ModelError(
            f"calibration file not found: {path} (INT8 needs one)",
            remedy=remedy,
            code="model/no-calibration",
        ) from error
    except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(
            f"cannot read the calibration file {path}: {error}",
            remedy=remedy,
            code="model/damaged-calibration",
        ) from error
    found = sha256(graph)
    if ranges.graph_sha256 != found:
        raise ModelError(
            f"the calibration file {path} belongs to another graph than {graph} "
            f"(SHA-256 {ranges.graph_sha256[:12]}, expected {found[:12]})",
            remedy=remedy,
            code="model/other-calibration",
        )
    return ranges


def _block(name: str, lines: dict[str, Any]) -> str:
    rows = [f"  {json.dumps(key)}: {json.dumps(lines[key])}" for key in sorted(lines)]
    return "\n".join([f" {json.dumps(name)}: {{", ",\n".join(rows), " }"])


def _short(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
