"""`import_checkpoint`: a released checkpoint becomes a run that predicts the same."""

import hashlib
import json

import numpy as np
import pytest
import torch

from edgeseg.cards import CARD, IMPORTED, WEIGHTS, ModelCard, read_card
from edgeseg.errors import ConfigError, ModelError, WriteError
from edgeseg.files import sha256
from edgeseg.loading import open_run
from edgeseg.training.checkpoint import load_run
from edgeseg.training.import_checkpoint import import_checkpoint
from tests.kit.errors import fails
from tests.training.official import MEAN, STD, anomaly_map, random_state, shapes

# Of the lines `name<TAB>shape<TAB>type` of a released checkpoint, 392 of them.
LISTING = "4f78725aae8e6e7c1c45ddbfbeb344cae52f319e320374c34c1bc9de87550bcd"


@pytest.fixture(scope="module")
def state():
    return random_state(seed=0)


@pytest.fixture(scope="module")
def imported(state, tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    torch.save(state, folder / "bottle.pckl")
    return import_checkpoint(folder / "bottle.pckl", folder / "runs" / "bottle")


def test_the_reference_has_the_tensors_of_a_released_checkpoint():
    kinds = [(name, ",".join(map(str, s)) or "scalar", str(t)[6:]) for name, s, t in shapes()]
    listing = "".join("\t".join(kind) + "\n" for kind in sorted(kinds))
    assert len(kinds) == 392
    assert hashlib.sha256(listing.encode()).hexdigest() == LISTING


def test_an_imported_run_predicts_what_the_released_network_does(state, imported):
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    frame = noise.repeat(32, axis=0).repeat(32, axis=1)
    frame[100:140, 60:90] = 255
    with open_run(imported.run, frame_size=(256, 256)) as backend:
        slot = backend.new_slot()
        backend.bind(slot)
        slot.frame[0] = frame
        backend.run()
        ours = slot.anomaly_map[0].copy()
    x = torch.from_numpy(frame).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        theirs = anomaly_map(state, (x - MEAN) / STD)[0].numpy()
    assert theirs.std() > 0.02 and 0.01 < theirs.min() and theirs.max() < 0.99
    assert np.abs(ours - theirs).max() < 1e-5
    assert slot.score[0] == pytest.approx(np.sort(theirs.ravel())[-100:].mean(), abs=1e-5)


def test_import_checkpoint_reads_every_tensor(state, imported):
    detector, _ = load_run(imported.run)
    own = {name: t for name, t in detector.state_dict().items() if name not in ("mean", "std")}
    assert sorted(t.double().sum().item() for t in own.values()) == sorted(
        t.double().sum().item() for t in state.values()
    )
    assert (imported.tensors, imported.parameters) == (392, 35_154_177)


def test_the_card_names_the_imported_file_and_no_split(imported):
    card = read_card(imported.run / CARD, ModelCard)
    assert (card.name, card.network_size, card.frame_size) == ("bottle", (256, 256), None)
    assert card.config == {
        "teacher": "resnet18",
        "features": "raw",
        "image_size": 256,
        "top": 100,
        IMPORTED: {
            "file": "bottle.pckl",
            "sha256": sha256(imported.file),
            "by": "DeSTSeg's released code",
        },
    }
    assert (card.threshold, card.image_threshold, card.steps) == (None, None, {})
    assert card.split == {"train": {}, "holdout": {}}
    assert sorted(p.name for p in imported.run.parent.iterdir()) == ["bottle"]
    assert sorted(p.name for p in imported.run.iterdir()) == [CARD, WEIGHTS]


def test_imported_summary_and_json(imported):
    assert "392 tensors, 35.2 M parameters" in imported.summary()
    assert f"edgeseg threshold {imported.run} FOLDER" in imported.summary()
    document = json.loads(json.dumps(imported.to_json()))
    assert document["imported"]["sha256"] == sha256(imported.file)


@pytest.fixture
def thin():
    """The names, shapes and types of a checkpoint in a few kilobytes."""
    return {name: torch.ones((), dtype=dtype).expand(shape) for name, shape, dtype in shapes()}


def refused(tmp_path, content, code="import/other-tensors"):
    """Save a content, import it, and return the error message; no file may remain."""
    file = tmp_path / "theirs.pckl"
    torch.save(content, file)
    with fails(ModelError, code) as caught:
        import_checkpoint(file, tmp_path / "runs" / "x")
    assert [p.name for p in tmp_path.iterdir()] == ["theirs.pckl"]
    assert "released DeSTSeg code" in caught.value.remedy
    return caught.value.problem


HEAD = "segmentation_net.head.4."


def test_missing_extra_and_misshapen_tensors_are_named_together(thin, tmp_path):
    wrong = dict(thin)
    del wrong[HEAD + "bias"]
    wrong["student_net.extra"] = torch.zeros(1)
    wrong[HEAD + "weight"] = torch.zeros(2, 256, 1, 1)
    problem = refused(tmp_path, wrong)
    assert f"1 missing: {HEAD}bias; 1 extra: student_net.extra; " in problem
    assert f"{HEAD}weight: float32 [2, 256, 1, 1] (expected float32 [1, 256, 1, 1])" in problem


def test_of_many_names_the_first_are_shown_and_the_others_counted(thin, tmp_path):
    prefixed = {f"module.{name}": tensor for name, tensor in thin.items()}
    problem = refused(tmp_path, prefixed)
    assert "392 missing: teacher_net.encoder.conv1.weight, " in problem
    assert problem.count("and 389 more") == 2


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda t: t.half(), "float16 [1, 256, 1, 1] (expected float32"),
        pytest.param(
            lambda t: torch.zeros(t.shape).to_sparse(),
            "float32 [1, 256, 1, 1] torch.sparse_coo on cpu (expected",
            marks=pytest.mark.filterwarnings("ignore:Validating sparse"),
        ),
        (lambda t: torch.full_like(t, float("nan")), f"1 not finite: {HEAD}weight"),
    ],
)
def test_a_tensor_of_another_kind_is_refused(thin, tmp_path, change, found):
    assert found in refused(tmp_path, thin | {HEAD + "weight": change(thin[HEAD + "weight"])})


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (torch.zeros(3), "Tensor"),
        ({}, "nothing"),
        ({"state_dict": {"a": torch.zeros(1)}}, "state_dict (dict)"),
        ({1: torch.zeros(1)}, "1 (Tensor)"),
        ({"a": torch.zeros(1), HEAD: [0.0]}, f"{HEAD} (list)"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path, content, found):
    assert f"contains {found}" in refused(tmp_path, content, "import/not-tensors")


