"""Text for people: aligned tables, names, numbers, and lists of them."""

import math
from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]], align: str, *, gap: str = "  ") -> list[str]:
    """Return rows of cells as lines with aligned columns.

    align: one character per column, `<` left or `>` right; rows may be shorter than it.
    """
    widths = [
        max((len(row[column]) for row in rows if column < len(row)), default=0)
        for column in range(len(align))
    ]
    return [
        gap.join(
            f"{cell:{side}{width}}" for cell, side, width in zip(row, align, widths, strict=False)
        ).rstrip()
        for row in rows
    ]


def listed(names: Sequence[str], most: int) -> str:
    """Return names, comma-separated, and the number of those beyond `most`."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: `1 thread`, `2 threads`."""
    return f"{count} {noun}" + "s" * (count != 1)


def signed(value: float, digits: int) -> str:
    """Return a change with its sign, `+0.012`; what rounds to 0 has a plus."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def percent(share: float) -> str:
    """Return a share, 0 to 1, as `12.5 %`; only 1 is `100 %`, and NaN is `-`."""
    if math.isnan(share):
        return "-"
    return "> 99.9 %" if 0.9995 <= share < 1 else f"{100 * share:.3g} %"


def escaped(text: str, keep: str = "") -> str:
    """Escape control characters and bytes that are no text, so that a terminal shows them."""
    return "".join(c if c.isprintable() or c in keep else _escape(c) for c in text)


def _escape(letter: str) -> str:
    if 0xDC80 <= ord(letter) <= 0xDCFF:  # a byte that is no UTF-8, from os.fsdecode
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()
