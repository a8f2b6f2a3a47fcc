"""Procedural textures, and textures from a folder."""

import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.data.textures import FIELDS, FolderTextures, ProceduralTextures
from edgeseg.errors import DataError
from tests.data.planted import plant
from tests.kit.errors import fails
from tests.kit.logs import logged


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.__name__)
@pytest.mark.parametrize("side", [32, 96])
def test_every_field_is_finite_fp32_of_the_requested_size(field, side):
    for seed in range(5):
        values = field(np.random.default_rng(seed), side)
        assert values.shape == (side, side)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()


def test_procedural_textures_depend_on_the_seed():
    first, again, other = (
        ProceduralTextures().draw(np.random.default_rng(seed), (64, 64)) for seed in (1, 1, 2)
    )
    assert first.dtype == np.uint8 and first.shape == (64, 64, 3)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_procedural_textures_are_dark_and_bright():
    rng = np.random.default_rng(0)
    means = [ProceduralTextures().draw(rng, (32, 32)).mean() for _ in range(100)]
    assert min(means) < 50 and max(means) > 205


def test_a_damaged_texture_is_named_once_and_another_one_taken(tmp_path):
    write_png(tmp_path / "sound.png", np.full((8, 8, 3), 77, np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "sound.png").read_bytes()[:-9])
    textures, rng = FolderTextures(tmp_path), np.random.default_rng(0)
    with logged() as lines:
        assert all((textures.draw(rng, (8, 8)) == 77).all() for _ in range(20))
    (line,) = lines
    assert "cut.png" in line


def test_textures_that_are_all_damaged_are_refused(tmp_path):
    (tmp_path / "cut.png").write_bytes(b"no image")
    with fails(DataError, "data/damaged-image"):
        FolderTextures(tmp_path).draw(np.random.default_rng(0), (8, 8))


def test_folder_textures_searches_subfolders(tmp_path):
    for name, value in (("a/one.png", 10), ("b/c/two.png", 200)):
        write_png(tmp_path / name, np.full((8, 8, 3), value, np.uint8))
    textures = FolderTextures(tmp_path)
    rng = np.random.default_rng(0)
    seen = {int(textures.draw(rng, (16, 16))[0, 0, 0]) for _ in range(30)}
    assert seen == {10, 200}


def test_folder_textures_warns_of_an_incomplete_dtd(tmp_path):
    for name in ("banded", "dotted", "woven"):
        plant(tmp_path / "images" / name, 120, ".jpg")
    with logged() as said:
        FolderTextures(tmp_path)
    assert "DTD" in said[0] and ": blotchy 0 of 120, " in said[0]


def test_folder_textures_refuses_a_folder_without_images(tmp_path):
    with fails(DataError, "data/no-images") as caught:
        FolderTextures(tmp_path)
    assert "--textures" in caught.value.remedy
