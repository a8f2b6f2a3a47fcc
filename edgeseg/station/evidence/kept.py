"""One kept frame: a folder that is renamed into its place when all its files are written.

    frame.png    the bytes that the graph got, without loss: of nv12, yuyv and bayer as a gray image
    mask.png     0 good, 255 anomalous
    floats.png   the anomaly map, without loss: the four bytes of each float32 in four gray images,
                 one below the other, the lowest byte first
    record.json  the inspection, what the model alone said, and hashes of model, card and files

What a power cut has left incomplete does not fit the hashes, and is refused.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.data.formats.decode import decode
from edgeseg.data.formats.frame_bytes import to_bgr
from edgeseg.data.images import Image, encode_png
from edgeseg.errors import DataError
from edgeseg.files import PART, cannot_read, shown
from edgeseg.frame.geometry import Box, Size
from edgeseg.frame.pixel_formats import FrameFormat, picture_size
from edgeseg.schema import Invalid, build, parse
from edgeseg.station.evidence.quota import RECORD
from edgeseg.station.inspection import Inspection
from edgeseg.stream.sink.overlay import draw
from edgeseg.verdict.names import VerdictName

VERSION = 1
COLORS = ("bgr", "rgb")


@dataclass(frozen=True, kw_only=True)
class KeptRecord:
    """What is known of a kept frame."""

    v: int = VERSION
    inspection: Inspection
    verdict: VerdictName
    """Of the model; the line may have been told something else, for instance that it is stopped."""
    reason: str = ""
    score: float | None = None
    """Not rounded; None: NaN or infinite."""
    threshold: float
    """Of the anomaly map."""
    recipe: dict[str, Any]
    """The settings of the recipe that override the model's."""
    model: str
    """The name of the model."""
    weights_sha256: str
    card_sha256: str
    frame_format: FrameFormat
    frame_shape: tuple[int, int, int]
    map_shape: tuple[int, int]
    picture: Size
    """(height, width) of the picture that came from the source."""
    shown: tuple[int, int, int, int]
    """Where the frame shows it: top, left, height, width."""
    content: tuple[int, int, int, int]
    """Where the anomaly map shows it."""
    lost: bool = False
    """Whether the part was looked for and not found."""
    files: dict[str, str]
    """Name -> SHA-256."""


@dataclass(frozen=True, eq=False)
class Kept:
    """A kept frame that was read and checked."""

    path: Path
    record: KeptRecord
    frame: NDArray[np.uint8]
    """uint8, as the graph got it."""
    mask: NDArray[np.uint8]
    """uint8 [H, W]."""
    anomaly_map: NDArray[np.float32]
    """float32 [h, w], as the graph wrote it."""

    @property
    def shown(self) -> Box:
        """Where frame and mask show the picture of the source."""
        return Box(*self.record.shown)

    @property
    def image(self) -> Image:
        """The picture, BGR uint8 [H, W, 3]."""
        shown = self.shown
        return to_bgr(self.frame, self.record.frame_format)[shown.rows, shown.columns]

    @property
    def image_mask(self) -> NDArray[np.uint8]:
        """The mask of the picture, uint8 [H, W]."""
        shown = self.shown
        return self.mask[shown.rows, shown.columns]

    def overlay(self) -> Image:
        """Return the picture with map and outlines of the mask, BGR uint8 [H, W, 3]."""
        inside = Box(*self.record.content)
        values = self.anomaly_map[inside.rows, inside.columns]
        return draw(self.image, self.image_mask, values, self.record.threshold)


def encoded(
    frame: NDArray[np.uint8],
    kind: FrameFormat,
    mask: NDArray[np.uint8],
    anomaly_map: NDArray[np.float32],
) -> dict[str, bytes]:
    """Return the contents of the image files, by name."""
    height, width = anomaly_map.shape
    planes = anomaly_map.astype("<f4", copy=False).view(np.uint8).reshape(height, width, 4)
    flat = frame[:, :, ::-1] if kind == "bgr" else frame.reshape(len(frame), -1)
    return {
        "frame.png": encode_png(frame if kind == "rgb" else flat),
        "mask.png": encode_png(mask),
        "floats.png": encode_png(planes.transpose(2, 0, 1).reshape(4 * height, width)),
    }


