"""The photos of the report: which of them, and each with what the model saw in it."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeseg.data.frames import evenly
from edgeseg.data.images import Image, read_image
from edgeseg.data.layouts import Dataset, Sample
from edgeseg.data.truth import read_mask
from edgeseg.errors import DataError
from edgeseg.evaluation.scores import ScoredImage
from edgeseg.files import sha256, shown
from edgeseg.heat import blend, levels
from edgeseg.prediction import Prediction
from edgeseg.report.measured import Judgements
from edgeseg.verdict.names import UNKNOWN

SIDE = 400  # longest side of a picture, pixels
QUALITY = 80  # of JPEG
SEEN, ERRORS, NEAREST, TYPES, DOUBTFUL, BEST = 4, 6, 3, 8, 4, 3  # pictures of each kind
TRUTH = (167, 121, 204)  # BGR violet: the outline of a defect as a person marked it


@dataclass(frozen=True)
class Picture:
    """A photo of the page, and the same photo with what the model saw."""

    name: str
    photo: str
    """Data URI of a JPEG file."""
    overlay: str = ""
    label: str = ""
    verdict: str = ""
    score: float | None = None
    outlined: bool = False
    """Whether the photo has the outline of the defect."""


@dataclass(frozen=True)
class Group:
    """Pictures of one kind."""

    title: str
    words: str
    pictures: tuple[Picture, ...]
    large: bool


@dataclass(frozen=True)
class Choice:
    """Photos of one kind, before their pictures are made."""

    title: str
    words: str
    rows: tuple[ScoredImage, ...]
    large: bool = False
    """Whether the details matter: of the errors."""


def choose(measured: Judgements) -> list[Choice]:
    """Choose the photos that tell most; kinds without a photo are left out."""
    by_score = sorted(measured.judged, key=lambda row: row.score or 0.0)
    accepted = [row for row in by_score if row.good and row.verdict == "good"]
    rejected = [row for row in by_score if row.good and row.verdict != "good"]
    missed = [row for row in by_score if not row.good and row.verdict == "good"]
    unknown = [row for row in measured.rows if row.verdict == UNKNOWN and row.score is not None]
    choices = [
        Choice(
            "Defective parts that pass as good",
            "The lowest scores first. Each of them would leave the line as a good part.",
            tuple(missed[:ERRORS]),
            large=True,
        ),
        Choice(
            "Good parts that are rejected",
            "The highest scores first. What is orange here is no defect.",
            tuple(rejected[::-1][:ERRORS]),
            large=True,
        ),
        Choice(
            "Good parts nearest to the threshold",
            "They pass, with the least margin.",
            tuple(accepted[::-1][:NEAREST]),
        ),
        Choice(
            "Typical detections",
            "Of each type of defect the photo with the middle score among those that are found.",
            tuple(_typical(by_score))[:TYPES],
        ),
        Choice(
            "Photos that cannot be judged",
            "They get the verdict unknown, never good.",
            tuple(unknown[:DOUBTFUL]),
        ),
        Choice(
            "Good parts with the lowest scores",
            "What the model takes for a part without any doubt.",
            tuple(accepted[: min(BEST, max(len(accepted) - NEAREST, 0))]),
        ),
    ]
    return [choice for choice in choices if choice.rows]


def make_groups(
    choices: Iterable[Choice], dataset: Dataset, judge: Callable[[Image], Prediction], depth: int
) -> list[Group]:
    """Run the chosen photos again and draw them. judge: of RGB photos; depth: bits of the card."""
    samples = {sample.path: sample for sample in (*dataset.test, *dataset.train)}
    groups = []
    for choice in choices:
        pictures = []
        for row in choice.rows:
            path = dataset.root / row.file
            image = read_image(path, depth)
            pictures.append(_picture(row, image, judge(image), samples.get(path)))
        groups.append(Group(choice.title, choice.words, tuple(pictures), choice.large))
    return groups


def parts_seen(dataset: Dataset, trained: Mapping[str, str], depth: int) -> list[Picture]:
    """Return some of the good photos that a model was trained on, as far as they are at hand.

    trained: relative path -> SHA-256, of the run's card. A photo that has changed or that cannot be
    read is left out.
    """
    paths = [path for name in sorted(trained) if (path := dataset.root / name).is_file()]
    pictures = []
    for place in evenly(len(paths), SEEN):
        path = paths[place]
        if sha256(path) != trained[path.relative_to(dataset.root).as_posix()]:
            continue
        with suppress(DataError):
            image = read_image(path, depth)
            pictures.append(Picture(_name(path, dataset.root), jpeg(fitted(image[:, :, ::-1]))))
    return pictures


def legend(width: int = 320, height: int = 22) -> str:
    """Return the color scale on a gray part, from zero to twice the threshold, as a data URI."""
    ramp = np.linspace(0, 2, width, dtype=np.float32)[None].repeat(height, axis=0)
    done, file = cv2.imencode(
        ".png", blend(np.full((height, width, 3), 128, np.uint8), levels(ramp, 1.0))
    )
    assert done, "a gray image can be encoded"
    return data_uri(file.tobytes(), "image/png")


def data_uri(data: bytes, kind: str) -> str:
    """Return a file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def jpeg(image: Image) -> str:
    """Return BGR uint8 [h, w, 3] as the data URI of a JPEG file."""
    done, file = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise DataError(
            f"cannot encode {list(image.shape)} as JPEG", remedy="report this", code="data/encode"
        )
    return data_uri(file.tobytes(), "image/jpeg")


def _typical(by_score: Sequence[ScoredImage]) -> Iterable[ScoredImage]:
    found = [row for row in by_score if not row.good and row.verdict == "anomalous"]
    for label in sorted({row.label for row in found}):
        of_type = [row for row in found if row.label == label]
        yield of_type[len(of_type) // 2]


def _picture(row: ScoredImage, image: Image, found: Prediction, sample: Sample | None) -> Picture:
    mask = sample.mask if sample else None
    photo = fitted(image[:, :, ::-1])
    if mask is not None:
        photo = _outlined(photo, read_mask(mask).astype(np.uint8))
    return Picture(
        name=shown(row.file),
        photo=jpeg(photo),
        overlay=jpeg(fitted(found.draw())),
        label=row.label,
        verdict=row.verdict,
        score=row.score,
        outlined=mask is not None,
    )


def _outlined(photo: Image, mask: Image) -> Image:
    """Return BGR uint8 [h, w, 3] with the outline of a mask of another size around the defect."""
    result = photo.copy()
    size = photo.shape[1::-1]
    area = cv2.dilate(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), np.ones((7, 7)))
    outlines, _ = cv2.findContours(area, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(result, outlines, -1, TRUTH, 2)
    return result


def fitted(image: Image) -> Image:
    """Scale an image so that its longest side is SIDE; a small one at most four times."""
    height, width = image.shape[:2]
    scale = min(SIDE / max(height, width), 4)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)


def _name(path: Path, root: Path) -> str:
    return shown(path.relative_to(root).as_posix())
