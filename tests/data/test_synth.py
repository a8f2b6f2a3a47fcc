"""`Corruptor`: synthetic anomalies and their masks."""

import numpy as np
import pytest

from edgeseg.data.synth import Corruptor, trained_corruptor
from edgeseg.data.textures import ProceduralTextures


class White:
    """A white texture, whose blends are easy to compute."""

    def draw(self, rng, size):
        return np.full((*size, 3), 255, np.uint8)


class Red:
    """A texture with a color."""

    def draw(self, rng, size):
        return np.full((*size, 3), (255, 0, 0), np.uint8)


def anomalous(corruptor, image, start=0):
    """Return the first corruption whose mask is not empty."""
    for seed in range(start, start + 50):
        corrupted, mask = corruptor.corrupt(image, np.random.default_rng(seed))
        if mask.any():
            return corrupted, mask
    raise AssertionError("fifty empty masks")


@pytest.mark.parametrize("opacity, expected", [(1.0, 255), (0.5, 178), (0.2, 132)])
def test_corrupt_applies_equation_1_inside_the_mask_only(opacity, expected):
    image = np.full((64, 64, 3), 101, np.uint8)
    corrupted, mask = anomalous(Corruptor(White(), (opacity, opacity)), image)
    # beta * 255 + (1 - beta) * 101
    np.testing.assert_array_equal(corrupted[mask], expected)
    np.testing.assert_array_equal(corrupted[~mask], 101)
    np.testing.assert_array_equal(image, 101)


def test_corruptor_gray_uses_no_color():
    image = np.full((64, 64, 3), 101, np.uint8)
    corrupted, mask = anomalous(Corruptor(Red(), (1.0, 1.0), gray=True), image)
    assert (corrupted[mask] == corrupted[mask][0, 0]).all()
    colored, mask = anomalous(Corruptor(Red(), (1.0, 1.0)), image)
    np.testing.assert_array_equal(colored[mask][0], (255, 0, 0))


def test_corrupt_is_reproducible():
    image = np.full((64, 64, 3), 101, np.uint8)
    corruptor = Corruptor(ProceduralTextures())
    first, again = (corruptor.corrupt(image, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_shading_is_the_share_of_shaded_anomalies():
    image = np.full((64, 64, 3), 101, np.uint8)
    corruptor = Corruptor(White(), (1.0, 1.0), shading=0.5)
    pasted = shaded = 0
    for seed in range(200):
        corrupted, mask = corruptor.corrupt(image, np.random.default_rng(seed))
        if mask.any():
            pasted += bool((corrupted[mask] == 255).all())
            shaded += bool((corrupted[mask] != 255).all())
    assert 0.4 < shaded / (shaded + pasted) < 0.65


def test_corruptor_draws_each_type_of_defect_with_its_share(monkeypatch):
    def kind(number):
        def draw(image, rng, **others):
            return np.full_like(image, number), np.ones(image.shape[:2], np.bool_)

        return draw

    for number, name in enumerate(("shade", "mark", "patch", "natural")):
        monkeypatch.setattr(f"edgeseg.data.synth.{name}", kind(number))
    corruptor = Corruptor(White(), (1.0, 1.0), shading=0.1, marks=0.2, patches=0.3, natural=0.15)
    image = np.full((32, 32, 3), 101, np.uint8)
    drawn = [
        corruptor.corrupt(image, np.random.default_rng(seed))[0][0, 0, 0] for seed in range(600)
    ]
    shares = [np.mean([value == number for value in drawn]) for number in range(4)]
    np.testing.assert_allclose(
        shares, (0.1, 0.2, 0.3, 0.15), atol=0.06
    )  # 3 deviations of 600 draws


def test_intact_is_the_share_of_images_without_anomaly():
    image = np.full((64, 64, 3), 100, np.uint8)
    corruptor = Corruptor(White(), (1.0, 1.0), marks=1.0, intact=0.3)
    rng = np.random.default_rng(0)
    whole = [not corruptor.corrupt(image, rng)[1].any() for _ in range(400)]
    assert 0.25 < np.mean(whole) < 0.36
    same, mask = Corruptor(White(), intact=1.0).corrupt(image, rng)
    assert np.array_equal(same, image) and not mask.any()


def test_trained_corruptor_repeats_the_settings_of_a_training():
    shares = {"shading": 0.25, "marks": 0.2, "patches": 0.1, "natural": 0.3, "intact": 0.1}
    drawn = {"opacity_min": 0.3, "opacity_max": 0.6, "texture_color": "gray"} | shares
    others = [np.zeros((8, 8, 3), np.uint8)]
    again = trained_corruptor(drawn | {"batch": 8}, White(), others)
    assert again.others is others
    assert (again.opacity, again.gray) == ((0.3, 0.6), True)
    assert {name: getattr(again, name) for name in shares} == shares


def test_trained_corruptor_of_an_old_card_has_the_papers_settings():
    again = trained_corruptor({}, White())
    assert (again.opacity, again.gray, again.shading) == ((0.2, 1.0), False, 0.0)
