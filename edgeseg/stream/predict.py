"""The command `predict`: a mask, an overlay, an anomaly map and a line of JSON for each image.

The graph's mask has the size of its frames. For an image of another size the mask is computed as in
the graph: the anomaly map is resized bilinearly to the image and compared with the threshold.
Where the files go: results_folder.py.
"""

import math
from collections.abc import Sequence
from pathlib import Path

from edgeseg.data.damaged import DamagedImages
from edgeseg.data.images import read_image
from edgeseg.data.listing import walk_images
from edgeseg.errors import DataError, ModelError
from edgeseg.files import check_outputs, shown
from edgeseg.log import log
from edgeseg.prediction import Model, Prediction
from edgeseg.progress import task
from edgeseg.runtime.base import Backend
from edgeseg.stream.predict_report import ImageResult, PredictReport
from edgeseg.stream.results_folder import open_results, output_names
from edgeseg.verdict.names import UNKNOWN
from edgeseg.verdict.region_config import OWN, RegionConfig
from edgeseg.verdict.verdict import DAMAGED


def image_files(images: Sequence[Path], out: Path, *, model: Path | None = None) -> list[Path]:
    """List image files, and the images in folders and subfolders, each once.

    ConfigError if the output folder is or contains one of the inputs or the model; DataError for a
    folder without images.
    """
    check_outputs({"--out": out}, [*images, *([model] if model else [])])
    files: list[Path] = []
    for path in images:
        if not path.exists():
            raise DataError(
                f"not found: {shown(path)}",
                remedy="name image files or folders of images: edgeseg predict MODEL photos/",
                code="data/not-found",
            )
        files += walk_images(path) if path.is_dir() else [path]
    if not files:
        raise DataError(
            "no image given.",
            remedy="edgeseg predict MODEL photos/ --out DIR",
            code="data/no-images",
        )
    return list(dict.fromkeys(files))


def predict(
    backend: Backend,
    files: Sequence[Path],
    out: Path,
    *,
    threshold: float | None,
    image_threshold: float | None,
    regions: RegionConfig = OWN,
    strict: bool = False,
) -> PredictReport:
    """Judge the files of `image_files` and write the results to `out`.

    Thresholds: None for the model's own, as in `regions`. strict: `check` of the report refuses
    damaged images; otherwise they are listed. DataError if all are damaged; those of
    `open_results`.
    """
    rule = regions.applied(backend.card.rule)
    model = Model(backend, threshold=threshold, image_threshold=image_threshold, rule=rule)
    names = output_names(files)
    if names != [path.stem for path in files]:
        log.info("some outputs have other names than their images: see predictions.jsonl")
    results, damaged = [], DamagedImages()
    with open_results(out, names) as folder, task("predict", len(files)) as bar:
        for path, name in zip(files, names, strict=True):
            try:
                found = _run(model, path, backend.card.bit_depth)
            except DataError as error:
                damaged.add(path, error)
                folder.add_line(_unread(path).to_json())
            else:
                result = ImageResult(
                    file=str(path),
                    score=found.score,
                    verdict=found.verdict,
                    reason=found.reason,
                    milliseconds=found.milliseconds,
                    outputs=folder.write(path, name, found),
                    regions=found.regions,
                    region_count=found.region_count,
                )
                folder.add_line(result.to_json())
                results.append(result)
            bar.advance()
        damaged.refuse_all(len(files))
    return PredictReport(
        out=out,
        engine=backend.name,
        threshold=model.threshold,
        image_threshold=model.image_threshold,
        rule=model.rule,
        images=tuple(results),
        damaged=tuple(damaged.found),
        strict=strict,
    )


def _unread(path: Path) -> ImageResult:
    """Return the line of an image that cannot be read."""
    return ImageResult(
        file=str(path),
        score=math.nan,
        verdict=UNKNOWN,
        reason=DAMAGED,
        milliseconds=0.0,
        outputs={},
    )


def _run(model: Model, path: Path, bit_depth: int) -> Prediction:
    """Run one image; an error of the model names the file."""
    image = read_image(path, bit_depth)
    try:
        return model(image, channels="rgb")
    except ModelError as error:
        raise ModelError(
            f"{shown(path)}: {error.problem}", remedy=error.remedy, code=error.code
        ) from error
