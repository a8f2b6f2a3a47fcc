"""Mirrors edgeseg/files.py: writes that fail leave the old file."""

import errno
import os

import pytest

from edgeseg.errors import WriteError
from edgeseg.files import newest, replacing, sha256, write_atomic
from tests.kit.errors import fails


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


def test_a_killed_write_keeps_the_old_file(tmp_path):
    """A kill runs no `finally`; whoever reads then still finds the old file, whole."""
    path = tmp_path / "model.bin"
    path.write_bytes(b"old")
    with replacing(path) as part:
        part.write_bytes(b"half of the n")
        assert path.read_bytes() == b"old"
        assert part.parent == path.parent  # a rename is atomic within one file system only
    assert path.read_bytes() == b"half of the n"


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
