"""Whether a model is useful: a bound that stops what nobody should ship, and proves no more.

A model is not shipped if one of these holds:

- its labeled photos say so: the report begins with "Do not use", or "Do not rely on" (image AUROC
  below 0.95 or a threshold that passes most defects or rejects most good parts; assessment.py);
- its report is "Not measured" for want of labeled photos, and the held-out good photos score hardly
  lower than with drawn defects, of kinds that no training draws: AUROC below 0.8, as of "useless"
  for labeled photos;
- a parity check or the accuracy gate of its graph or engine fails.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edgeseg.data.defective.families import FAMILIES, draw_defect
from edgeseg.data.frames import evenly
from edgeseg.data.images import read_image, resize, write_png
from edgeseg.data.layouts import Dataset
from edgeseg.evaluation.assessment import BOUNDS
from edgeseg.evaluation.operating_points import auroc
from edgeseg.loading import open_model
from edgeseg.prediction import Model
from edgeseg.report.decision import Decision
from edgeseg.text import percent

LEAST = BOUNDS["useless"]
MOST = 24  # held-out photos that are judged
HEIGHT = 160  # of the picture, pixels
MORE = "more photos of good parts, or more --minutes"
UNKNOWN = "no photos of defects, and fewer than two of good parts held out"


def judge_drawn(graph: Path, dataset: Dataset, held: Sequence[Path], picture: Path) -> float:
    """Return how held-out photos rank below the same with drawn defects, as `ranking`.

    picture: is written, a photo of a defect, or else a drawn one, with the map of the model.
    """
    with open_model(graph) as backend, Model(backend) as model:
        card = backend.card
        chosen = [held[place] for place in evenly(len(held), MOST)] if held else []
        good, bad = [], []
        shown = next((sample.path for sample in dataset.test if not sample.good), None)
        example = None if shown is None else read_image(shown, card.bit_depth)
        for seed, path in enumerate(chosen):
            photo = read_image(path, card.bit_depth)
            height, width = card.content_of((photo.shape[0], photo.shape[1])).size
            clean = resize(photo, height, width)
            inside = card.roi.inside((height, width)) if card.roi else None
            rng = np.random.default_rng([seed, 5])
            drawn = [draw_defect(family, clean, rng, inside)[0] for family in FAMILIES]
            good.append(model(clean, channels="rgb").score)
            bad.append([model(image, channels="rgb").score for image in drawn])
            example = drawn[0] if example is None else example
        if example is not None:
            view = model(example, channels="rgb").draw()[:, :, ::-1]
            width = max(round(view.shape[1] * HEIGHT / view.shape[0]), 1)
            small = cv2.resize(view, (width, HEIGHT), interpolation=cv2.INTER_AREA)
            write_png(picture, np.asarray(small, np.uint8))
    return ranking(good, bad)


def ranking(good: Sequence[float], bad: Sequence[Sequence[float]]) -> float:
    """Return the AUROC of photos, [photos], against defects drawn on them, [photos, families].

    A defect is compared with the other photos only: on its own photo even a model that has learned
    nothing scores it a little higher. The median over the families, as some are invisible on some
    parts; NaN for less than two photos.
    """
    if len(good) < 2:
        return math.nan
    others = [
        [auroc(np.array([score]), np.delete(np.array(good), place)) for score in scores]
        for place, scores in enumerate(bad)
    ]
    return float(np.median(np.mean(others, axis=0)))


def unknown(dataset: Dataset, held: int) -> str | None:
    """Return why a model will not be shipped, before it is trained; held: photos held out."""
    return None if held > 1 or any(not sample.good for sample in dataset.test) else UNKNOWN


def useless(decision: Decision, drawn: float) -> tuple[str, str] | None:
    """Return why a model is not shipped and what to do; None: it is. drawn: of `judge_drawn`."""
    if decision.tone == "stop":
        return decision.title, "; ".join(decision.steps) or MORE
    if decision.tone != "unmeasured" or drawn >= LEAST:
        return None
    if math.isnan(drawn):
        return f"Nothing is known about this model: {UNKNOWN}", f"photos of defects, or {MORE}"
    return (
        "Do not use this model: a good part with a drawn defect scores higher than another without "
        f"one in only {percent(drawn)} of the pairs (expected {percent(LEAST)} or more; chance "
        "alone gives 50 %)",
        f"check that all good photos show the same part, place and light; {MORE}",
    )
