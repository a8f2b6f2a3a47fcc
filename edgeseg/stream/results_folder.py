"""The output folder of `predict`: what is written, under which names, and what is never touched.

    <out>/<stem>_mask.png             uint8, 0 good, 255 anomalous, at the size of the image
    <out>/<stem>_overlay.png          the image with its anomaly map and the outline of the mask
    <out>/<stem>_map.npy              the anomaly map of the image, float32 [h, w]
    <out>/predictions.jsonl           a line for each image of the last call that came to its end
    <out>/predictions.partial.jsonl   the lines of a call that did not, until the next call
    <out>/regions.csv                 a row for each region, when the call has come to its end
    <out>/regions.coco.json           the regions as a COCO data set, likewise
    <out>/predictions.index           what was written here, with hashes (index.py)

Only one process writes to a folder at a time. A file that is not in the index, that was edited
since, or that is a link is never replaced: the call is refused before its first image.
"""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from edgeseg.data.images import encode_png
from edgeseg.errors import SinkError
from edgeseg.files import cannot_write, locked, sha256, shown, write_atomic
from edgeseg.index import append, check_index
from edgeseg.log import log
from edgeseg.prediction import Prediction
from edgeseg.stream.region_files import COCO, CSV, RegionFiles
from edgeseg.text import listed

LINES = "predictions.jsonl"
PARTIAL = "predictions.partial.jsonl"
ENDINGS = {"mask": "_mask.png", "overlay": "_overlay.png", "map": "_map.npy"}
ANY = ""  # in place of a hash: a file that grows
NAMED = 5  # files that a message names
LONGEST = 200  # bytes of a stem; file systems allow 255 with the ending


class ResultsFolder:
    """An open output folder; `open_results` locks and checks it."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._hashes = check_index(out)
        self._lines: TextIO | None = None
        self._regions = RegionFiles()

    def check(self, names: Sequence[str]) -> None:
        """SinkError if a file of these outputs exists that predict did not write."""
        files = [LINES, PARTIAL, CSV, COCO]
        files += [name + end for name in names for end in ENDINGS.values()]
        if foreign := [shown(file) for file in files if self._is_foreign(file)]:
            raise SinkError(
                f"{len(foreign)} of the files to write exist in {shown(self._out)} and were not "
                f"written by edgeseg predict, or were changed since: {listed(foreign, NAMED)}",
                remedy="choose another folder with --out, or move these files",
                code="sink/not-ours",
            )

    def write(self, file: Path, name: str, found: Prediction) -> dict[str, str]:
        """Write the three files of one image; return their names."""
        self._regions.add(file, found)
        stream = BytesIO()
        np.save(stream, found.anomaly_map)
        contents = {
            "mask": encode_png(found.mask),
            "overlay": encode_png(found.draw()[:, :, ::-1]),
            "map": stream.getvalue(),
        }
        outputs = {kind: name + end for kind, end in ENDINGS.items()}
        for kind, data in contents.items():
            self._write(outputs[kind], data)
        return outputs

    def _write(self, file: str, data: bytes) -> None:
        self._record(file, hashlib.sha256(data).hexdigest())
        write_atomic(self._out / file, data)

    def add_line(self, document: dict[str, Any]) -> None:
        """Write a line through to the disk, so that a later error cannot lose it."""
        if self._lines is None:
            self._lines = self._open_partial()
        self._lines.write(json.dumps(document) + "\n")
        self._lines.flush()
        os.fsync(self._lines.fileno())

    def complete(self) -> None:
        """Let the lines and the regions of this call replace those of the call before."""
        for file, data in self._regions.contents().items():
            self._write(file, data)
        partial = self.close()
        assert partial is not None, "a call without a result is an error"
        self._record(LINES, sha256(partial))
        partial.replace(self._out / LINES)

    def close(self) -> Path | None:
        """Close the file of the lines and return its path; None if there is none."""
        if self._lines is None:
            return None
        self._lines.close()
        return self._out / PARTIAL

    def _open_partial(self) -> TextIO:
        self._record(PARTIAL, ANY)
        path = self._out / PARTIAL
        path.unlink(missing_ok=True)
        return path.open("x", encoding="ascii")

    def _record(self, file: str, digest: str) -> None:
        if digest not in self._hashes.setdefault(file, set()):
            append(self._out, file, digest)
            self._hashes[file].add(digest)

    def _is_foreign(self, file: str) -> bool:
        path = self._out / file
        if not os.path.lexists(path):
            return False
        if path.is_symlink() or not path.is_file():
            return True
        known = self._hashes.get(file, set())
        return not known or (ANY not in known and sha256(path) not in known)


@contextmanager
def open_results(out: Path, names: Sequence[str]) -> Iterator[ResultsFolder]:
    """Create, lock and check an output folder for the outputs of some names.

    After an error the lines of the finished images are kept, and logged. WriteError: full disk or
    missing permission; EdgesegError (`files/locked`): another process writes there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with locked(out):
            folder = ResultsFolder(out)
            folder.check(names)
            try:
                yield folder
            except BaseException:
                if partial := folder.close():
                    log.warning(f"the results until then are listed in {shown(partial)}")
                raise
            folder.complete()
    except OSError as error:
        raise cannot_write(Path(error.filename or out), error) from error


def output_names(files: Sequence[Path]) -> list[str]:
    """Return unique names for the outputs: the stem of each file, or more of its path.

    `good/0.png` and `bad/0.png` become `good_0` and `bad_0`; together with `bad/0.jpg`, `bad_0_png`
    and `bad_0_jpg`; remaining duplicates are numbered. Case is ignored, as by some file systems.
    Of a very long name the end is replaced by a hash.
    """
    names = [path.stem for path in files]
    for suffixed in (False, True):
        count = Counter(name.casefold() for name in names)
        for i, path in enumerate(files):
            if count[names[i].casefold()] > 1:
                suffix = path.suffix.replace(".", "_") if suffixed else ""
                names[i] = f"{path.resolve().parent.name}_{path.stem}{suffix}"
    taken: set[str] = set()
    for i, name in enumerate(map(_shortened, names)):
        names[i], number = name, 2
        while names[i].casefold() in taken:
            names[i] = f"{name}-{number}"
            number += 1
        taken.add(names[i].casefold())
    return names


def _shortened(name: str) -> str:
    encoded = os.fsencode(name)
    if len(encoded) <= LONGEST:
        return name
    digest = hashlib.sha256(encoded).hexdigest()[:8]
    return f"{encoded[: LONGEST - 9].decode('utf-8', 'ignore')}-{digest}"
