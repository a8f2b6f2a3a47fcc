"""watch://: complete files only, each once, in order of arrival, also after a restart."""

import os
import threading

import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.errors import EdgesegError, SourceError
from edgeseg.stream.source import watch
from edgeseg.stream.source.base import Frame
from edgeseg.stream.source.open import open_source
from edgeseg.verdict.verdict import DAMAGED
from tests.kit.errors import fails

SIDE = 8


def put(folder, name, red=0, changed=None):
    """Put a whole image there at once, as a camera that renames."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    image[..., 0] = red
    write_png(path, image)
    if changed is not None:
        os.utime(path, (changed, changed))
    return path


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "POLL", 0.01)
    monkeypatch.setattr(watch, "PATIENCE", 0.2)
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


def opened(folder, query="settle=0.05"):
    source = open_source(f"watch://{folder}?{query}", size=(SIDE, SIDE), attempts=0)
    return source


def read(source, count=1, *, judge=True):
    """Read files; return their names and the red of each, or its fault."""
    found = []
    for _ in range(count):
        frame = Frame()
        assert source.read_into(frame)
        assert frame.arrival > 0
        name = os.path.relpath(frame.label, source._folder)
        found.append((name, frame.fault or int(frame.image[0, 0, 0])))
        if judge:
            source.judged(frame.without_image())
    return found


def idle(source, seconds=0.3):
    """Whether nothing comes for a time; the source has ended then."""
    threading.Timer(seconds, source.stopping.set).start()
    return not source.read_into(Frame())


def test_files_come_in_order_of_their_arrival(folder):
    put(folder, "b10.png", 10, changed=1000)
    put(folder, "z/a.png", 20, changed=900)
    put(folder, "b2.png", 30, changed=1000)
    with opened(folder) as source:
        assert (source.live, source.stamps) == (False, True)
        assert read(source, 3) == [("z/a.png", 20), ("b2.png", 30), ("b10.png", 10)]
        put(folder, "a.png", 40, changed=100)  # its clock is wrong; it came later
        assert read(source) == [("a.png", 40)]
        assert idle(source)


def test_what_is_no_image_or_has_a_temporary_name_is_left_alone(folder):
    for name in (".upload.png", "upload.png.part", "notes.txt"):
        put(folder, "x.png").rename(folder / name)
    with opened(folder) as source:
        assert idle(source)
        assert source.broken == 0


def test_an_upload_is_read_when_it_is_complete(folder):
    whole = put(folder.parent, "whole.png", 200).read_bytes()
    target = folder / "part.png"
    with opened(folder, "settle=0.3") as source, target.open("wb") as file:

        def write(start):
            file.write(whole[start : start + 20])
            file.flush()
            if start + 20 < len(whole):
                threading.Timer(0.05, write, (start + 20,)).start()

        write(0)
        assert read(source) == [("part.png", 200)]
        assert source.broken == 0


def test_an_upload_that_stalled_has_more_time_and_delays_no_other(folder, monkeypatch):
    monkeypatch.setattr(watch, "PATIENCE", 5.0)
    whole = put(folder.parent, "whole.png", 200).read_bytes()
    (folder / "a.png").write_bytes(whole[:40])
    with opened(folder) as source:
        threading.Timer(0.3, put, (folder, "b.png", 7)).start()
        assert read(source) == [("b.png", 7)]
        (folder / "a.png").write_bytes(whole)
        assert read(source) == [("a.png", 200)]


def test_an_upload_that_never_ends_is_unknown_and_never_a_picture(folder):
    whole = put(folder.parent, "whole.png", 200).read_bytes()
    (folder / "half.png").write_bytes(whole[:40])
    (folder / "empty.png").touch()
    with opened(folder) as source:
        assert sorted(read(source, 2)) == [("empty.png", DAMAGED), ("half.png", DAMAGED)]
        assert (source.broken, len(source.damaged.found)) == (2, 2)


def test_a_restart_repeats_nothing_and_loses_nothing(folder):
    for place in range(4):
        put(folder, f"{place}.png", place, changed=1000 + place)
    with opened(folder) as source:
        assert read(source, 2) == [("0.png", 0), ("1.png", 1)]
        assert read(source, judge=False) == [("2.png", 2)]  # the process ends before its verdict
    put(folder, "4.png", 4, changed=1004)
    with opened(folder) as source:
        assert read(source, 3) == [("2.png", 2), ("3.png", 3), ("4.png", 4)]
    with opened(folder) as source:
        assert idle(source)


def test_a_new_image_under_an_old_name_is_judged_again(folder):
    put(folder, "latest.png", 1, changed=1000)
    with opened(folder) as source:
        assert read(source) == [("latest.png", 1)]
        put(folder, "latest.png", 2, changed=1001)
        assert read(source) == [("latest.png", 2)]
        assert idle(source)


def test_a_killed_process_leaves_half_a_line(folder):
    put(folder, "0.png", 0)
    with opened(folder) as source:
        read(source)
    with (folder / watch.JUDGED).open("a") as file:
        file.write('["1.png", 12')
    put(folder, "1.png", 1)
    with opened(folder) as source:
        assert read(source) == [("1.png", 1)]


def test_judged_files_are_moved_and_none_is_replaced(folder):
    put(folder, "sub/0.png", 5)
    put(folder / "done", "sub/0.png", 99)
    with opened(folder, "settle=0.05&move=done") as source:
        assert read(source) == [("sub/0.png", 5)]
        put(folder, "1.png", 6)
        assert read(source, judge=False) == [("1.png", 6)]
    moved = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    assert moved == ["1.png", "done/sub/0-2.png", "done/sub/0.png"]


def test_what_a_killed_process_has_judged_is_moved_at_the_next_start(folder):
    put(folder, "0.png", 5)
    with opened(folder) as source:
        read(source)
    with opened(folder, "move=../kept") as source:
        assert idle(source)
    assert (folder.parent / "kept" / "0.png").is_file()
    assert not (folder / "0.png").exists()


def test_a_folder_that_goes_away_is_an_error(folder):
    with opened(folder) as source:
        folder.rename(folder.parent / "unmounted")
        with fails(SourceError, "source/lost"):
            source.read_into(Frame())


def test_a_folder_is_watched_once(folder):
    with opened(folder), fails(EdgesegError, "files/locked"):
        opened(folder)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("settle=never", "'settle=never' (expected move=FOLDER or settle=SECONDS)"),
        ("settle=-1", "settle=-1"),
        ("keep=1", "'keep=1'"),
        ("move=.", "move is the folder itself"),
    ],
)
def test_an_invalid_setting_is_named(folder, query, words):
    with fails(SourceError, "source/invalid-watch") as caught:
        opened(folder, query)
    assert words in caught.value.problem


def test_a_missing_folder_is_told(tmp_path):
    with fails(SourceError, "source/not-found"):
        opened(tmp_path / "none")
    with fails(SourceError, "source/invalid-watch"):
        open_source("watch://", size=(SIDE, SIDE), attempts=0)
