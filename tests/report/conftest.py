"""A model whose every answer is known, and photos with hostile names."""

from dataclasses import replace

import numpy as np
import pytest
from onnx import save

from edgeseg.cards import CARD, write_card
from edgeseg.data.images import write_png
from edgeseg.evaluation.scores import ScoredImage
from edgeseg.files import sha256
from edgeseg.report.measured import Judgements
from edgeseg.report.report import Inputs, report
from tests.kit.cards import make_run_card
from tests.kit.red_graph import CARD as GRAPH
from tests.kit.red_graph import red_graph

HOSTILE = "<script>alert('x')<"  # a folder, and so a type of defect
HOSTILE_FILE = '"><img src=x onerror=alert(1)>&amp;.png'
SIZE = (24, 64)  # of the photos: wide


def write_photo(path, red):
    """Write a wide photo with a patch of the given red, 0 to 255, which is its score."""
    image = np.full((*SIZE, 3), (0, 90, 90), np.uint8)
    image[8:16, 10:30, 0] = red
    write_png(path, image)
    return path


def write_photos(root):
    """Write photos: of good parts one is rejected, of each of two types one is missed."""
    for red in (10, 11, 12, 13, 14):
        write_photo(root / f"train/good/{red}.png", red)
    for red in (20, 40, 60, 150, 250):
        write_photo(root / f"test/good/{red}.png", red)
    for label, red in (("Größe 日本", 100), ("Größe 日本", 240), (HOSTILE, 255)):
        write_photo(root / "test" / label / f"{red}.png", red)
    mask = np.zeros(SIZE, np.uint8)
    mask[8:16, 10:30] = 255
    write_png(root / "ground_truth" / HOSTILE / "bad_mask.png", mask)
    (root / "test" / HOSTILE / "255.png").rename(root / "test" / HOSTILE / "bad.png")
    write_photo(root / "test" / HOSTILE / HOSTILE_FILE, 30)
    return root


def write_model(run):
    """Write an ONNX file of the red graph in a run; image threshold 0.7, which is 178 red."""
    run.mkdir(parents=True)
    save(red_graph(), run / "plates.onnx")
    digest = sha256(write_photo(run.parent / "like-10.png", 10))
    card = make_run_card(
        name="plates",
        network_size=(16, 16),
        weights_sha256=GRAPH.weights_sha256,
        split={"train": {"train/good/10.png": digest}, "holdout": {"train/good/11.png": "0"}},
        steps={"student": 10, "head": 20},
        seconds={"student": 61.0, "head": 1.0},
        threshold=GRAPH.threshold,
        image_threshold=GRAPH.image_threshold,
        threshold_note={"false_reject_rate": 0.01, "images": 1, "warning": "1 good image is few"},
    )
    write_card(run / CARD, card)
    return run / "plates.onnx"


@pytest.fixture
def photos(tmp_path):
    """Photos with hostile names, of 5 good parts and of 4 defective ones."""
    return write_photos(tmp_path / "photos")


@pytest.fixture
def model(tmp_path):
    """An ONNX file in a run directory."""
    return write_model(tmp_path / "runs" / "plates")


@pytest.fixture(scope="session")
def html(tmp_path_factory):
    """A report on `photos`."""
    folder = tmp_path_factory.mktemp("report")
    model, photos = write_model(folder / "runs/plates"), write_photos(folder / "photos")
    return report(Inputs(model=model, data=photos)).paths["HTML"].resolve()


def measured(good=(), defective=(), *, threshold=0.5, unknown=0, **document):
    """What was measured, from the scores of good photos and of defective ones."""

    def rows(label, scores):
        return [
            ScoredImage(
                file=f"test/{label}/{k}.png",
                label=label,
                verdict="anomalous" if score > threshold else "good",
                score=score,
            )
            for k, score in enumerate(scores)
        ]

    found = [*rows("good", good), *rows("dent", defective)]
    found += [replace(row, verdict="unknown") for row in rows("good", [0.1] * unknown)]
    return Judgements(rows=tuple(found), document=document, source="photos", backend="red")
