"""Cards survive the round trip; damaged and foreign ones are refused."""

import copy
import dataclasses
import json
import math
import random

import pytest

from edgeseg import cards
from edgeseg.cards import EngineCard, GraphCard, ModelCard, read_card, write_card
from edgeseg.errors import ModelError
from edgeseg.runtime.base import tensor_types
from tests.kit.cards import make_card, make_engine_card, make_run_card
from tests.kit.errors import fails
from tests.kit.names import LEADING_ELSEWHERE


@pytest.fixture
def model_card():
    return make_run_card(
        frame_size=(480, 640),
        config={"teacher": "resnet18", "top": 100, "textures": None},
        split={"train": {"good/000.png": "ab" * 32}, "holdout": {}},
        steps={"student": 10, "head": 20},
        threshold_note={"rate": 0.01, "images": 24},
    )


@pytest.fixture
def engine_card(graph_card):
    return make_engine_card(
        graph_card,
        built_on={"cpu": "AMD EPYC"},
        inputs={"frame": ["uint8", [1, 48, 64, 3]], "threshold": ["float32", [1]]},
        outputs={"mask": ["uint8", [1, 48, 64]]},
    )


def test_model_card_round_trip(tmp_path, model_card):
    write_card(tmp_path / "card.json", model_card)
    assert read_card(tmp_path / "card.json", ModelCard) == model_card


def test_engine_card_round_trip(tmp_path, engine_card):
    write_card(tmp_path / "new" / "engine.json", engine_card)
    again = read_card(tmp_path / "new" / "engine.json", EngineCard)
    assert again == engine_card
    assert again.graph.frame_shape == (1, 48, 64, 3)


@pytest.mark.parametrize(
    "more",
    [
        {"of_a_later_version": 1},
        {"card_version": 2},
        {"config": {"teacher": "resnet18", "top": 1, "x": 1}},
    ],
)
def test_a_card_of_a_newer_version_is_refused(tmp_path, model_card, more):
    document = dataclasses.asdict(model_card) | more
    (tmp_path / "card.json").write_text(json.dumps(document))
    with fails(ModelError, "model/newer-card") as caught:
        read_card(tmp_path / "card.json", ModelCard)
    assert "update edgeseg" in caught.value.remedy


def test_a_card_of_version_0_2_is_read(tmp_path, model_card):
    document = dataclasses.asdict(model_card)
    for name in ("seconds", "trained_on", "context", "metrics", "card_version"):
        del document[name]
    (tmp_path / "card.json").write_text(json.dumps(document))
    assert read_card(tmp_path / "card.json", ModelCard) == model_card


def test_cards_of_version_0_1_have_a_square_network(tmp_path, graph_card, engine_card):
    old = json.loads(json.dumps(dataclasses.asdict(engine_card)))
    del old["graph"]["network_size"], old["graph"]["aspect"]
    old["graph"]["image_size"] = 64
    (tmp_path / "old.json").write_text(json.dumps(old))
    graph = read_card(tmp_path / "old.json", EngineCard).graph
    assert (graph.network_size, graph.aspect) == ((64, 64), "stretch")
    metadata = cards.metadata_from(graph_card)
    del metadata["edgeseg.network_size"], metadata["edgeseg.aspect"]
    metadata["edgeseg.image_size"] = "64"
    assert cards.card_from_metadata(metadata, tmp_path / "old.onnx").network_size == (64, 64)


def test_onnx_metadata_round_trip(tmp_path, graph_card):
    metadata = cards.metadata_from(graph_card)
    assert metadata["edgeseg.threshold"] == "0.25"
    assert all(key.startswith("edgeseg.") for key in metadata)
    foreign = metadata | {"producer": "not JSON"}
    assert cards.card_from_metadata(foreign, tmp_path / "g.onnx") == graph_card


def test_damaged_metadata_names_the_file(tmp_path, graph_card):
    metadata = cards.metadata_from(graph_card) | {"edgeseg.parity": "{"}
    with fails(ModelError, "model/damaged-metadata") as caught:
        cards.card_from_metadata(metadata, tmp_path / "g.onnx")
    assert "g.onnx" in caught.value.problem


