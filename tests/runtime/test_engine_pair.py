"""An engine and its card are replaced together, whatever ends the process in between."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.cards import EngineCard, read_card, write_card
from edgeseg.errors import EngineMismatch, WriteError
from edgeseg.files import locked
from edgeseg.runtime import engine_pair
from edgeseg.runtime.engine_files import check_engine
from edgeseg.runtime.engine_pair import card_path, engine_path, is_engine, new_engine, replace_pair
from tests.kit.cards import make_engine_card, write_engine
from tests.kit.errors import fails

REPOSITORY = Path(__file__).parents[2]
OLD, NEW = b"the old plan", b"the new plan"


class Killed(BaseException):
    """Stands for the end of the process: no handler of errors sees it."""


def build(path, data=NEW):
    """Replace an engine as build-engine does."""
    digest = hashlib.sha256(data).hexdigest()
    with new_engine(path, digest) as part:
        part.write_bytes(data)
    replace_pair(path, make_engine_card(file=path.name, data=data))


def opened(path):
    """Return the engine that a user of the card gets, after the checks."""
    check_engine(card_path(path))
    return engine_path(card_path(path)).read_bytes()


@pytest.fixture
def engine(tmp_path):
    return write_engine(tmp_path / "engines" / "red-fp16-openvino-cpu.onnx", OLD)


def names(engine):
    return sorted(path.name for path in engine.parent.iterdir())


def test_a_new_engine_replaces_the_old_pair_and_leaves_nothing_else(engine):
    build(engine)
    assert opened(engine) == NEW
    assert names(engine) == [engine.with_suffix(".json").name, engine.name]


def test_an_error_in_the_build_keeps_the_old_pair(engine):
    before = names(engine)
    with pytest.raises(ZeroDivisionError), new_engine(engine, "0" * 64) as part:
        part.write_bytes(b"half")
        raise ZeroDivisionError
    assert opened(engine) == OLD
    assert names(engine) == before


def test_a_card_that_cannot_be_written_keeps_the_old_pair(engine, monkeypatch):
    def fail(path, card):
        raise WriteError("full disk", remedy="free some space")

    before = names(engine)
    monkeypatch.setattr(engine_pair, "write_card", fail)
    with fails(WriteError, "write/failed"):
        build(engine)
    assert opened(engine) == OLD
    assert names(engine) == before


def test_a_kill_before_the_card_keeps_the_old_pair_and_the_next_build_cleans_up(
    engine, monkeypatch
):
    def kill(path, card):
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(engine_pair, "write_card", kill)
        build(engine, b"a plan that was never used")
    assert len(names(engine)) == 3
    assert opened(engine) == OLD
    build(engine)
    assert opened(engine) == NEW
    assert len(names(engine)) == 2


def kill_after_the_card(engine):
    """Leave what a kill between the card and the last rename leaves."""
    with new_engine(engine, hashlib.sha256(NEW).hexdigest()) as part:
        part.write_bytes(NEW)
    write_card(card_path(engine), make_engine_card(file=engine.name, data=NEW))
    assert engine.read_bytes() == OLD


def test_a_kill_after_the_card_is_finished_by_whoever_opens_the_engine(engine):
    kill_after_the_card(engine)
    assert opened(engine) == NEW
    assert engine.read_bytes() == NEW
    assert len(names(engine)) == 2


def test_a_folder_that_cannot_be_written_is_used_as_it_is(engine, monkeypatch):
    kill_after_the_card(engine)

    def refuse(self, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "replace", refuse)
    assert opened(engine) == NEW
    assert engine.read_bytes() == OLD


def test_the_first_engine_of_a_name_survives_a_kill_too(engine):
    kill_after_the_card(engine)
    engine.unlink()
    assert opened(engine) == NEW


@pytest.mark.parametrize("damage", ["changed", "link"])
def test_a_following_engine_that_does_not_match_the_card_is_not_used(engine, damage):
    kill_after_the_card(engine)
    (following,) = engine.parent.glob(".*.next.onnx")
    if damage == "link":
        (engine.parent / "elsewhere").write_bytes(NEW)
        following.unlink()
        following.symlink_to("elsewhere")
    else:
        following.write_bytes(b"something else")
    with fails(EngineMismatch, "engine/changed"):
        check_engine(engine)
    assert engine.read_bytes() == OLD


def test_the_engine_of_another_build_under_way_is_kept(engine):
    other = engine.parent / f".{engine.stem}.0123456789ab.next.onnx"
    other.write_bytes(b"the engine of another process")
    with locked(other):
        build(engine)
        assert other.is_file()
    build(engine)
    assert not other.exists()


@pytest.mark.parametrize("step", range(1, 12))
def test_a_killed_process_leaves_a_pair_that_works(engine, step):
    """SIGKILL at the n-th change of the folder: creation, rename or removal of a file."""
    script = f"""
import os, sys
from pathlib import Path
from tests.runtime.test_engine_pair import build
count = 0
def audit(event, arguments):
    global count
    changes = event == "os.rename" or event == "os.remove" or (
        event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_CREAT)
    if changes and {str(engine.parent)!r} in str(arguments[0]):
        count += 1
        if count == {step}:
            os.kill(os.getpid(), 9)
sys.addaudithook(audit)
build(Path({str(engine)!r}))
"""
    ended = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY)
    assert ended.returncode == (-9 if step <= 10 else 0), "the last one comes to its end"
    card = read_card(card_path(engine), EngineCard)
    content = opened(engine)
    assert content in (OLD, NEW)
    assert hashlib.sha256(content).hexdigest() == card.sha256
    build(engine)
    assert opened(engine) == NEW and len(names(engine)) == 2


def test_a_graph_is_an_engine_where_it_has_a_card(tmp_path):
    graph = tmp_path / "bottle.onnx"
    assert not is_engine(graph)
    assert is_engine(tmp_path / "bottle.engine") and is_engine(tmp_path / "bottle.json")
    (tmp_path / "bottle.json").touch()
    assert is_engine(graph)
