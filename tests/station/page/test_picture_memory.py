import threading
import time
import zlib

import numpy as np
import pytest

from edgeseg.station.page import picture_memory
from edgeseg.station.page.picture_memory import SIDE, WANT_NS, PictureMemory


@pytest.fixture(params=["shared", "folder"])
def both(tmp_path, request, monkeypatch):
    """The memory as the inspector and as the gateway have it."""
    if request.param == "folder":
        monkeypatch.setattr(picture_memory, "SHARED", tmp_path / "none")
    with PictureMemory(tmp_path, "top") as writer, PictureMemory(tmp_path, "top") as reader:
        yield writer, reader
        writer.remove()


def picture(shade, height=40, width=60):
    return np.full((height, width, 3), shade, np.uint8)


def test_a_picture_arrives_once(both):
    writer, reader = both
    assert reader.newest() is None
    writer.write(picture(7))
    found = reader.newest()
    assert np.array_equal(found.image, picture(7))
    assert reader.newest(found.number) is None
    writer.write(picture(9, SIDE, SIDE))
    again = reader.newest(found.number)
    assert np.array_equal(again.image, picture(9, SIDE, SIDE)) and again.number > found.number


def test_who_looks_is_known_for_a_second(both):
    writer, reader = both
    now = 5_000_000_000
    assert not writer.wanted(now)
    reader.want(now)
    assert writer.wanted(now) and writer.wanted(now + WANT_NS)
    assert not writer.wanted(now + WANT_NS + 1)
    assert not writer.wanted(now - 1)  # after a new start of the machine, a file may be old


def test_a_picture_that_is_being_written_or_torn_is_none(both):
    writer, reader = both
    writer.write(picture(1))
    writer._numbers[1] += 1  # odd: it is being written
    assert reader.newest() is None
    writer._numbers[1] += 1
    assert reader.newest() is not None
    writer._pixels[5] = 99
    assert reader.newest() is None


def test_numbers_that_are_no_picture_are_none(both):
    writer, reader = both
    writer.write(picture(1))
    for height, width in ((0, 5), (-4, 5), (5, SIDE + 1), (1 << 60, 1 << 60)):
        writer._numbers[3:5] = height, width
        assert reader.newest() is None


def test_a_reader_never_sees_half_of_a_picture(both):
    writer, reader = both
    ended = threading.Event()

    def write():
        shade = 0
        while not ended.is_set():
            shade = (shade + 1) % 256
            writer.write(picture(shade, 200, 300))
            time.sleep(0.0005)

    thread = threading.Thread(target=write)
    thread.start()
    seen, number = 0, 0
    while seen < 20:
        found = reader.newest(number)
        if found is not None:
            number, seen = found.number, seen + 1
            assert len(np.unique(found.image)) == 1
    ended.set()
    thread.join()


def test_a_file_that_died_in_the_middle_of_a_write_goes_on(both):
    writer, reader = both
    writer.write(picture(1))
    writer._numbers[1] += 1
    writer.write(picture(2))
    assert reader.newest().image[0, 0, 0] == 2


def test_the_reader_knows_that_the_other_has_another_file(both, tmp_path):
    writer, reader = both
    assert reader.current
    writer.remove()
    assert not reader.current
    with PictureMemory(tmp_path, "top") as other:
        assert not reader.current
        other.remove()


def test_a_link_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_memory, "SHARED", tmp_path / "none")
    (tmp_path / "other").write_bytes(b"mine")
    (tmp_path / "picture-top.bin").symlink_to(tmp_path / "other")
    with pytest.raises(OSError):
        PictureMemory(tmp_path, "top")
    assert (tmp_path / "other").read_bytes() == b"mine"


def test_the_checksum_is_that_of_the_picture(both):
    writer, _ = both
    writer.write(picture(3))
    assert int(writer._numbers[5]) == zlib.crc32(picture(3).data)
