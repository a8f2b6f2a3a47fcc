"""One product, for real: a training of a few steps, and what follows from its judgement."""

import json
import shutil

import pytest

from edgeseg.cards import CARD, WEIGHTS, ModelCard, read_card
from edgeseg.data.layouts import open_dataset
from edgeseg.data.parts import write_parts
from edgeseg.files import sha256
from edgeseg.loading import open_model
from edgeseg.recipes import TrainConfig

pytest.importorskip("torch")
from edgeseg.products import make
from edgeseg.products.product import (
    BEGUN,
    RESULT,
    Product,
    ProductResult,
    content_key,
    read_result,
    write_begun,
    write_result,
)

CONFIG = TrainConfig(
    profile="edge",
    image_size=64,
    batch=2,
    student_steps=3,
    head_steps=3,
    holdout=0.25,
    device="cpu",
)
GIVEN = ("image_size", "batch", "student_steps", "head_steps")


def product_of(data, folder, config=CONFIG):
    key = content_key(open_dataset(data), config, 0.4)
    return Product(
        name="plates", data=data, folder=folder, config=config, given=GIVEN, rate=0.4, key=key
    )


@pytest.mark.parametrize("stop", [CARD, WEIGHTS, "engines/plates.onnx"])
def test_what_a_killed_process_kept_of_before_is_completed(tmp_path, monkeypatch, stop):
    run, link = tmp_path / "plates", make._link
    for name in (CARD, WEIGHTS, "engines/plates.onnx"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    write_result(run, ProductResult(name="plates", state="shipped", key="before"))

    def killed(source, target):
        if source == str(run / stop):
            raise KeyboardInterrupt
        link(source, target)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(make, "_link", killed)
        make._keep_earlier(run)
    make._keep_earlier(run)
    kept = run / "earlier" / "before"
    assert (kept / stop).read_text() == stop and read_result(kept).key == "before"


@pytest.mark.slow
def test_a_product_is_made_once_and_shipped_only_if_it_is_useful(tmp_path, monkeypatch, said):
    write_parts(tmp_path / "all", train=8, good=0, bad=0)
    data = shutil.copytree(tmp_path / "all" / "train", tmp_path / "plates")
    run = tmp_path / "runs" / "plates"
    product = product_of(data, run)
    monkeypatch.setattr(make, "useless", lambda decision, drawn: ("Do not use this model", "more"))
    make.make_product(product)
    first = read_result(run)
    assert (first.state, first.reason) == ("not shipped", "Do not use this model")
    assert first.key == product.key and 0 <= first.drawn <= 1 and first.remedy
    assert not (run / "engines").exists() and "engine" not in first.files
    assert (run / first.files["report"]).is_file() and (run / first.files["graph"]).is_file()
    assert (run / "picture.png").is_file() and not (run / BEGUN).exists()

    weights = sha256(run / "model.safetensors")
    (run / RESULT).unlink()  # killed after the training
    write_begun(run, product.key, trained=True)
    monkeypatch.setattr(make, "useless", lambda decision, drawn: None)
    make.make_product(product)
    second = read_result(run)
    assert second.state == "shipped" and second.reason == ""
    assert sha256(run / "model.safetensors") == weights, "not trained again"
    with open_model(run / second.files["engine"]) as backend:
        assert backend.card.weights_sha256 == read_card(run / CARD, ModelCard).weights_sha256

    (data / "good" / "000.png").unlink()
    changed = product_of(data, run)
    assert changed.key != product.key
    monkeypatch.setattr(make, "useless", lambda decision, drawn: ("Do not use this model", "more"))
    make.make_product(changed)
    assert read_result(run).state == "not shipped" and not (run / "engines").exists()
    (kept,) = (run / "earlier").iterdir()
    assert json.loads((kept / RESULT).read_text())["state"] == "shipped"
    assert sha256(kept / "model.safetensors") == weights
    with open_model(kept / second.files["engine"]) as backend:
        assert backend.card.name == "plates", "the engine of before still runs"