def test_foreign_metadata_is_refused(tmp_path):
    with fails(ModelError, "model/foreign-graph"):
        cards.card_from_metadata({"producer": "another"}, tmp_path / "g.onnx")


def test_no_card(tmp_path):
    with fails(ModelError, "model/no-card"):
        read_card(tmp_path / "card.json", ModelCard)


@pytest.mark.parametrize("cut", [0, 1, 40])
def test_a_truncated_card_is_refused(tmp_path, model_card, cut):
    path = tmp_path / "card.json"
    write_card(path, model_card)
    path.write_bytes(path.read_bytes()[:cut])
    with fails(ModelError, "model/damaged-card") as caught:
        read_card(path, ModelCard)
    assert str(path) in caught.value.problem


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "card.json").write_bytes(b"\xff\xfe\x00engine")
    with fails(ModelError, "model/damaged-card"):
        read_card(tmp_path / "card.json", ModelCard)


@pytest.mark.parametrize("document", [[], 7, "text", {}])
def test_json_that_is_no_card_is_refused(tmp_path, document):
    (tmp_path / "card.json").write_text(json.dumps(document))
    code = "model/incomplete-card" if document == {} else "model/invalid-card"
    with fails(ModelError, code):
        read_card(tmp_path / "card.json", ModelCard)


def test_missing_keys_are_named(tmp_path, engine_card):
    document = dataclasses.asdict(engine_card)
    del document["sha256"], document["target"]
    (tmp_path / "e.json").write_text(json.dumps(document))
    with fails(ModelError, "model/incomplete-card") as caught:
        read_card(tmp_path / "e.json", EngineCard)
    assert caught.value.problem.endswith("e.json: missing sha256, target")
    document |= {"sha256": "", "target": "cpu"}
    del document["graph"]["threshold"]
    (tmp_path / "e.json").write_text(json.dumps(document))
    with fails(ModelError, "model/incomplete-card") as caught:
        read_card(tmp_path / "e.json", EngineCard)
    assert caught.value.problem.endswith("missing graph.threshold")


def test_another_kind_of_card_is_refused(tmp_path, model_card):
    write_card(tmp_path / "card.json", model_card)
    with fails(ModelError, "model/incomplete-card"):
        read_card(tmp_path / "card.json", GraphCard)


@pytest.mark.parametrize("name", [*LEADING_ELSEWHERE, None, 7])
def test_names_lead_out_of_no_folder(tmp_path, model_card, graph_card, name):
    document = dataclasses.asdict(model_card) | {"name": name}
    (tmp_path / "card.json").write_text(json.dumps(document))
    with fails(ModelError, "model/invalid-card"):
        read_card(tmp_path / "card.json", ModelCard)
    metadata = cards.metadata_from(graph_card) | {"edgeseg.name": json.dumps(name)}
    with fails(ModelError, "model/invalid-card"):
        cards.card_from_metadata(metadata, tmp_path / "g.onnx")


SIZES = [
    ("network_size", [65_536, 65_536]),
    ("network_size", [10**30, 32]),
    ("network_size", [0, 32]),
    ("frame_shape", [1, 60_000, 60_000, 3]),
    ("frame_shape", [65_536, 1_000, 1_000, 3]),
    ("frame_shape", [1, 48, 64, 1]),
    ("frame_shape", [1, 48, 64]),
]


