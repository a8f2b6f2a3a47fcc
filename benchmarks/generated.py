"""Generated data sets beside the plates of the demo: a woven cloth and an assembled board.

    python benchmarks/generated.py fabric DIR --train 120 --good 40 --bad 15
    python benchmarks/generated.py board DIR

Both are written in the MVTec AD layout with masks, from a seed. The cloth is a texture with natural
variation: every thread has its own brightness, the weave is bent a little, the light varies. The
board is an assembly with tolerances: the plate lies shifted and turned, screws stand at any angle,
label and connector are placed within two pixels.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from edgeseg.data.images import Image, Mask, write_png
from edgeseg.data.layouts import GOOD

Defective = tuple[Image, Mask]
Field = NDArray[np.float32]

SIDE = 224  # of the cloth, px
PITCH = 9.0  # px from thread to thread
BOARD = (192, 256)  # height, width of a picture of the board, px
PLATE = (22, 26, 170, 230)  # top, left, bottom, right
SCREWS = ((38, 44), (38, 212), (154, 44), (154, 212))  # row, column
LABEL = (52, 70, 92, 160)
CONNECTOR = (112, 78, 136, 186)
PINS = 9
TEXT, WRONG = "EDG 204", ("EDG 240", "EOG 204", "EDG 204 B", "204 EDG")


@dataclass(frozen=True)
class Kind:
    """A data set: how a good part is drawn, and how each type of defect."""

    good: Callable[[Generator], Image]
    defects: dict[str, Callable[[Generator], Defective]]


def write_set(root: Path, kind: str, *, train: int, good: int, bad: int, seed: int = 0) -> Path:
    """Write train/good, test/good and, for each type of defect, `bad` images with masks."""
    rng = np.random.default_rng(seed)
    for folder, count in ((root / "train" / GOOD, train), (root / "test" / GOOD, good)):
        for number in range(count):
            write_png(folder / f"{number:03}.png", KINDS[kind].good(rng))
    for name, draw in KINDS[kind].defects.items():
        for number in range(bad):
            image, mask = draw(rng)
            write_png(root / "test" / name / f"{number:03}.png", image)
            truth = root / "ground_truth" / name / f"{number:03}_mask.png"
            write_png(truth, mask.astype(np.uint8) * 255)
    return root


@dataclass
class Cloth:
    """Threads of one cloth; a defect changes them before they are drawn."""

    bend: tuple[Field, Field]
    """Displacement of the weave, px, rows and columns, [SIDE, SIDE]."""
    warp: NDArray[np.float64]
    """Brightness of each upright thread."""
    weft: NDArray[np.float64]
    light: Field
    phase: NDArray[np.float64]


def new_cloth(rng: Generator) -> Cloth:
    """Draw what varies from one good piece of cloth to the next."""
    count = int(SIDE / PITCH) + 4
    bend = (3 * _noise(rng, 3), 3 * _noise(rng, 3))
    tone = 128 + rng.uniform(-10, 10)
    slope = rng.uniform(-0.12, 0.12, 2)
    line = np.linspace(-1, 1, SIDE, dtype=np.float32)
    light = 1 + slope[0] * line[:, None] + slope[1] * line[None, :]
    return Cloth(
        bend,
        tone + rng.normal(0, 7, count),
        tone - 12 + rng.normal(0, 7, count),
        np.asarray(light, np.float32),
        rng.uniform(0, PITCH, 2),
    )


def weave(cloth: Cloth, rng: Generator, gone: Mask | None = None) -> Image:
    """Draw a cloth; gone: where its upright threads are missing."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    v = (y + cloth.bend[0] + cloth.phase[0]) / PITCH
    u = (x + cloth.bend[1] + cloth.phase[1]) / PITCH
    row, column = (np.clip(np.floor(a).astype(int) + 1, 0, len(cloth.warp) - 1) for a in (v, u))
    across_v, across_u = (np.cos(np.pi * (a - np.floor(a) - 0.5)) for a in (v, u))
    upright = cloth.warp[column] * (0.45 + 0.55 * across_u) * (0.8 + 0.2 * across_v)
    level = cloth.weft[row] * (0.45 + 0.55 * across_v) * (0.8 + 0.2 * across_u)
    above = (row + column) % 2 == 0
    if gone is not None:
        above &= ~gone
        level = np.where(gone, level * 0.75, level)
    gray = np.where(above, upright, level) * cloth.light
    fibers = cv2.blur(rng.normal(0, 12, (SIDE, SIDE)), (1, 5))
    tinted = (gray + fibers + rng.normal(0, 2, gray.shape))[:, :, None] * (0.9, 0.97, 1.0)
    woven: Image = np.clip(tinted, 0, 255).astype(np.uint8)
    return woven


