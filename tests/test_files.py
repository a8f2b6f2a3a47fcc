"""Mirrors edgeseg/files.py: writing, locks, names, and the walk over folders."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgeseg.errors import ConfigError, DataError, EdgesegError, WriteError
from edgeseg.files import (
    cannot_write,
    check_outputs,
    check_room,
    check_writable,
    locked,
    natural_key,
    newest,
    quoted,
    replacing,
    sha256,
    shown,
    walk,
    write_atomic,
)
from tests.kit.errors import fails
from tests.kit.names import any_name


def test_a_write_replaces_the_file_and_leaves_no_other(tmp_path):
    path = tmp_path / "deep" / "model.bin"
    write_atomic(path, b"old")
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(path.parent.iterdir()) == [path]


def test_an_exception_keeps_the_old_file(tmp_path):
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.write_bytes(b"half of the n")
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_keeps_the_old_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with fails(WriteError, "write/failed") as caught:
        write_atomic(path, b"new")
    assert "No space left on device" in caught.value.problem
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_remedy_of_a_failed_write_names_a_folder_that_exists(tmp_path):
    error = cannot_write(tmp_path / "model.bin", OSError(errno.ENOSPC, "No space left on device"))
    assert error.remedy.endswith(f"df -h {quoted(tmp_path)}")


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with fails(WriteError, "write/failed") as caught:
        write_atomic(file / "deep" / "model.bin", b"new")
    assert caught.value.remedy == f"use another path: {file} is a file"
    with fails(WriteError, "write/failed") as caught:
        check_writable(file)
    assert caught.value.remedy == f"use another path: {file} is a file"


def test_a_folder_that_is_missing_is_to_be_made(tmp_path):
    missing = (errno.ENOENT, "No such file or directory")
    error = cannot_write(tmp_path / "a b" / "c" / "model.bin", FileNotFoundError(*missing))
    assert error.remedy == f"mkdir -p {quoted(tmp_path / 'a b' / 'c')}"


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path):
    check_writable(tmp_path)
    check_writable(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with fails(WriteError, "write/failed") as caught:
            check_writable(folder)
        assert str(folder) in caught.value.problem


def test_hashes_are_known(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2
    assert sha256(tmp_path / "abc") == known


def test_the_newest_file_comes_first(tmp_path):
    for age, name in enumerate(("a.json", "b.json", "c.txt")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    assert [path.name for path in newest(tmp_path, "*.json")] == ["a.json", "b.json"]
    assert newest(tmp_path / "none", "*.json") == []


def test_a_temporary_file_of_a_dead_process_is_removed(tmp_path):
    script = "import os, pathlib, sys\nfrom edgeseg.files import replacing\n" + (
        "with replacing(pathlib.Path(sys.argv[1])) as part:\n    os._exit(9)\n"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "model.bin"], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    write_atomic(tmp_path / "other.bin", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["other.bin"]


def test_a_temporary_file_in_use_is_kept(tmp_path):
    with replacing(tmp_path / "a.bin") as part:
        write_atomic(tmp_path / "b.bin", b"b")
        part.write_bytes(b"a")
    assert (tmp_path / "a.bin").read_bytes() == b"a"


def test_a_link_at_the_target_is_replaced_and_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "out").symlink_to(victim)
    write_atomic(tmp_path / "out", b"new")
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "out").is_symlink()


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_second_lock_is_refused_and_ends_with_the_first(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    with locked(path), fails(EdgesegError, "files/locked"), locked(path):
        pass
    with locked(path):
        pass


def test_an_output_never_is_or_contains_an_input(tmp_path):
    photo = tmp_path / "in" / "photo.png"
    photo.parent.mkdir()
    photo.touch()
    (tmp_path / "hard.png").hardlink_to(photo)
    (tmp_path / "soft").symlink_to(photo.parent)
    for out in (
        photo,
        photo.parent,
        tmp_path,
        tmp_path / "hard.png",
        tmp_path / "soft",
        tmp_path / "soft" / "photo.png",
        tmp_path / "IN" / "Photo.PNG",
        tmp_path / "in" / ".." / "in" / "photo.png",
    ):
        with fails(ConfigError, "output/is-input"):
            check_outputs({"--out": out}, [photo])
    check_outputs({"--out": tmp_path / "in2", "--jsonl": None}, [photo])
    check_outputs({"--out": photo.parent / "results"}, [photo])


def test_two_outputs_are_never_one_file(tmp_path):
    with fails(ConfigError, "output/same"):
        check_outputs({"--out": tmp_path / "a.mp4", "--jsonl": tmp_path / "A.mp4"}, [])


def test_a_walk_takes_and_counts_by_one_rule(tmp_path):
    for name in (
        "10.png", "2.PNG", "a/1.png", ".hidden.png", "._2.png", ".ipynb_checkpoints/2.png",
        "__MACOSX/2.png", "note.txt", "README",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "broken.png").symlink_to("nothing")
    os.mkfifo(tmp_path / "pipe.png")
    found = walk(tmp_path, {".png"})
    assert [str(path.relative_to(tmp_path)) for path in found.files] == [
        "2.PNG", "10.png", "a/1.png",
    ]  # fmt: skip
    assert found.left_out == {
        "hidden": 4, "linked again": 1, "no file": 2, ".txt": 1, "without suffix": 1,
    }  # fmt: skip
    flat = walk(tmp_path, {".png"}, deep=False)
    assert [path.name for path in flat.files] == ["2.PNG", "10.png"]
    with fails(DataError, "data/unreadable"):
        walk(tmp_path / "none", {".png"})


def test_a_linked_folder_is_walked_once(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "1.png").touch()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "camera1").symlink_to(tmp_path / "real")
    (tmp_path / "in" / "camera2").symlink_to(tmp_path / "real")
    found = walk(tmp_path / "in", {".png"})
    assert len(found.files) == 1
    assert found.left_out == {"linked again": 1}


def test_names_of_frames_are_in_natural_order():
    names = ["f10.png", "f9.png", "F1.png", "f01.png", "f٣.png", "f" + "9" * 5000 + ".png"]
    ordered = sorted(map(Path, names), key=natural_key)
    assert [str(path)[:7] for path in ordered] == [
        "F1.png", "f01.png", "f9.png", "f10.png", "f999999", "f٣.png",
    ]  # fmt: skip


@pytest.mark.parametrize("name", **any_name)
def test_a_quoted_name_is_one_argument_of_the_shell(name):
    text = quoted(name)
    done = subprocess.run(["bash", "-c", f"printf %s {text}"], capture_output=True, check=True)
    assert done.stdout.removeprefix(b"./") == os.fsencode(name)


@pytest.mark.parametrize("name", **any_name)
def test_a_shown_name_is_printable(name):
    assert shown(name).isprintable()


def test_a_shown_name_has_its_bytes():
    assert shown(os.fsdecode(b"Pr\xfcf\n.png")) == r"Pr\xfcf\n.png"


def test_the_room_is_that_of_the_disk_on_which_a_folder_will_be(tmp_path, monkeypatch):
    seen = []

    def usage(path):
        seen.append(path)
        return SimpleNamespace(free=5 << 20)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    to_be_made = tmp_path / "runs" / "line 3"
    check_room(to_be_made, 5 << 20, "all need", remedy="less", code="write/full")
    with fails(WriteError, "write/full") as caught:
        check_room(to_be_made, (5 << 20) + 1, "all need", remedy="less", code="write/full")
    assert seen == [tmp_path, tmp_path]
    assert "all need 6 MiB" in caught.value.problem and "5 MiB are free" in caught.value.problem
