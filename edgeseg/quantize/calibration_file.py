"""calibration/<name>.ranges.json: the calibration range of each tensor, and the images behind it.

One tensor and one image per line, sorted, with five digits: a changed range is a changed line. A
file belongs to one graph, identified by its hash.
"""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edgeseg.errors import GateFailed, ModelError
from edgeseg.files import quoted, sha256, shown, write_atomic
from edgeseg.graph.files import graph_digest
from edgeseg.schema import Invalid, NotFinite, bounded, build, parse, read_text
from edgeseg.text import listed

DIGITS = 5
HASH = 16  # digits of an image's SHA-256
VERSION = 1


@dataclass(frozen=True)
class Range:
    """A tensor's values lie within [-limit, limit]; larger ones are clipped."""

    limit: float = bounded(0, 1e30)
    method: str = "max"
    """How the limit was found: `relative`, `max`."""
    peak: float | None = bounded(0, 1e30, default=None)
    """The largest magnitude that was seen."""
    reader: str | None = None
    """A node that reads the tensor: tensors have numbers, nodes have names."""


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
    data: str = ""
    """Folder of the images as it was named; the check of an INT8 engine takes some of them."""
    file_version: int = bounded(1, VERSION, default=VERSION)

    def check(self, remedy: str) -> None:
        """Raise GateFailed for a tensor without a range: INT8 would turn all its values into 0."""
        empty = [name for name, found in self.tensors.items() if found.limit == 0]
        if empty or not self.tensors:
            found = f"the range of {listed(empty, 3)} is 0" if empty else "there is no range"
            raise _no_ranges(found, remedy)

    def images(self, most: int) -> list[Path]:
        """Return images of the calibration that are still there, unchanged, evenly sampled."""
        files = [(Path(self.data) / name, digest) for name, digest in self.frames.items()]
        chosen = files[:: max(-(-len(files) // most), 1)] if self.data else []
        return [p for p, digest in chosen if p.is_file() and sha256(p).startswith(digest)]

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
    """Read the ranges of a graph.

    ModelError: missing, damaged, of another graph or a newer version; GateFailed: ranges of zero,
    of infinity or NaN.
    """
    remedy = f"edgeseg calibrate {quoted(graph)} DATA"
    try:
        ranges = build(Ranges, parse(read_text(path)))
    except FileNotFoundError as error:
        raise ModelError(
            f"calibration file not found: {shown(path)} (INT8 needs one)",
            remedy=remedy,
            code="model/no-calibration",
        ) from error
    except NotFinite as error:
        raise _no_ranges(f"{shown(path)}: {error}", remedy) from error
    except (OSError, ValueError) as error:
        newer = isinstance(error, Invalid) and error.kind == "unknown"
        raise ModelError(
            f"cannot read the calibration file {shown(path)}: {error}",
            remedy=f"update edgeseg, or: {remedy}" if newer else remedy,
            code="model/newer-calibration" if newer else "model/damaged-calibration",
        ) from error
    # An older file has the hash of the whole graph file, which changes with the thresholds.
    if ranges.graph_sha256 != sha256(graph) and ranges.graph_sha256 != graph_digest(graph):
        raise ModelError(
            f"the calibration file {shown(path)} belongs to another graph than {graph} "
            f"(SHA-256 {ranges.graph_sha256[:12]}, expected {graph_digest(graph)[:12]})",
            remedy=remedy,
            code="model/other-calibration",
        )
    ranges.check(remedy)
    return ranges


def _no_ranges(problem: str, remedy: str) -> GateFailed:
    return GateFailed(
        f"invalid calibration: {problem}. Nothing was written.", remedy=remedy, code="gate/ranges"
    )


def _block(name: str, lines: dict[str, Any]) -> str:
    rows = [f"  {json.dumps(key)}: {json.dumps(lines[key])}" for key in sorted(lines)]
    return "\n".join([f" {json.dumps(name)}: {{", ",\n".join(rows), " }"])


def _short(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