def fabric(rng: Generator) -> Image:
    """Draw a good piece of cloth, RGB uint8 [SIDE, SIDE, 3]."""
    return weave(new_cloth(rng), rng)


def cut_thread(rng: Generator) -> Defective:
    """An upright thread is missing over a short way, and its ends stick out."""
    cloth = new_cloth(rng)
    mask = _thread(cloth, rng, length=rng.uniform(12, 30))
    image = weave(cloth, rng, mask)
    rows, columns = np.nonzero(mask)
    canvas = mask.astype(np.uint8)
    ends = ((rows.min(), columns[rows.argmin()]), (rows.max(), columns[rows.argmax()]))
    for row, column in ends:
        tip = (int(column + rng.integers(-9, 10)), int(row + rng.integers(-4, 5)))
        cv2.line(image, (int(column), int(row)), tip, (190, 200, 205), 2, cv2.LINE_AA)
        cv2.line(canvas, (int(column), int(row)), tip, 1, 2)
    return image, np.asarray(canvas > 0)


def missing_thread(rng: Generator) -> Defective:
    """An upright thread is missing over the whole height."""
    cloth = new_cloth(rng)
    mask = _thread(cloth, rng, length=2 * SIDE)
    return weave(cloth, rng, mask), mask


def stain(rng: Generator) -> Defective:
    """A region is tinted, with a soft and irregular border."""
    image = fabric(rng)
    alpha = _soft(rng, rng.uniform(8, 28), 0.5)
    tint = np.array([0.62, 0.55, 0.42]) + rng.uniform(-0.1, 0.25)
    stained = image * (1 - alpha[:, :, None] * (1 - tint))
    return np.clip(stained, 0, 255).astype(np.uint8), np.asarray(alpha >= 0.5)


def dent(rng: Generator) -> Defective:
    """The weave is pushed aside, and the light falls on it at another angle."""
    cloth = new_cloth(rng)
    alpha = _soft(rng, rng.uniform(14, 30), 1.0)
    push = rng.choice((-1, 1)) * rng.uniform(60, 110)
    down, right = np.gradient(cv2.GaussianBlur(alpha, (0, 0), 4))
    cloth.bend = (cloth.bend[0] + push * down, cloth.bend[1] + push * right)
    cloth.light = cloth.light + np.asarray(2.5 * (down + right), np.float32)
    return weave(cloth, rng), np.asarray(alpha >= 0.4)


def _thread(cloth: Cloth, rng: Generator, length: float) -> Mask:
    """Return where one upright thread lies, around a random row."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    u = np.floor((x + cloth.bend[1] + cloth.phase[1]) / PITCH)
    center = rng.uniform(20, SIDE - 20)
    return np.asarray(
        (u == rng.integers(3, int(SIDE / PITCH) - 2)) & (abs(y - center) <= length / 2)
    )


def _soft(rng: Generator, radius: float, soft: float) -> Field:
    """Return an irregular blob, float32 [SIDE, SIDE] in 0..1."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
    row, column = rng.uniform(25, SIDE - 25, 2)
    away = np.hypot(y - row, x - column) / radius + 0.25 * _noise(rng, 8)
    return np.asarray(np.clip((1 - away) / soft + 0.5, 0, 1), np.float32)


