"""Where an image lies in a frame or in the network's input of another aspect ratio.

An image is scaled evenly and placed in the middle (letterbox). The rest is filled by repeating its
edge pixels, and does not count: it is neither scored nor in the mask. All that places images, truth
and maps takes its geometry from here: training, the exported graph, frames, previews, evaluation.

A **size** is (height, width) in pixels.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal, NamedTuple

STRIDE = 32  # of the networks' deepest features: their sides are multiples of it
TOLERANCE = 0.04
"""An image whose aspect ratio is this near to the target's is scaled to the whole target: a circle
becomes an oval with axes 4 % apart, which no defect is told by, and a network whose sides are
multiples of 32 has hardly ever the aspect ratio itself."""
MORE_PIXELS = 1.05  # that a network may have, for a size in which the images are larger

Size = tuple[int, int]
Aspect = Literal["keep", "stretch"]


class Box(NamedTuple):
    """A rectangle in whole pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def rows(self) -> slice:
        """The rows inside."""
        return slice(self.top, self.top + self.height)

    @property
    def columns(self) -> slice:
        """The columns inside."""
        return slice(self.left, self.left + self.width)

    @property
    def size(self) -> Size:
        """(height, width)."""
        return self.height, self.width

    def within(self, frame: Size, place: "Box") -> "Box":
        """Return this box of a frame where the frame is scaled to `place`; at least one pixel."""
        edges = []
        for start, length, side, first, scaled in (
            (self.top, self.height, frame[0], place.top, place.height),
            (self.left, self.width, frame[1], place.left, place.width),
        ):
            begin = min(round(start * scaled / side), scaled - 1)
            end = max(round((start + length) * scaled / side), begin + 1)
            edges.append((first + begin, end - begin))
        (top, height), (left, width) = edges
        return Box(top, left, height, width)


def size_text(size: Size) -> str:
    """Return a size as text, width first, as of pictures: `640 x 480`."""
    return f"{size[1]} x {size[0]}"


def pixel_text(frame: Size, content: Size) -> str:
    """Say how large a pixel of the network is in a frame, which is scaled to a content.

    What is much smaller than that cannot be seen.
    """
    return f"one network pixel is {frame_pixels(frame, content):.3g} px of the frame"


def frame_pixels(frame: Size, content: Size) -> float:
    """Return the side of a pixel of the network in a frame, in pixels of the frame."""
    return math.sqrt(math.prod(frame) / math.prod(content))


def fit(size: Size, target: Size, aspect: Aspect = "keep") -> Box:
    """Return where an image of a size lies in a target: the whole of it with `stretch`."""
    height, width = target
    ratio = size[0] * width / (size[1] * height)
    if aspect == "stretch" or 1 / (1 + TOLERANCE) <= ratio <= 1 + TOLERANCE:
        return Box(0, 0, height, width)
    scale = min(height / size[0], width / size[1])
    return middle((max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)), target)


def middle(size: Size, target: Size) -> Box:
    """Return the box of a size in the middle of a target."""
    height, width = min(size[0], target[0]), min(size[1], target[1])
    return Box((target[0] - height) // 2, (target[1] - width) // 2, height, width)


def network_size(sizes: Sequence[Size], side: int, aspect: Aspect) -> Size:
    """Return the network's size for images of some sizes: about side x side pixels.

    Of the sizes with multiples of 32 and at most 5 % more pixels, the one in which the images are
    largest, in the geometric mean; of several the smallest. `stretch`, and no images: the square.
    """
    if aspect == "stretch" or not sizes:
        return side, side
    shapes = Counter(sizes)
    most = int(side * side * MORE_PIXELS)
    ratios = [height / width for height, width in shapes]
    lowest, highest = (
        math.isqrt(int(most * ratio)) // STRIDE for ratio in (min(ratios), max(ratios))
    )
    networks = []
    for height in range(STRIDE * max(lowest - 1, 1), STRIDE * (highest + 2), STRIDE):
        widest = most // height // STRIDE
        for width in {min(math.ceil(height / r / STRIDE), widest) for r in ratios}:
            if width > 0:
                networks.append((height, STRIDE * width))

    def rank(network: Size) -> tuple[float, int]:
        areas = ((math.prod(fit(shape, network).size), n) for shape, n in shapes.items())
        return -sum(n * math.log(area) for area, n in areas), math.prod(network)

    return min(dict.fromkeys(networks), key=rank, default=(side, side))
