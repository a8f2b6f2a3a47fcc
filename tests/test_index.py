"""The index of a results folder: what predict wrote, and what a walker leaves out."""

import json
import os

import pytest

from edgeseg.errors import SinkError
from edgeseg.files import walk
from edgeseg.index import HEADER, INDEX, append, check_index, indexed_names, read_index
from tests.kit.errors import fails

LATIN_1 = os.fsdecode(b"M\xfcller_mask.png")


@pytest.mark.parametrize("name", ["a_mask.png", "a\nb.png", "-x.png", LATIN_1, "prüfung.png"])
def test_a_name_comes_back_with_its_hashes(tmp_path, name):
    append(tmp_path, name, "00")
    append(tmp_path, name, "11")
    append(tmp_path, "other.npy", "22")
    assert read_index(tmp_path) == {name: {"00", "11"}, "other.npy": {"22"}}


def test_a_folder_without_an_index_has_no_names(tmp_path):
    assert read_index(tmp_path) is None
    assert check_index(tmp_path) == {}
    assert indexed_names(tmp_path / "missing") == frozenset()


def test_a_torn_line_costs_that_line_alone(tmp_path):
    append(tmp_path, "a.png", "00")
    with (tmp_path / INDEX).open("ab") as file:
        file.write(b'["b.png", "1')
    append(tmp_path, "c.png", "22")
    assert read_index(tmp_path) == {"a.png": {"00"}, "c.png": {"22"}}


@pytest.mark.parametrize(
    "line",
    ["{}", "[]", '["a"]', '["a", 1]', '[null, "00"]', "[" * 100_000, "\x00\xff", '["a"'],
    ids=len,
)
def test_a_line_of_another_form_is_ignored(tmp_path, line):
    append(tmp_path, "a.png", "00")
    with (tmp_path / INDEX).open("a", encoding="latin-1") as file:
        file.write(line + "\n")
    assert read_index(tmp_path) == {"a.png": {"00"}}


@pytest.mark.parametrize(
    "header", [b"", b"\n", b"mine", json.dumps(HEADER | {"version": 2}).encode()]
)
def test_an_index_of_something_else_is_refused(tmp_path, header):
    (tmp_path / INDEX).write_bytes(header + b'\n["a.png", "00"]\n')
    assert read_index(tmp_path) is None
    with fails(SinkError, "sink/not-ours"):
        check_index(tmp_path)


def test_a_link_is_neither_read_nor_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text(json.dumps(HEADER) + "\n")
    out = tmp_path / "out"
    out.mkdir()
    (out / INDEX).symlink_to(victim)
    with fails(SinkError, "sink/not-ours"):
        check_index(out)
    with pytest.raises(OSError):
        append(out, "a.png", "00")
    assert victim.read_text() == json.dumps(HEADER) + "\n"


def test_a_walker_leaves_out_what_predict_wrote_and_counts_it(tmp_path):
    for name in ("photo.png", "photo_mask.png", "deep/photo_mask.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    append(tmp_path, "photo_mask.png", "00")
    listing = walk(tmp_path, {".png"})
    assert [path.relative_to(tmp_path).as_posix() for path in listing.files] == [
        *("deep/photo_mask.png", "photo.png")
    ]
    assert listing.left_out == {"written by predict": 2}
