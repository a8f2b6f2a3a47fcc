"""Letters of every script, really drawn, or told apart by their numbers."""

import numpy as np
import pytest
from PIL import ImageFont

from edgeseg import lettering
from edgeseg.lettering import write


@pytest.fixture
def only(monkeypatch):
    """Restrict the fonts of this machine."""

    def restrict(*fonts):
        monkeypatch.setattr(lettering, "_fonts", lambda size: tuple(f(size) for f in fonts))
        lettering._place.cache_clear()

    yield restrict
    monkeypatch.undo()
    lettering._place.cache_clear()


def drawn(text, width=400):
    image = np.zeros((40, width, 3), np.uint8)
    end = write(image, text, (4, 28), size=20, color=(255, 200, 0))
    assert not image[..., 2].any()
    return image[..., 0], end


@pytest.mark.parametrize(
    ("one", "other"),
    [("Größe", "Grüße"), ("Ł", "L"), ("ё", "е"), ("日本語", "日木語"), ("?", "日")],
)
def test_two_texts_that_differ_by_a_letter_do_not_look_alike(one, other):
    first, second = drawn(one)[0], drawn(other)[0]
    assert first.any() and second.any()
    assert np.count_nonzero(first != second) > 5


@pytest.mark.parametrize("text", ["Größe", "Łódź", "деталь", "εξάρτημα"])
def test_european_letters_are_drawn_and_not_escaped(text):
    """DejaVu has them, which matplotlib brings."""
    assert lettering._place(text[0]) >= 0
    assert drawn(text)[1] < drawn(ascii(text))[1]


def test_japanese_is_drawn_where_a_font_has_it():
    if lettering._place("日") < 0:
        pytest.skip("no font of this machine has Japanese: apt-get install fonts-droid-fallback")
    assert drawn("日本語")[1] < drawn(r"\u65e5")[1]


def test_a_letter_that_no_font_has_is_escaped(only):
    only(ImageFont.load_default)
    np.testing.assert_array_equal(drawn("日x")[0], drawn(r"\u65e5x")[0])
    np.testing.assert_array_equal(drawn("\U0001f9ff")[0], drawn(r"\U0001f9ff")[0])


def test_a_letter_is_taken_from_the_first_font_that_has_it(only):
    def dejavu(size):
        return ImageFont.truetype(lettering._of_matplotlib()[0], size)

    only(ImageFont.load_default, dejavu)
    mixed, _ = drawn("aж")
    alone, _ = drawn("a")
    np.testing.assert_array_equal(mixed[:, :14], alone[:, :14])
    assert mixed.sum() > alone.sum()


def test_without_true_type_fonts_there_is_still_a_text(only):
    only(lambda size: ImageFont.load_default_imagefont())
    assert drawn("part")[0].any()
    np.testing.assert_array_equal(drawn("ä")[0], drawn(r"\xe4")[0])


def test_a_decomposed_letter_is_the_composed_one():
    np.testing.assert_array_equal(drawn("u\u0308")[0], drawn("\u00fc")[0])


def test_a_line_that_is_too_long_is_cut_off_and_control_characters_are_shown():
    assert drawn("part " * 50, width=100)[1] > 100
    np.testing.assert_array_equal(drawn("a\nb")[0], drawn(r"a\nb")[0])