@pytest.mark.parametrize(("field", "size"), SIZES)
def test_sizes_are_bounded_before_memory_is_allocated(tmp_path, graph_card, field, size):
    metadata = cards.metadata_from(graph_card) | {f"edgeseg.{field}": json.dumps(size)}
    with fails(ModelError, "model/invalid-card"):
        cards.card_from_metadata(metadata, tmp_path / "g.onnx")


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("nv12", [1, 71, 64, 1]), ("nv12", [1, 72, 63, 1]), ("yuyv", [1, 48, 63, 2]),
     ("yuyv", [1, 48, 64, 3]), ("bayer_rggb", [1, 47, 64, 1])],
)  # fmt: skip
def test_a_frame_has_the_shape_of_its_pixel_format(tmp_path, graph_card, kind, shape):
    metadata = cards.metadata_from(graph_card)
    metadata |= {"edgeseg.frame_format": f'"{kind}"', "edgeseg.frame_shape": str(shape)}
    with fails(ModelError, "model/invalid-card") as caught:
        cards.card_from_metadata(metadata, tmp_path / "g.onnx")
    assert kind in caught.value.problem


def test_the_size_of_a_frame_is_that_of_its_picture():
    card = make_card(48, 64, frame_format="nv12", batch=2)
    assert (card.frame_shape, card.frame_size) == ((2, 72, 64, 1), (48, 64))
    assert tensor_types(card)["mask"][0] == (2, 48, 64)


def test_a_limit_can_be_raised(tmp_path, graph_card, monkeypatch):
    metadata = cards.metadata_from(graph_card) | {"edgeseg.frame_shape": "[1, 60000, 60000, 3]"}
    monkeypatch.setenv("EDGESEG_MAX_PIXELS", str(60_000**2))
    assert cards.card_from_metadata(metadata, tmp_path / "g.onnx").frame_shape[1] == 60_000


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", "2e6", "true", '"0.5"'])
def test_a_threshold_is_a_number(tmp_path, graph_card, value):
    metadata = cards.metadata_from(graph_card) | {"edgeseg.threshold": value}
    with pytest.raises(ModelError) as caught:
        cards.card_from_metadata(metadata, tmp_path / "g.onnx")
    assert caught.value.code in ("model/invalid-card", "model/damaged-metadata")


def test_a_card_with_a_threshold_of_nan_is_not_written(tmp_path, model_card):
    with fails(ModelError, "model/invalid-card"):
        write_card(tmp_path / "card.json", dataclasses.replace(model_card, threshold=math.nan))
    assert not list(tmp_path.iterdir())
    write_card(
        tmp_path / "card.json", dataclasses.replace(model_card, metrics={"pixel_ap": math.nan})
    )
    assert read_card(tmp_path / "card.json", ModelCard).metrics == {"pixel_ap": None}


WILD = [None, True, "", "x", "../e", -1, 0, 3, 0.5, 10**30, 1e300, math.nan, math.inf, [], [1], {}]


def places(node, at=()):
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in inner:
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from places(value, (*at, key))


@pytest.mark.parametrize("kind", [ModelCard, EngineCard, GraphCard])
def test_random_edits_of_a_card_are_read_or_refused(
    tmp_path, model_card, engine_card, graph_card, kind
):
    """Each outcome is an EdgesegError, or a card that can be written and read again."""
    card = {ModelCard: model_card, EngineCard: engine_card, GraphCard: graph_card}[kind]
    document, rng, path = dataclasses.asdict(card), random.Random(0), tmp_path / "card.json"
    document = json.loads(json.dumps(document))
    refused = 0
    for _ in range(120):
        edited = copy.deepcopy(document)
        *above, last = rng.choice(list(places(edited)))
        node = edited
        for key in above:
            node = node[key]
        if rng.random() < 0.2 and isinstance(node, dict):
            del node[last]
        else:
            node[last] = rng.choice(WILD)
        path.write_text(json.dumps(edited))
        try:
            found = read_card(path, kind)
        except ModelError as error:
            refused += 1
            assert error.problem.isprintable() and len(error.problem) < 500
        else:
            write_card(path, found)
            assert read_card(path, kind) == found
    assert 20 < refused < 120


def test_the_name_of_a_damaged_file_is_shown_escaped(tmp_path):
    path = tmp_path / "a\n\x1b[2J.json"
    path.write_text("{")
    with fails(ModelError, "model/damaged-card") as caught:
        read_card(path, ModelCard)
    assert r"a\n\x1b[2J.json" in caught.value.problem and "\x1b" not in caught.value.problem