def test_a_file_with_code_is_not_unpickled(tmp_path):
    refused(tmp_path, torch.nn.Linear(1, 1), "import/unreadable")


def damaged(whole, kind):
    if kind == "cut":
        return whole[: len(whole) // 2]
    if kind == "flipped":
        middle = len(whole) // 2
        return whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :]
    return {"empty": b"", "text": b"no checkpoint\n", "zip": b"PK\x03\x04" + bytes(64)}[kind]


@pytest.mark.parametrize("kind", ["cut", "flipped", "empty", "text", "zip"])
def test_a_damaged_file_is_refused(imported, tmp_path, kind):
    file = tmp_path / "damaged.pckl"
    file.write_bytes(damaged(imported.file.read_bytes(), kind))
    with fails(ModelError, "import/unreadable"):
        import_checkpoint(file, tmp_path / "run")
    assert [p.name for p in tmp_path.iterdir()] == ["damaged.pckl"]


@pytest.mark.parametrize("name", ["none.pckl", "."])
def test_import_checkpoint_of_a_missing_file(tmp_path, name):
    with fails(ModelError, "import/no-file"):
        import_checkpoint(tmp_path / name, tmp_path / "run")


def test_import_checkpoint_keeps_an_existing_run(imported, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "notes.txt").write_text("mine")
    with fails(ConfigError, "train/run-exists"):
        import_checkpoint(imported.file, run)
    assert (run / "notes.txt").read_text() == "mine"
    assert list(run.iterdir()) == [run / "notes.txt"]


def test_import_checkpoint_into_an_unwritable_folder(imported, tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(WriteError, match="x: Not a directory"):
        import_checkpoint(imported.file, tmp_path / "runs" / "x")


def test_import_checkpoint_leaves_nothing_after_a_failed_write(imported, tmp_path, monkeypatch):
    def full(run, detector):
        (run / WEIGHTS).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("edgeseg.training.import_checkpoint.save_weights", full)
    with pytest.raises(WriteError, match="No space left"):
        import_checkpoint(imported.file, tmp_path / "runs" / "x")
    assert list((tmp_path / "runs").iterdir()) == []
