"""calibration/<name>.ranges.json: how large each tensor gets, on which frames of which graph.

One tensor and one frame a line, sorted, in five digits: a change of a range is a change of a line.
The file holds for one graph; the hash says which.
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
            raise ValueError(f"the limit {self.limit} is no magnitude")


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What a calibration measured."""

    graph: str
    """File name of the ONNX graph."""
    graph_sha256: str
    tensors: dict[str, Range]
    frames: dict[str, str] = field(default_factory=dict)
    """What was run, in words or a path -> SHA-256 of the pixels' file, its first 16 digits."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The CalibrateConfig."""
    versions: dict[str, str] = field(default_factory=dict)

    def limit(self, tensor: str) -> float:
        """Return a tensor's limit; ModelError when it was not measured."""
        if tensor not in self.tensors:
            raise ModelError(
                f"The ranges of {self.graph} lack the tensor {tensor}.",
                remedy="edgeseg calibrate, again",
            )
        return self.tensors[tensor].limit


def ranges_path(name: str, folder: Path = Path("calibration")) -> Path:
    """Return where the ranges of a model lie."""
    return folder / f"{name}.ranges.json"


def write_ranges(path: Path, ranges: Ranges) -> None:
    """Write the file, whole or not at all."""
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
    """Read the ranges of a graph.

    ModelError when the file is missing, damaged, or of another graph than the one given.
    """
    again = f"edgeseg calibrate {graph} DATA"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        tensors = {name: Range(**found) for name, found in document.pop("tensors").items()}
        ranges = Ranges(tensors=tensors, **document)
    except FileNotFoundError as error:
        raise ModelError(
            f"There are no ranges {path}, and INT8 needs them.", remedy=again
        ) from error
    except (OSError, UnicodeDecodeError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"The ranges {path} cannot be read: {error}.", remedy=again) from error
    found = sha256(graph)
    if ranges.graph_sha256 != found:
        raise ModelError(
            f"The ranges {path} were measured on another graph than {graph} is now "
            f"(SHA-256 {ranges.graph_sha256[:12]}, not {found[:12]}).",
            remedy=again,
        )
    return ranges


def _block(name: str, lines: dict[str, Any]) -> str:
    rows = [f"  {json.dumps(key)}: {json.dumps(lines[key])}" for key in sorted(lines)]
    return "\n".join([f" {json.dumps(name)}: {{", ",\n".join(rows), " }"])


def _short(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
