"""Which folder a training writes to, what it refuses to touch, and how it becomes a run."""

import json
import shlex
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from edgeseg.cards import CARD, WEIGHTS
from edgeseg.errors import ConfigError, EdgesegError, ModelError
from edgeseg.training.folder import (
    FACTS,
    REPLACEMENT,
    RESUME,
    check_run_name,
    checkpoint_of,
    choose,
    only_unfinished,
    publish,
    read_facts,
    resume_command,
    training_folder,
    unfinished,
)
from edgeseg.training.history import HISTORY
from tests.kit.checkpoints import make_facts, write_checkpoint
from tests.kit.errors import fails
from tests.kit.names import LEADING_ELSEWHERE
from tests.kit.processes import running


@pytest.fixture
def run(tmp_path):
    return tmp_path / "runs" / "screws"


def write(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(f"{folder.name} {name}")


def listing(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_new_training_writes_to_the_run_itself(run):
    for overwrite in (False, True):
        assert choose(run, resume=False, overwrite=overwrite) == run
    assert not run.parent.exists()


def test_an_unfinished_training_is_refused_and_both_ways_are_named(run):
    write_checkpoint(run)
    before = listing(run)
    with fails(ConfigError, "train/unfinished") as caught:
        choose(run, resume=False, overwrite=False)
    assert resume_command(run) in caught.value.remedy and "--name NAME" in caught.value.remedy
    assert "step 3" in caught.value.problem
    assert choose(run, resume=True, overwrite=False) == run
    assert choose(run, resume=False, overwrite=True) == run / REPLACEMENT
    assert listing(run) == before


def test_a_damaged_checkpoint_is_not_offered_for_resuming(run):
    write_checkpoint(run)
    (run / RESUME).write_bytes(b"damaged")
    with fails(ConfigError, "train/unfinished") as caught:
        choose(run, resume=False, overwrite=False)
    assert "--resume" not in caught.value.remedy and "--overwrite" in caught.value.remedy


def test_steps_without_a_checkpoint_are_kept_too_but_cannot_be_resumed(run):
    write(run, HISTORY)
    with fails(ConfigError, "train/unfinished") as caught:
        choose(run, resume=False, overwrite=False)
    assert "--resume" not in caught.value.remedy
    with fails(ModelError, "train/nothing-to-resume"):
        choose(run, resume=True, overwrite=False)


def test_a_finished_run_is_neither_replaced_unasked_nor_resumed(run):
    write(run, CARD, WEIGHTS)
    with fails(ConfigError, "train/run-exists") as caught:
        choose(run, resume=False, overwrite=False)
    assert "rm " not in caught.value.remedy
    with fails(ModelError, "train/nothing-to-resume") as caught:
        choose(run, resume=True, overwrite=False)
    assert "edgeseg threshold" in caught.value.remedy
    assert choose(run, resume=False, overwrite=True) == run / REPLACEMENT
    with fails(ConfigError, "config/conflict"):
        choose(run, resume=True, overwrite=True)


def test_an_unfinished_replacement_is_what_is_resumed(run):
    write(run, CARD, WEIGHTS)
    write_checkpoint(run / REPLACEMENT)
    assert unfinished(run) == checkpoint_of(run) == run / REPLACEMENT
    assert choose(run, resume=True, overwrite=False) == run / REPLACEMENT
    with fails(ConfigError, "train/unfinished") as caught:
        choose(run, resume=False, overwrite=False)
    assert "discard it now: --overwrite" in caught.value.remedy


def test_an_unfinished_training_without_a_checkpoint_has_none_to_resume(run):
    write(run, CARD, WEIGHTS)
    write(run / REPLACEMENT, HISTORY)
    assert unfinished(run) == run / REPLACEMENT and checkpoint_of(run) is None


def test_a_replacement_leaves_the_run_whole_until_it_is_published(run):
    write(run, CARD, WEIGHTS, HISTORY, "screws.onnx")
    before = listing(run)
    with training_folder(run, resume=False, overwrite=True) as folder:
        write(folder, CARD, WEIGHTS, RESUME)
        assert {p: d for p, d in listing(run).items() if p.parts[0] != REPLACEMENT} == before
        publish(folder, run)
    assert (run / WEIGHTS).read_text() == f"{REPLACEMENT} {WEIGHTS}"
    assert (run / CARD).read_text() == f"{REPLACEMENT} {CARD}"
    assert sorted(p.name for p in run.iterdir()) == sorted((CARD, WEIGHTS, HISTORY, "screws.onnx"))


def test_an_interrupted_publication_is_repeated(run):
    write(run, CARD, WEIGHTS)
    write(run / REPLACEMENT, CARD)  # its weights are in the run already
    with training_folder(run, resume=True, overwrite=False) as folder:
        publish(folder, run)
    assert (run / CARD).read_text() == f"{REPLACEMENT} {CARD}"
    assert unfinished(run) is None and not (run / REPLACEMENT).exists()


def test_overwrite_of_a_replacement_begins_with_an_empty_folder(run):
    write(run, CARD, WEIGHTS)
    write_checkpoint(run / REPLACEMENT)
    with training_folder(run, resume=False, overwrite=True) as folder:
        assert list(folder.iterdir()) == []


def test_a_refused_training_leaves_no_folder(run):
    with pytest.raises(ZeroDivisionError), training_folder(run, resume=False, overwrite=False):
        assert run.is_dir()
        _ = 1 / 0
    assert not run.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no advisory locks")
def test_a_second_process_on_the_same_run_is_refused(run):
    program = """
import pathlib, sys
from edgeseg.training.folder import training_folder
with training_folder(pathlib.Path(sys.argv[1]), resume=False, overwrite=False):
    print("ready", flush=True)
    input()
"""
    with running(program, run), fails(EdgesegError, "files/locked"):
        with training_folder(run, resume=False, overwrite=False):
            pass
    with training_folder(run, resume=False, overwrite=False) as folder:  # freed by the death
        assert folder == run


def test_facts_survive_the_way_to_the_checkpoint_and_back(run):
    name = "good/Pr\udcfcf.png"  # a Latin-1 byte
    facts = write_checkpoint(run, split={"train": {name: "1" * 64}, "holdout": {}})
    assert read_facts(run) == facts == make_facts(split={"train": {name: "1" * 64}, "holdout": {}})


@pytest.mark.parametrize(
    "change",
    [
        {"phase": -1},
        {"step": "3"},
        {"step": True},
        {"config": []},
        {"data": None},
        {"split": {}},
        {"split": {"train": {"a.png": 1}, "holdout": {}}},
        {"split": {"train": [], "holdout": {}}},
        {"false_reject_rate": "low"},
        {"bogus": 1},
    ],
)
def test_facts_of_another_kind_are_refused(run, change):
    run.mkdir(parents=True)
    values = json.loads(make_facts().to_json()) | change
    metadata = {FACTS: json.dumps(values)}
    save_file({"x": np.zeros(1)}, run / RESUME, metadata=metadata)
    with fails(ModelError, "train/other-checkpoint"):
        read_facts(run)


@pytest.mark.parametrize("metadata", [None, {}, {FACTS: "{"}, {FACTS: "[]"}])
def test_a_checkpoint_without_facts_is_refused(run, metadata):
    run.mkdir(parents=True)
    save_file({"x": np.zeros(1)}, run / RESUME, metadata=metadata)
    with fails(ModelError, "train/other-checkpoint"):
        read_facts(run)
    (run / RESUME).write_bytes(b"torn")
    with fails(ModelError, "model/damaged-weights"):
        read_facts(run)


def test_the_only_unfinished_run_needs_no_name(tmp_path):
    with fails(ModelError, "train/nothing-to-resume"):
        only_unfinished(tmp_path / "runs")
    write(tmp_path / "runs" / "done", CARD)
    write_checkpoint(tmp_path / "runs" / "one")
    assert only_unfinished(tmp_path / "runs") == tmp_path / "runs" / "one"
    write_checkpoint(tmp_path / "runs" / "two")
    with fails(ModelError, "train/nothing-to-resume") as caught:
        only_unfinished(tmp_path / "runs")
    assert "one, two" in caught.value.problem


@pytest.mark.parametrize("name", ["screws", "Schrauben 1.5", "20240131", "größe", "a'b"])
def test_a_run_name_becomes_one_argument_of_the_command(tmp_path, name):
    check_run_name(name)
    words = shlex.split(resume_command(tmp_path / name))
    assert words[words.index("--name") + 1] == name


@pytest.mark.parametrize("name", [*LEADING_ELSEWHERE, "-x", ".hidden", "Pr\udcfcf"])
def test_a_name_that_is_no_plain_file_name_is_refused(name):
    with fails(ConfigError, "config/run-name"):
        check_run_name(name)
