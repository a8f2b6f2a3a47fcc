"""Text in pictures, in every script that a font of this machine has; OpenCV's font is ASCII.

Each letter is drawn with the first font that has it, and escaped (`\\u65e5`) where none has: two
names that differ never look alike. Names from right to left are drawn letter by letter.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from edgeseg.text import escaped

FONTS = (  # Pillow finds them in the folders of the system
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "DroidSansFallbackFull.ttf", "wqy-microhei.ttc"),
    *("msgothic.ttc", "msyh.ttc", "malgun.ttf", "Hiragino Sans GB.ttc", "Arial Unicode.ttf"),
)
NOTHING = "\uffff"  # never a letter: drawn as the sign for a missing one

AnyFont = ImageFont.FreeTypeFont | ImageFont.ImageFont


def write(
    image: NDArray[np.uint8],
    text: str,
    place: tuple[int, int],
    *,
    size: int,
    color: tuple[int, int, int],
) -> int:
    """Write a line into uint8 [h, w, 3], in place; return where it ends, in pixels.

    place: left end of the baseline, x and y; size: of the font, in pixels. What does not fit is cut
    off.
    """
    canvas = Image.fromarray(image)
    pen = ImageDraw.Draw(canvas)
    x: float = place[0]
    for font, letters in _runs(text, size):
        true_type = isinstance(font, ImageFont.FreeTypeFont)
        y = place[1] if true_type else place[1] - size + 2
        pen.text((x, y), letters, fill=color, font=font, anchor="ls" if true_type else None)
        x += font.getlength(letters)
    image[:] = np.asarray(canvas)
    return round(x)


def _runs(text: str, size: int) -> Iterator[tuple[AnyFont, str]]:
    """Yield the pieces of a line and the font of each."""
    fonts = _fonts(size)
    letters = "".join(map(_drawable, unicodedata.normalize("NFC", escaped(text))))
    for place, run in groupby(letters, lambda letter: max(_place(letter), 0)):
        yield fonts[place], "".join(run)


def _drawable(letter: str) -> str:
    return letter if _place(letter) >= 0 else letter.encode("unicode_escape").decode()


@lru_cache(maxsize=4096)
def _place(letter: str) -> int:
    """Return the place of the first font that has a letter, or -1."""
    return next((k for k, font in enumerate(_fonts(24)) if _has(font, letter)), -1)


def _has(font: AnyFont, letter: str) -> bool:
    if isinstance(font, ImageFont.FreeTypeFont):
        return bytes(font.getmask(letter)) != bytes(font.getmask(NOTHING))
    return letter.isascii()


@lru_cache(maxsize=8)
def _fonts(size: int) -> tuple[AnyFont, ...]:
    """Open the fonts of this machine; matplotlib and Pillow bring one each."""
    found: list[AnyFont] = []
    for name in (*FONTS, *_of_matplotlib()):
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    try:
        return (*found, ImageFont.load_default(size))
    except TypeError:  # before Pillow 10.1
        return (*found, ImageFont.load_default())


def _of_matplotlib() -> tuple[str, ...]:
    spec = find_spec("matplotlib")  # not imported
    if spec is None or spec.origin is None:
        return ()
    return (str(Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"),)
