"""Mirrors edgeseg/data/textures.py."""

import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.data.textures import FIELDS, FolderTextures, ProceduralTextures
from edgeseg.errors import DataError


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.__name__)
@pytest.mark.parametrize("side", [32, 96])
def test_every_field_is_finite_single_precision_of_the_asked_size(field, side):
    for seed in range(5):
        values = field(np.random.default_rng(seed), side)
        assert values.shape == (side, side)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()


def test_the_same_seed_gives_the_same_texture_and_another_seed_another():
    first, again, other = (
        ProceduralTextures().draw(np.random.default_rng(seed), 64) for seed in (1, 1, 2)
    )
    assert first.dtype == np.uint8 and first.shape == (64, 64, 3)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_dark_and_bright_textures_both_occur():
    rng = np.random.default_rng(0)
    means = [ProceduralTextures().draw(rng, 32).mean() for _ in range(100)]
    assert min(means) < 50 and max(means) > 205


def test_a_folder_is_searched_through_its_subfolders(tmp_path):
    for name, value in (("a/one.png", 10), ("b/c/two.png", 200)):
        write_png(tmp_path / name, np.full((8, 8, 3), value, np.uint8))
    textures = FolderTextures(tmp_path)
    rng = np.random.default_rng(0)
    seen = {int(textures.draw(rng, 16)[0, 0, 0]) for _ in range(30)}
    assert seen == {10, 200}


def test_a_folder_without_images_names_the_flag(tmp_path):
    with pytest.raises(DataError, match="holds no texture") as caught:
        FolderTextures(tmp_path)
    assert "--textures" in caught.value.remedy
