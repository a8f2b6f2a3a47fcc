"""Text for people: aligned tables and sizes with units."""

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
