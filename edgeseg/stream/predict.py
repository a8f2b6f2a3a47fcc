"""Images in; masks, overlays, maps and one line of JSON for each out.

    <out>/<stem>_mask.png      uint8, 0 good, 255 anomalous, at the image's own size
    <out>/<stem>_overlay.png   the image with its heat and the mask's outline
    <out>/<stem>_map.npy       the anomaly map, float32 [S, S]
    <out>/predictions.jsonl    a line for each image, written as soon as its files are complete

The graph's mask has the size of its frames. For an image of another size the mask is made again as
the graph makes it: the map, bilinearly enlarged to the image, compared with the threshold. (The
nearest pixels of the graph's mask would be the same shape with stairs.)
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from edgeseg.cards import replacing
from edgeseg.data.images import read_image, walk_images, write_png
from edgeseg.errors import DataError, ModelError, SinkError
from edgeseg.log import log
from edgeseg.prediction import Model, Prediction
from edgeseg.progress import task
from edgeseg.runtime.base import Backend

LINES = "predictions.jsonl"


@dataclass(frozen=True, kw_only=True)
class PredictedFile:
    """One image's result, as its line in predictions.jsonl."""

    file: str
    score: float
    verdict: str
    milliseconds: float
    """From the decoded image to the graph's mask: fitting it into the frame, and the run."""
    outputs: dict[str, str]
    """`mask`, `overlay`, `map` -> file name in the output folder."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """The results of one call, in the order of the images."""

    out: Path
    engine: str
    threshold: float
    image_threshold: float
    images: tuple[PredictedFile, ...]

    def summary(self) -> str:
        """Return the results as text."""
        width = max(len(p.file) for p in self.images)
        lines = [
            f"{p.file:<{width}}  {p.score:7.4f}  {p.verdict:<9}  {p.milliseconds:7.1f} ms"
            for p in self.images
        ]
        verdicts = Counter(p.verdict for p in self.images)
        counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.items())
        return "\n".join([*lines, f"{counts}  ({self.engine})", f"written to {self.out}"])

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
) -> Predictions:
    """Run images, and the images in and below folders, and write the results to `out`.

    Thresholds: None takes the model's own. DataError names an image that cannot be read; what was
    written for the images before it stays, and predictions.jsonl has their lines.
    """
    model = Model(backend, threshold=threshold, image_threshold=image_threshold)
    files = _expand(images)
    names = output_names(files)
    if names != [path.stem for path in files]:
        log.info("some inputs share a name: their outputs begin with the folder's name as well")
    results = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / LINES).open("w", encoding="utf-8") as lines, task("predict", len(files)) as bar:
            for path, name in zip(files, names, strict=True):
                found = _run(model, path)
                result = PredictedFile(
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
            f"{error.filename or out} cannot be written: {error.strerror}.",
            remedy="name another folder with --out, or make room",
        ) from error
    return Predictions(
        out=out,
        engine=backend.name,
        threshold=model.threshold,
        image_threshold=model.image_threshold,
        images=tuple(results),
    )


def output_names(files: Sequence[Path]) -> list[str]:
    """Return a name for the outputs of each file: its stem, or more of its path where stems meet.

    `good/0.png` and `bad/0.png` become `good_0` and `bad_0`; when `bad/0.jpg` comes to them,
    `bad_0_png` and `bad_0_jpg`; what still meets is numbered. Case is no difference: some disks
    know none.
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
    """List the files that the inputs name; a file that is named twice is taken once."""
    files: list[Path] = []
    for path in inputs:
        found = walk_images(path) if path.is_dir() else [path]
        if not found:
            raise DataError(
                f"{path} holds no image.", remedy="put PNG, JPEG, BMP or TIFF files there"
            )
        files += found
    if not files:
        raise DataError("No image was named.", remedy="edgeseg predict MODEL photos/")
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


def _write_line(lines: TextIO, result: PredictedFile) -> None:
    """Write a line and see it on the disk, so that a later error cannot take it."""
    lines.write(json.dumps(asdict(result), ensure_ascii=False) + "\n")
    lines.flush()
    os.fsync(lines.fileno())