def write_kept(folder: Path, files: dict[str, bytes], record: KeptRecord) -> int:
    """Write the files of a kept frame to a new folder; return their size in bytes. OSError."""
    document = asdict(record) | {"inspection": record.inspection.document()}
    text = json.dumps(document, indent=1) + "\n"
    contents = files | {RECORD: text.encode()}
    folder.mkdir(parents=True)
    for name, data in contents.items():
        with (folder / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    return sum(map(len, contents.values()))


def digests(files: dict[str, bytes]) -> dict[str, str]:
    """Return the SHA-256 of contents."""
    return {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}


def kept_folders(folder: Path) -> list[Path]:
    """Return the kept frames in a folder and its subfolders, in the order of their names.

    Those that a running station writes or deletes meanwhile are left out.
    """
    found = []
    for place, folders, names in os.walk(folder):  # unlike rglob, no error if a folder goes
        folders[:] = [name for name in folders if not name.startswith(PART)]
        if RECORD in names:
            found.append(Path(place))
    return sorted(found)


def read_record(path: Path) -> KeptRecord:
    """Read the record of a kept frame; DataError (`data/evidence`) if it is damaged."""
    try:
        return build(KeptRecord, parse((path / RECORD).read_bytes()))
    except (Invalid, ValueError) as error:
        raise _damaged(path, f"{RECORD}: {error}") from error
    except OSError as error:
        raise cannot_read(path / RECORD, error) from error


def read_kept(path: Path) -> Kept:
    """Read a kept frame and check it against its hashes.

    DataError: it is missing (`data/unreadable`) or damaged (`data/evidence`).
    """
    record = read_record(path)
    contents = dict(_contents(path, record))
    height, width = record.map_shape
    try:
        frame = _pixels(path, contents, "frame.png", prod(record.frame_shape))
        if record.frame_format == "bgr":
            frame = np.ascontiguousarray(frame[:, :, ::-1])
        rows, columns = picture_size(record.frame_format, record.frame_shape)
        mask = _pixels(path, contents, "mask.png", rows * columns)
        planes = _pixels(path, contents, "floats.png", 4 * height * width)
    except KeyError as error:
        raise _damaged(path, f"{RECORD} does not name {error}") from error
    planes = np.ascontiguousarray(planes.reshape(4, height, width).transpose(1, 2, 0))
    return Kept(
        path=path,
        record=record,
        frame=frame.reshape(record.frame_shape),
        mask=mask.reshape(rows, columns),
        anomaly_map=planes.view("<f4").reshape(height, width),
    )


def _contents(path: Path, record: KeptRecord) -> Iterator[tuple[str, bytes]]:
    for name, digest in record.files.items():
        if Path(name).name != name:
            raise _damaged(path, f"{RECORD} names the file {shown(name)}")
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            raise cannot_read(path / name, error) from error
        if hashlib.sha256(data).hexdigest() != digest:
            raise _damaged(path, f"{name} was changed, or not written whole")
        yield name, data


def _pixels(path: Path, contents: dict[str, bytes], name: str, size: int) -> NDArray[np.uint8]:
    pixels = decode(contents[name], shown(path / name))
    if pixels.dtype != np.uint8 or pixels.size != size:
        what = f"{pixels.size} values of {pixels.dtype} (expected {size} of uint8)"
        raise _damaged(path, f"{name} has {what}")
    return pixels.astype(np.uint8, copy=False)


def _damaged(path: Path, problem: str) -> DataError:
    return DataError(
        f"{shown(path)} is no kept frame that can be used: {problem}",
        remedy="restore the folder from a copy, or delete it",
        code="data/evidence",
    )