def _noise(rng: Generator, cells: int) -> Field:
    grid = rng.normal(size=(cells, cells)).astype(np.float32)
    return np.asarray(cv2.resize(grid, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


@dataclass
class Board:
    """What is mounted on one board; a defect changes it before it is drawn."""

    screws: list[int]
    """Which of the four are there."""
    text: str = TEXT
    turned: bool = False
    shift: tuple[float, float] = (0.0, 0.0)
    """Of the connector, px: rows, columns; tolerance aside."""
    bent: int | None = None
    """Index of the bent pin."""


def draw_board(rng: Generator, board: Board | None = None) -> tuple[Image, Image]:
    """Draw a board: RGB uint8 [192, 256, 3], and the number of the part at each pixel, uint8.

    1..4 the screws, 5 the label, 6 the connector, 10 and more its pins.
    """
    board = board or Board([0, 1, 2, 3])
    height, width = BOARD
    image = np.empty((height, width, 3), np.float32)
    image[:] = (52, 54, 58)
    parts = np.zeros(BOARD, np.uint8)
    top, left, bottom, right = PLATE
    cv2.rectangle(image, (left, top), (right, bottom), (38, 96, 66), -1)
    for row in range(top + 12, bottom, 12):  # conductors
        cv2.line(image, (left + 6, row), (right - 6, row), (46, 112, 78), 1, cv2.LINE_AA)
    for number, (row, column) in enumerate(SCREWS):
        cv2.circle(parts, (column, row), 9, number + 1, -1)
        cv2.circle(image, (column, row), 11, (150, 132, 80), -1, cv2.LINE_AA)
        if number not in board.screws:
            cv2.circle(image, (column, row), 6, (18, 20, 20), -1, cv2.LINE_AA)
            continue
        cv2.circle(image, (column, row), 9, (172, 174, 178), -1, cv2.LINE_AA)
        angle = rng.uniform(0, np.pi)
        for turn in (angle, angle + np.pi / 2):
            ends = _line(row, column, turn, 6)
            cv2.line(image, *ends, (70, 72, 76), 2, cv2.LINE_AA)
    _label(image, parts, board, rng)
    _connector(image, parts, board, rng)
    light = 1 + rng.uniform(-0.06, 0.06) + rng.uniform(-0.1, 0.1) * np.linspace(-1, 1, width)
    lit = image * light[None, :, None] + 4 * rng.normal(size=(height, width, 1))
    place = cv2.getRotationMatrix2D((width / 2, height / 2), float(rng.uniform(-1.2, 1.2)), 1.0)
    place = place + np.array([[0, 0, rng.uniform(-2.5, 2.5)], [0, 0, rng.uniform(-2.5, 2.5)]])
    placed = cv2.warpAffine(lit, place, (width, height), borderMode=cv2.BORDER_REPLICATE)
    moved = cv2.warpAffine(parts, place, (width, height), flags=cv2.INTER_NEAREST)
    noisy = cv2.GaussianBlur(placed, (0, 0), 0.6) + rng.normal(0, 1.5, placed.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), np.asarray(moved, np.uint8)


def _label(image: Field, parts: Image, board: Board, rng: Generator) -> None:
    top, left, bottom, right = (np.array(LABEL) + np.tile(rng.integers(-2, 3, 2), 2)).tolist()
    cv2.rectangle(parts, (left, top), (right, bottom), 5, -1)
    paper = np.full((bottom - top, right - left, 3), 222, np.uint8)
    cv2.putText(paper, board.text, (6, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (30, 30, 30), 1, 16)
    for bar, wide in enumerate((1, 2, 1, 1, 3, 1, 2, 1, 1, 2, 3, 1, 1, 2)):
        cv2.rectangle(paper, (8 + 5 * bar, 24), (7 + 5 * bar + wide, 36), (35, 35, 35), -1)
    image[top:bottom, left:right] = paper[::-1, ::-1] if board.turned else paper


def _connector(image: Field, parts: Image, board: Board, rng: Generator) -> None:
    moved = np.rint(np.array(board.shift) + rng.uniform(-2, 2, 2)).astype(int)
    top, left, bottom, right = (np.array(CONNECTOR) + np.tile(moved, 2)).tolist()
    cv2.rectangle(parts, (left, top), (right, bottom + 12), 6, -1)
    cv2.rectangle(image, (left, top), (right, bottom), (28, 28, 32), -1)
    cv2.rectangle(image, (left + 5, top + 5), (right - 5, bottom - 8), (58, 58, 62), -1)
    pitch = (right - left - 16) / (PINS - 1)
    for pin in range(PINS):
        x = left + 8 + pin * pitch + rng.uniform(-0.4, 0.4)
        aside = rng.choice((-1, 1)) * rng.uniform(4, 7) if pin == board.bent else 0.0
        ends = (round(x), bottom), (round(x + aside), bottom + 11)
        cv2.line(image, *ends, (205, 190, 130), 3, cv2.LINE_AA)
        cv2.line(parts, *ends, 10 + pin, 4)


def missing_screw(rng: Generator) -> Defective:
    """One of four screws is missing."""
    number = int(rng.integers(4))
    image, parts = draw_board(rng, Board([k for k in range(4) if k != number]))
    return image, np.asarray(parts == number + 1)


def misplaced(rng: Generator) -> Defective:
    """The connector is far out of its tolerance."""
    shift = rng.choice((-1, 1), 2) * rng.uniform((5, 8), (9, 18))
    image, parts = draw_board(rng, Board([0, 1, 2, 3], shift=tuple(shift)))
    return image, np.asarray((parts == 6) | (parts >= 10))


def wrong_label(rng: Generator) -> Defective:
    """The label has another text, or is upside down."""
    turned = rng.random() < 0.3
    text = TEXT if turned else WRONG[int(rng.integers(len(WRONG)))]
    image, parts = draw_board(rng, Board([0, 1, 2, 3], text=text, turned=turned))
    return image, np.asarray(parts == 5)


def bent_pin(rng: Generator) -> Defective:
    """One pin of the connector stands aside."""
    bent = int(rng.integers(PINS))
    image, parts = draw_board(rng, Board([0, 1, 2, 3], bent=bent))
    return image, np.asarray(parts == 10 + bent)


def scratch(rng: Generator) -> Defective:
    """A bright line across the board."""
    image, _ = draw_board(rng)
    canvas = np.zeros(BOARD, np.uint8)
    top, left, bottom, right = PLATE
    row, column = rng.uniform((top + 15, left + 15), (bottom - 15, right - 15))
    ends = _line(row, column, rng.uniform(0, np.pi), rng.uniform(10, 30))
    cv2.line(canvas, *ends, 255, int(rng.integers(1, 3)), cv2.LINE_AA)
    cover = canvas[:, :, None] / 255 * rng.uniform(0.5, 0.9)
    return np.rint(image * (1 - cover) + 225 * cover).astype(np.uint8), np.asarray(canvas > 100)


def _line(
    row: float, column: float, angle: float, reach: float
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the two ends of a line around a place, as (column, row)."""
    x, y = reach * np.cos(angle), reach * np.sin(angle)
    return (round(column - x), round(row - y)), (round(column + x), round(row + y))


KINDS = {
    "fabric": Kind(
        fabric,
        {
            "cut_thread": cut_thread,
            "dent": dent,
            "missing_thread": missing_thread,
            "stain": stain,
        },
    ),
    "board": Kind(
        lambda rng: draw_board(rng)[0],
        {
            "bent_pin": bent_pin,
            "misplaced": misplaced,
            "missing_screw": missing_screw,
            "scratch": scratch,
            "wrong_label": wrong_label,
        },
    ),
}


def main() -> None:
    """Write one of the two data sets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=sorted(KINDS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=120, help="good images for training")
    parser.add_argument("--good", type=int, default=40, help="good images for the test")
    parser.add_argument("--bad", type=int, default=12, help="images of each type of defect")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    counts = {"train": given.train, "good": given.good, "bad": given.bad, "seed": given.seed}
    print(write_set(given.folder, given.kind, **counts))


if __name__ == "__main__":
    main()
