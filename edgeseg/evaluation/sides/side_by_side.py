"""`edgeseg compare`: two models on the same labeled images, and where their verdicts differ.

Each model is judged by its own thresholds. `verify` holds two conversions of one model to limits;
this compares any two models, also of other networks and frame sizes.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeseg.cards import CARD, ModelCard, read_card
from edgeseg.data.damaged import DamagedImages, damaged_lines, damaged_to_json
from edgeseg.data.defective.known import unseen_samples
from edgeseg.data.images import Image, encode_png
from edgeseg.data.layouts import Dataset, open_dataset
from edgeseg.data.truth import read_mask
from edgeseg.errors import ConfigError
from edgeseg.evaluation.assessment import TEST_GOOD
from edgeseg.evaluation.contact_sheet import SheetImage
from edgeseg.evaluation.evaluate import evaluate
from edgeseg.evaluation.folder import EVALUATIONS
from edgeseg.evaluation.operating_points import Rate
from edgeseg.evaluation.report import COLUMNS, Evaluation
from edgeseg.evaluation.run_images import run_images
from edgeseg.evaluation.scores import ScoredImage
from edgeseg.evaluation.sides.sheet import Pair, draw_pairs
from edgeseg.files import check_outputs, check_writable, replacing, sha256, shown
from edgeseg.loading import open_model
from edgeseg.runtime.base import Backend
from edgeseg.runtime.engine_pair import card_path
from edgeseg.text import signed, table
from edgeseg.verdict.names import ANOMALOUS, UNKNOWN
from edgeseg.verdict.names import GOOD as PASSED

DOCUMENT, SHEET = "comparison.json", "differences.png"
DRAWN = 12  # images of the sheet
LISTED = 20  # images of the text; the document has all


@dataclass(frozen=True)
class Difference:
    """An image with two verdicts."""

    a: ScoredImage
    b: ScoredImage

    @property
    def better(self) -> str:
        """Which of the models is right: `A`, `B`, or `-` where an unknown leaves it open."""
        right = PASSED if self.a.good else ANOMALOUS
        return "A" if self.a.verdict == right else "B" if self.b.verdict == right else "-"

    def to_json(self) -> dict[str, Any]:
        """Return the file, and for each model its verdict and score."""
        found: dict[str, Any] = {"file": self.a.file, "label": self.a.label, "better": self.better}
        for name, each in (("a", self.a), ("b", self.b)):
            found |= {name: {"verdict": each.verdict, "score": each.score, "reason": each.reason}}
        return found


@dataclass(frozen=True, kw_only=True)
class SideBySide:
    """The evaluations of two models on the same images."""

    names: tuple[str, str]
    a: Evaluation
    b: Evaluation
    trained_on: dict[str, int]
    """Defective images that `a`, `b` and `either` were trained on; none of the figures counts them.
    """
    out: Path
    draw: Callable[[], Image] = field(repr=False, compare=False)

    @property
    def differences(self) -> list[Difference]:
        """The images on which the verdicts differ, in the order of their files."""
        theirs = {image.file: image for image in self.b.images}
        pairs = (Difference(ours, theirs[ours.file]) for ours in self.a.images)
        found = [pair for pair in pairs if pair.a.verdict != pair.b.verdict]
        return sorted(found, key=lambda pair: (pair.a.good, pair.a.file))

    @property
    def chance(self) -> float:
        """The probability of so uneven differences if neither were better (exact sign test)."""
        better = [pair.better for pair in self.differences]
        few, many = sorted((better.count("A"), better.count("B")))
        tail = sum(math.comb(few + many, k) for k in range(few + 1)) / 2 ** (few + many)
        return float(min(2 * tail, 1.0))

    def summary(self) -> str:
        """Return both models, their figures and where they differ, as text."""
        found = self.differences
        lines = [
            *(f"{letter}: {name}" for letter, name in zip("AB", self.names, strict=True)),
            f"{self.a.dataset}: {self.a.good} {TEST_GOOD} and {self.a.overall.images} defective "
            "images, each model at its own thresholds",
            *self._left_out(),
            "",
            *self._figures(),
            "",
        ]
        for letter, one in (("A", self.a), ("B", self.b)):
            lines += [f"{letter}: {words}" for words in one.assessment.words[:1]]
        lines += ["", *self._counts(found), *_listing(found)]
        lines += damaged_lines(self.a.damaged)
        return "\n".join([*lines, f"pictures of the differences: {shown(self.out / SHEET)}"])

    def to_json(self) -> dict[str, Any]:
        """Return both evaluations and every difference."""
        return {
            "a": self.a.to_json(),
            "b": self.b.to_json(),
            "models": list(self.names),
            "differences": [pair.to_json() for pair in self.differences],
            "chance": self.chance,
            "trained_on": self.trained_on,
            **damaged_to_json(self.a.damaged),
        }

    def store(self) -> None:
        """Write comparison.json and differences.png."""
        document = {k: v for k, v in self.to_json().items() if k != "damaged"}  # no paths
        for part in ("a", "b"):
            document[part] = {k: v for k, v in document[part].items() if k != "damaged"}
        with replacing(self.out / DOCUMENT) as text, replacing(self.out / SHEET) as sheet:
            text.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", "ascii")
            sheet.write_bytes(encode_png(self.draw()))

    def _left_out(self) -> list[str]:
        words = "left out: {either} defective images that A ({a}) or B ({b}) was trained on"
        return [words.format(**self.trained_on)] if self.trained_on["either"] else []

    def _figures(self) -> list[str]:
        rows = [["", "A", "B", "B - A"]]
        for title, name in COLUMNS.items():
            ours, theirs = (getattr(one.overall.scores, name) for one in (self.a, self.b))
            cells = ["-" if math.isnan(v) else f"{v:.3f}" for v in (ours, theirs)]
            missing = math.isnan(ours) or math.isnan(theirs)
            rows.append([title, *cells, "" if missing else signed(theirs - ours, 3)])
        rates = [_rates(one) for one in (self.a, self.b)]
        for title in rates[0]:
            ours, theirs = (each[title] for each in rates)
            change = f"{theirs.count - ours.count:+d}"
            rows.append([title, _share(ours), _share(theirs), change])
        return table(rows, "<>>>")

    def _counts(self, found: list[Difference]) -> list[str]:
        total = len(self.a.images)
        if not found:
            return [f"both give the same verdict on all {total} images"]
        better = [pair.better for pair in found]
        line = f"different verdicts on {len(found)} of {total} images: A is right on "
        line += f"{better.count('A')}, B on {better.count('B')}"
        return [f"{line} (of two equal models, {100 * self.chance:.3g} % differ so unevenly)"]


def compare_models(
    a: Path, b: Path, data: Path, *, out: Path | None = None, threads: int | None = None
) -> SideBySide:
    """Evaluate two models, each a run, an ONNX file or an engine, on one labeled data set.

    out: default: evaluations/A-B/DATA. ConfigError (`compare/same-model`) for one model twice.
    """
    dataset = open_dataset(data)
    check_different(a, b)
    folder = out or EVALUATIONS / f"{_name(a)}-{_name(b)}" / dataset.name
    check_outputs({"--out": folder}, [a, b, data])
    check_writable(folder)
    with open_model(a, threads=threads) as ours, open_model(b, threads=threads) as theirs:
        known = {"a": ours.card.defects, "b": theirs.card.defects}
        known["either"] = known["a"] | known["b"]
        judging = {who: unseen_samples(dataset.test, defects) for who, defects in known.items()}
        trained_on = {who: len(dataset.test) - len(left) for who, left in judging.items()}
        dataset = replace(dataset, test=tuple(judging["either"]))
        found = SideBySide(
            names=(f"{shown(a)}, {ours.name}", f"{shown(b)}, {theirs.name}"),
            a=evaluate(ours, dataset, model=a),
            b=evaluate(theirs, dataset, model=b),
            trained_on=trained_on,
            out=folder,
            draw=lambda: np.zeros((1, 1, 3), np.uint8),
        )
        drawn = found.differences[:DRAWN]
        maps = [_maps(backend, dataset, drawn) for backend in (ours, theirs)]
    return replace(found, draw=partial(_draw, found, dataset, drawn, maps))


def check_different(a: Path, b: Path) -> None:
    """ConfigError if two paths lead to one model, or to copies of it with the same thresholds."""
    one, other = (_weights(path) for path in (a, b))
    if one == other:
        raise ConfigError(
            f"{shown(a)} and {shown(b)} are the same model (expected two)",
            remedy="name another run, ONNX file or engine",
            code="compare/same-model",
        )


def _weights(model: Path) -> tuple[str, ...]:
    """Return the hashes that make a model: of its weights or graph, and of its card."""
    if model.is_dir():
        card = read_card(model / CARD, ModelCard)
        limits = (card.threshold, card.image_threshold, card.context, card.rule, card.roi)
        return (card.weights_sha256, *map(str, limits))
    card_file = card_path(model)
    file = next((p for p in (model, card_file) if p.is_file()), None)
    if file is None:
        return (str(model.resolve()),)  # open_model reports it
    if not card_file.is_file():
        return (sha256(file),)
    return (sha256(card_file),)


def _name(model: Path) -> str:
    path = model.resolve()
    return path.name if path.is_dir() else path.stem


def _maps(
    backend: Backend, dataset: Dataset, found: list[Difference]
) -> dict[str, NDArray[np.float32]]:
    """Return the anomaly maps of the differing images, by file."""
    paths = [dataset.root / pair.a.file for pair in found if pair.a.score is not None]
    if not paths:
        return {}
    outcomes = run_images(backend, paths, title="pictures", damaged=DamagedImages())
    return {each.path.as_posix(): each.in_image().copy() for each in outcomes}


def _draw(
    found: SideBySide,
    dataset: Dataset,
    drawn: list[Difference],
    maps: list[dict[str, NDArray[np.float32]]],
) -> Image:
    masks = {sample.path: sample.mask for sample in dataset.test}
    pairs = []
    for pair in drawn:
        path = dataset.root / pair.a.file
        if (key := path.as_posix()) not in maps[0] or key not in maps[1]:
            continue
        mask = masks[path]
        truth = read_mask(mask) if mask is not None else None
        if truth is None and pair.a.good:
            truth = np.zeros((1, 1), np.bool_)
        title = f"{pair.a.file}  A {_verdict(pair.a)}  B {_verdict(pair.b)}"
        pairs.append(Pair(SheetImage(path, title, maps[0][key], truth), maps[1][key]))
    heading = f"{len(found.differences)} of {len(found.a.images)} verdicts differ"
    limits = (found.a.card.threshold, found.b.card.threshold)
    return draw_pairs(heading, pairs, limits, found.a.card.bit_depth)


def _rates(one: Evaluation) -> dict[str, Rate]:
    unknown = sum(image.verdict == UNKNOWN for image in one.images)
    return {
        "false rejects": Rate(one.false_rejects, one.good),
        "misses": Rate(one.overall.missed, one.overall.images),
        "unknown": Rate(unknown, len(one.images)),
    }


def _share(rate: Rate) -> str:
    return f"{rate.count} of {rate.total}"


def _listing(found: list[Difference]) -> list[str]:
    rows = [["image", "label", "A", "B", "right"]]
    rows += [
        [shown(pair.a.file), pair.a.label, _verdict(pair.a), _verdict(pair.b), pair.better]
        for pair in found[:LISTED]
    ]
    more = len(found) - LISTED
    lines = [f"and {more} more in {DOCUMENT}"] if more > 0 else []
    return [*table(rows, "<<<<<"), *lines] if found else []


def _verdict(image: ScoredImage) -> str:
    return image.verdict + ("" if image.score is None else f" {image.score:.3f}")
