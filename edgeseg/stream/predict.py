"""The command `predict`: a mask, an overlay, an anomaly map and a line of JSON for each image.

    <out>/<stem>_mask.png      uint8, 0 good, 255 anomalous, at the size of the image
    <out>/<stem>_overlay.png   the image with its anomaly map and the outline of the mask
    <out>/<stem>_map.npy       the anomaly map, float32 [S, S]
    <out>/predictions.jsonl    a line for each image, written as soon as its files are complete

The graph's mask has the size of its frames. For an image of another size the mask is computed as in
the graph: the anomaly map is resized bilinearly to the image and compared with the threshold.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from edgeseg.data.images import read_image, walk_images, write_png
from edgeseg.errors import DataError, ModelError, SinkError
from edgeseg.files import replacing
from edgeseg.log import log
from edgeseg.prediction import Model, Prediction
from edgeseg.progress import task
from edgeseg.runtime.base import Backend
from edgeseg.text import table

LINES = "predictions.jsonl"


@dataclass(frozen=True, kw_only=True)
class ImageResult:
    """The result of one image, as in its line of predictions.jsonl."""

    file: str
    score: float
    verdict: str
    milliseconds: float
    """From the decoded image to the graph's mask."""
    outputs: dict[str, str]
    """`mask`, `overlay`, `map` -> file name in the output folder."""


@dataclass(frozen=True, kw_only=True)
class PredictReport:
    """The results of one call, in the order of the images."""

    out: Path
    engine: str
    threshold: float
    image_threshold: float
    images: tuple[ImageResult, ...]

    def summary(self) -> str:
        """Return the results as text."""
        rows = [
            (each.file, f"{each.score:.4f}", each.verdict, f"{each.milliseconds:.1f} ms")
            for each in self.images
        ]
        verdicts = Counter(each.verdict for each in self.images)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        end = [f"{counts}  ({self.engine})", f"written to {self.out}"]
        return "\n".join([*table(rows, "<><>"), *end])

    def to_json(self) -> dict[str, Any]:
        """Return the results as one JSON object."""
        return asdict(self) | {"out": str(self.out)}


def predict(
    backend: Backend,
    images: Sequence[Path],
    out: Path,
    *,
    threshold: float | None,
    image_threshold: float | None,
) -> PredictReport:
    """Process image files, and the images in folders and subfolders; write the results to `out`.

    Thresholds: None for the model's own. DataError names an image that cannot be read; the results
    of the images before it are kept, with their lines in predictions.jsonl.
    """
    model = Model(backend, threshold=threshold, image_threshold=image_threshold)
    files = _expand(images)
    names = output_names(files)
    if names != [path.stem for path in files]:
        log.info("images share a file name: the names of their outputs include the folder")
    results = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / LINES).open("w", encoding="utf-8") as lines, task("predict", len(files)) as bar:
            for path, name in zip(files, names, strict=True):
                found = _run(model, path)
                result = ImageResult(
                    file=str(path),
                    score=found.score,
                    verdict=found.verdict,
                    milliseconds=found.milliseconds,
                    outputs=_write(out, name, found),
                )
                _write_line(lines, result)
                results.append(result)
                bar.advance()
    except OSError as error:
        raise SinkError(
            f"cannot write {error.filename or out}: {error.strerror}.",
            remedy="choose another folder with --out, or free some space",
            code="sink/cannot-write",
        ) from error
    return PredictReport(
        out=out,
        engine=backend.name,
        threshold=model.threshold,
        image_threshold=model.image_threshold,
        images=tuple(results),
    )


def output_names(files: Sequence[Path]) -> list[str]:
    """Return unique names for the outputs: the stem of each file, or more of its path.

    `good/0.png` and `bad/0.png` become `good_0` and `bad_0`; together with `bad/0.jpg`, `bad_0_png`
    and `bad_0_jpg`; remaining duplicates are numbered. Case is ignored, as by some file systems.
    """
    names = [path.stem for path in files]
    for suffixed in (False, True):
        count = Counter(name.casefold() for name in names)
        for i, path in enumerate(files):
            if count[names[i].casefold()] > 1:
                suffix = path.suffix.replace(".", "_") if suffixed else ""
                names[i] = f"{path.resolve().parent.name}_{path.stem}{suffix}"
    taken: set[str] = set()
    for i, name in enumerate(names):
        number = 2
        while names[i].casefold() in taken:
            names[i] = f"{name}-{number}"
            number += 1
        taken.add(names[i].casefold())
    return names


def _expand(inputs: Sequence[Path]) -> list[Path]:
    """List the image files of the inputs, without duplicates."""
    files: list[Path] = []
    for path in inputs:
        found = walk_images(path) if path.is_dir() else [path]
        if not found:
            raise DataError(
                f"no images in {path}.",
                remedy="put PNG, JPEG, BMP or TIFF files there",
                code="data/no-images",
            )
        files += found
    if not files:
        raise DataError(
            "no image given.",
            remedy="edgeseg predict MODEL photos/ --out DIR",
            code="data/no-images",
        )
    return list(dict.fromkeys(files))


def _run(model: Model, path: Path) -> Prediction:
    """Run one image; an error of the model names the file."""
    image = read_image(path)
    try:
        return model(image, channels="rgb")
    except ModelError as error:
        raise ModelError(
            f"{path}: {error.problem}", remedy=error.remedy, code=error.code
        ) from error


def _write(out: Path, name: str, found: Prediction) -> dict[str, str]:
    """Write the three files of one image; return their names."""
    outputs = {
        "mask": f"{name}_mask.png",
        "overlay": f"{name}_overlay.png",
        "map": f"{name}_map.npy",
    }
    write_png(out / outputs["mask"], found.mask)
    write_png(out / outputs["overlay"], found.draw()[:, :, ::-1])
    with replacing(out / outputs["map"]) as part:
        np.save(part, found.anomaly_map)
    return outputs


def _write_line(lines: TextIO, result: ImageResult) -> None:
    """Write a line through to the disk, so that a later error cannot lose it."""
    lines.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")
    lines.flush()
    os.fsync(lines.fileno())
