"""`edgeseg compare`: two models on the same images."""

import json
from dataclasses import replace

import numpy as np
import pytest

from edgeseg.cards import CARD, write_card
from edgeseg.data.images import read_image, write_png
from edgeseg.errors import ConfigError
from edgeseg.evaluation.sides.side_by_side import check_different, compare_models
from edgeseg.files import sha256
from tests.kit.cards import make_run_card, write_engine
from tests.kit.errors import fails
from tests.kit.red_backend import PlateBackend, write_image


@pytest.fixture
def plates(tmp_path):
    """MVTec AD layout: good at 20 and 140; scratches at 100, 120 and 200, one with a mask."""
    root = tmp_path / "plates"
    write_image(root / "train/good/0.png", 10)
    for red in (20, 140):
        write_image(root / f"test/good/{red}.png", red)
    for red in (100, 120, 200):
        path = write_image(root / f"test/scratch/{red}.png", red)
    mask = np.where(read_image(path)[..., 0] > 0, 255, 0).astype(np.uint8)
    write_png(root / "ground_truth/scratch/200_mask.png", mask)
    return root


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Two runs; A has the image threshold 0.6, B 0.45."""
    backends = {}
    for name, limit in (("a", 0.6), ("b", 0.45)):
        run = tmp_path / "runs" / name
        write_card(run / CARD, make_run_card(name=name, image_threshold=limit))
        backends[run] = PlateBackend(image_threshold=limit, name=name)
    opened = "edgeseg.evaluation.sides.side_by_side.open_model"
    monkeypatch.setattr(opened, lambda path, threads: backends[path])
    return backends


def test_two_models_and_where_their_verdicts_differ(plates, models, tmp_path):
    a, b = models
    found = compare_models(a, b, plates, out=tmp_path / "out")
    differing = [(d.a.file, d.a.verdict, d.b.verdict, d.better) for d in found.differences]
    assert differing == [
        ("test/scratch/120.png", "good", "anomalous", "B"),
        ("test/good/140.png", "good", "anomalous", "A"),
    ]
    assert found.chance == 1.0  # one to one
    text = found.summary()
    assert "different verdicts on 2 of 5 images: A is right on 1, B on 1" in text
    rows = [line.split() for line in text.splitlines()]
    assert "misses 2 of 3 1 of 3 -1".split() in rows
    assert "false rejects 0 of 2 1 of 2 +1".split() in rows
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
    found.store()
    document = json.loads((tmp_path / "out/comparison.json").read_text())
    assert document["differences"] == [d.to_json() for d in found.differences]
    assert document["a"]["counts"]["misses"] == 2
    assert str(plates) not in json.dumps(document)
    sheet = read_image(tmp_path / "out/differences.png")
    assert sheet.shape[0] > 2 * 192 and sheet.shape[1] > 4 * 192
    assert all(backend.closed for backend in models.values())


def test_models_that_agree(plates, models, tmp_path):
    a, b = models
    models[b].card = models[a].card
    found = compare_models(a, b, plates, out=tmp_path / "out")
    assert found.differences == []
    assert "left out" not in found.summary() and "-0.000" not in found.summary()
    assert "both give the same verdict on all 5 images" in found.summary()
    found.store()
    assert read_image(tmp_path / "out/differences.png").any()


def test_chance_is_that_of_an_exact_sign_test(plates, models, tmp_path):
    a, b = models
    for n in range(6):
        write_image(plates / f"test/scratch/12{n}.png", 125)
    (plates / "test/good/140.png").unlink()
    found = compare_models(a, b, plates, out=tmp_path / "out")
    assert len(found.differences) == 6  # B is right on all of them
    assert found.chance == pytest.approx(2 / 2**6)


def test_defects_that_one_of_them_was_trained_on_are_left_out(plates, models, tmp_path):
    a, b = models
    digest = sha256(plates / "test/scratch/120.png")
    models[a].card = replace(models[a].card, defects={digest: "scratch"})
    found = compare_models(a, b, plates, out=tmp_path / "out")
    assert found.a.overall.images == found.b.overall.images == 2
    assert found.to_json()["trained_on"] == {"a": 1, "b": 0, "either": 1}
    assert "left out: 1 defective images" in found.summary()


def test_one_model_twice_is_refused(plates, models, tmp_path):
    a, _ = models
    copy = tmp_path / "runs" / "copy"
    write_card(copy / CARD, make_run_card(name="copy", image_threshold=0.6))
    engine = write_engine(tmp_path / "red.onnx")
    for one, other in ((a, a), (a, copy), (engine, engine.with_suffix(".json"))):
        with fails(ConfigError, "compare/same-model"):
            check_different(one, other)
    with fails(ConfigError, "compare/same-model"):
        compare_models(a, copy, plates, out=tmp_path / "out")
