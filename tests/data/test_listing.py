"""Which files of a folder are images."""

from edgeseg.data.listing import list_images, subfolders, walk_images
from edgeseg.errors import DataError
from tests.kit.errors import fails
from tests.kit.logs import logged


def plant(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_list_images_is_without_other_files(tmp_path):
    plant(tmp_path, "b.PNG", "a.jpeg", "c.tiff", "notes.txt", "d.bmp", "e.png/f.png", "g.webp")
    names = [path.name for path in list_images(tmp_path)]
    assert names == ["a.jpeg", "b.PNG", "c.tiff", "d.bmp"]


def test_a_missing_folder_is_refused_or_has_no_images(tmp_path):
    with fails(DataError, "data/folder-missing"):
        walk_images(tmp_path / "none")
    assert list_images(tmp_path / "none") == []


def test_walk_images_takes_linked_folders_once_and_no_hidden_ones(tmp_path):
    plant(
        tmp_path, "in/own.png", "in/.thumbnails/a.png", "in/._own.png", "real/1.png", "real/10.png"
    )
    plant(tmp_path, "real/2.png")
    (tmp_path / "in/camera").symlink_to("../real")
    (tmp_path / "in/camera/again").symlink_to("..")
    names = [path.relative_to(tmp_path / "in").as_posix() for path in walk_images(tmp_path / "in")]
    assert names == ["camera/1.png", "camera/2.png", "camera/10.png", "own.png"]


def test_walk_images_says_what_it_left_out(tmp_path):
    plant(tmp_path, "a.png", "b.webp", "c.jp2", ".d.png", "masks/a.png", "license.txt")
    with logged() as lines:
        assert [path.name for path in walk_images(tmp_path)] == ["a.png"]
    (line,) = lines
    assert line.endswith("1 .jp2, 1 .webp, 1 hidden")


def test_subfolders_are_in_natural_order_without_hidden_ones(tmp_path):
    plant(tmp_path, "10/a", "9/a", ".git/a", "file")
    assert [path.name for path in subfolders(tmp_path)] == ["9", "10"]
    assert subfolders(tmp_path / "none") == []
