"""Content of folders, and archives from machines that are not trusted."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from edgeseg.cluster import content as contents
from edgeseg.cluster.content import content_of, names_in, pack, unpack
from edgeseg.errors import DataError, EdgesegError
from tests.kit.errors import fails


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "bottle"
    (root / "train" / "good").mkdir(parents=True)
    (root / "train" / "good" / "0.png").write_bytes(b"zero")
    (root / "train" / "good" / "1.png").write_bytes(b"one")
    (root / ".git").mkdir()
    (root / ".git" / "junk").write_bytes(b"junk")
    (root / "run").mkdir()
    (root / "run" / "card.json").write_text("{}")
    return root


def archive(name, data=b"data", kind=tarfile.REGTYPE, link=""):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, link, len(data)
        file.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def test_content_lists_files_and_leaves_out_hidden_ones_and_the_job_s_own(folder):
    found = content_of(folder, without=[folder / "run"])
    assert [entry.name for entry in found.files] == ["train/good/0.png", "train/good/1.png"]
    assert found.name == "bottle" and found.files[0].size == 4
    assert len(content_of(folder).files) == 3


def test_the_digest_follows_every_byte_and_name(folder, tmp_path):
    before = content_of(folder).digest
    assert content_of(folder).digest == before
    (folder / "train" / "good" / "1.png").write_bytes(b"two")
    changed = content_of(folder).digest
    moved = content_of(folder.rename(tmp_path / "cable")).digest
    assert len({before, changed, moved}) == 3


def test_content_of_a_file_and_of_a_missing_one(folder, tmp_path):
    found = content_of(folder / "run" / "card.json")
    assert (found.name, found.folder, len(found.files)) == ("card.json", False, 1)
    with fails(DataError, "data/unreadable"):
        content_of(tmp_path / "missing")


def test_a_folder_that_links_to_itself_ends(folder):
    (folder / "train" / "again").symlink_to(folder)
    assert len(content_of(folder).files) == 3


def test_a_folder_that_cannot_be_read_is_an_error_and_no_smaller_data_set(folder, monkeypatch):
    real = os.scandir

    def closed(path):
        if Path(path).name == "good":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    with fails(DataError, "data/unreadable"):
        content_of(folder)


def test_parts_are_bounded(folder, monkeypatch):
    monkeypatch.setattr(contents, "PART_BYTES", 5)
    parts = content_of(folder).parts()
    assert [[entry.size for entry in part] for part in parts] == [[2], [4], [3]]


def test_unpack_writes_what_was_packed_in_its_order(folder, tmp_path):
    data = pack(
        [("1/b.txt", folder / "run" / "card.json"), ("0/x/a", folder / "run" / "card.json")]
    )
    one, two = tmp_path / "one", tmp_path / "two"
    assert unpack(data, [one, two]) == [two / "b.txt", one / "x" / "a"]
    assert (one / "x" / "a").read_text() == "{}" and names_in(data) == ["1/b.txt", "0/x/a"]


@pytest.mark.parametrize(
    "name",
    [
        "0/../evil",
        "../evil",
        "/etc/evil",
        "0//evil",
        "0/a/../../evil",
        "0\\evil",
        "7/evil",
        "evil",
        "0/",
        "c:/evil",
        "0/c:/evil",
        "0/./evil",
        "x/evil",
    ],
)
def test_unpack_refuses_names_that_lead_out(name, tmp_path):
    with fails(EdgesegError, "cluster/unsafe-archive"):
        unpack(archive(name), [tmp_path / "in"])
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("name", ["2026-11-27T10:30:00/0.png", "a/b:c", os.fsdecode(b"\xff")])
def test_names_that_stay_below_their_folder_are_accepted(folder, tmp_path, name):
    contents.check_name(name)
    data = pack([(f"0/{name}", folder / "run" / "card.json")])
    assert unpack(data, [tmp_path / "in"]) == [tmp_path / "in" / name]


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE]
)
def test_unpack_refuses_all_but_regular_files(kind, tmp_path):
    with fails(EdgesegError, "cluster/unsafe-archive"):
        unpack(archive("0/a", b"", kind, "/etc/passwd"), [tmp_path / "in"])


def test_unpack_does_not_write_through_a_link(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "away").symlink_to(tmp_path)
    with fails(EdgesegError, "cluster/unsafe-archive"):
        unpack(archive("0/away/evil"), [tmp_path / "in"])
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no archive",
        archive("0/a", b"x" * 2000)[:1000],
        archive("0/" + os.fsdecode(b"\xff"), b"").replace(b"BINARY", b"B\xffNARY"),
    ],
)
def test_unpack_reports_a_damaged_archive_and_keeps_what_was_there(data, tmp_path):
    (tmp_path / "a").write_text("before")
    if data == b"":
        assert unpack(pack([]), [tmp_path]) == []
    with fails(EdgesegError, "cluster/damaged"):
        unpack(data, [tmp_path])
    assert (tmp_path / "a").read_text() == "before"


def test_unpack_compares_with_what_was_announced(folder, tmp_path):
    (entry,) = content_of(folder / "run").files
    expected = {entry.name: entry}
    with fails(EdgesegError, "cluster/damaged"):
        unpack(archive("0/card.json", b"[]"), [tmp_path], expected)
    with fails(EdgesegError, "cluster/damaged"):
        unpack(archive("0/other.json", b"{}"), [tmp_path], expected)
    unpack(archive("0/card.json", b"{}"), [tmp_path], expected)
