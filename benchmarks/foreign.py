"""Pictures that are none of the trained part, by kind: what a line delivers on a bad day.

    for kind, picture in foreign_pictures(good, others, seed=1): ...

Most are drawn from good photos; `others` are photos of other products. Lengths are shares of the
longer side, so that photos of any size get the same blur.
"""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
from numpy.random import Generator

from edgeseg.data.images import Image, resize
from edgeseg.data.textures import ProceduralTextures

Kind = Callable[[Image, Generator, int], Image]
"""(good photo, generator, number of the picture) -> picture"""


def foreign_pictures(
    good: Sequence[Image], others: Sequence[Image], *, seed: int
) -> Iterator[tuple[str, Image]]:
    """Yield (kind, RGB uint8 [H, W, 3]): about 270 pictures, always the same for a seed."""
    rng = np.random.default_rng(seed)
    for kind, (draw, count) in KINDS.items():
        for number in range(count):
            yield kind, draw(good[rng.integers(len(good))], rng, number)
    mean = np.mean([resize(image, 128, 128) for image in good], axis=0).astype(np.uint8)
    for _ in range(15):
        height, width = good[rng.integers(len(good))].shape[:2]
        place = cv2.GaussianBlur(
            cv2.resize(mean, (width, height)), (0, 0), 0.03 * max(height, width)
        )
        yield "empty place", noisy(place, 1.5, rng)
    for _ in range(40):
        yield "other product", others[rng.integers(len(others))]


def noisy(image: Image, deviation: float, rng: Generator) -> Image:
    """Add the noise of a camera."""
    changed = image.astype(np.float32) + rng.normal(0, deviation, image.shape)
    return np.clip(changed, 0, 255).astype(np.uint8)


def plain(level: Sequence[float]) -> Kind:
    """A picture of one gray level between two."""

    def draw(good: Image, rng: Generator, number: int) -> Image:
        flat = np.full_like(good, int(rng.uniform(*level)))
        return noisy(flat, float(rng.choice([0, 1, 2])), rng)

    return draw


def noise(good: Image, rng: Generator, number: int) -> Image:
    """Noise in color or in gray."""
    height, width, channels = good.shape
    return rng.integers(0, 256, (height, width, channels if number % 2 else 1), np.uint8).repeat(
        1 if number % 2 else channels, axis=2
    )


def gradient(good: Image, rng: Generator, number: int) -> Image:
    """A ramp of gray in any direction."""
    height, width = good.shape[:2]
    low, high = sorted(rng.uniform(0, 255, 2))
    ramp = low + max(high - low, 40) * across(height, width, rng.uniform(0, 2 * np.pi))
    return noisy(np.clip(ramp, 0, 255)[:, :, None].repeat(3, axis=2), 1.5, rng)


def texture(good: Image, rng: Generator, number: int) -> Image:
    """A procedural texture."""
    return ProceduralTextures().draw(rng, (128, 128))


def defocus(good: Image, rng: Generator, number: int) -> Image:
    """Out of focus by 1 to 3 % of the longer side."""
    return cv2.GaussianBlur(good, (0, 0), rng.uniform(3, 8) / 256 * max(good.shape))


def motion(good: Image, rng: Generator, number: int) -> Image:
    """Moved during the exposure by 6 to 16 % of the longer side."""
    length = int(rng.uniform(16, 40) / 256 * max(good.shape)) | 1
    kernel, angle, middle = (
        np.zeros((length, length), np.float32),
        rng.uniform(0, np.pi),
        length // 2,
    )
    step = int(np.cos(angle) * middle), int(np.sin(angle) * middle)
    ends = (middle - step[0], middle - step[1]), (middle + step[0], middle + step[1])
    cv2.line(kernel, *ends, 1.0, 1)
    return cv2.filter2D(good, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE)


def over(good: Image, rng: Generator, number: int) -> Image:
    """Four times the light."""
    return np.clip(good.astype(np.int32) * 4, 0, 255).astype(np.uint8)


def under(good: Image, rng: Generator, number: int) -> Image:
    """A quarter of the light."""
    return noisy(good // 4, 1.0, rng)


def half_frame(good: Image, rng: Generator, number: int) -> Image:
    """Half of the rows is black, gray or the last row again."""
    cut, changed = int(len(good) * rng.uniform(0.4, 0.6)), good.copy()
    changed[cut:] = (0, 128, good[cut - 1], 0)[number % 4]
    return changed[::-1].copy() if number % 4 == 3 else changed


def color_cast(good: Image, rng: Generator, number: int) -> Image:
    """Other gains of the channels."""
    gains = ((1.4, 1, 0.65), (0.65, 1, 1.4), (1.3, 0.75, 1.3), (0.75, 1.25, 0.75), (1.3, 1.1, 0.6))
    return np.clip(good * np.array(gains[number % 5]), 0, 255).astype(np.uint8)


def lens_cap(good: Image, rng: Generator, number: int) -> Image:
    """A dark edge covers a fifth to a half."""
    ramp = across(*good.shape[:2], rng.uniform(0, 2 * np.pi))
    seen = 1 / (1 + np.exp((rng.uniform(0.2, 0.5) - ramp) / 0.03))[:, :, None]
    return noisy(np.clip(good * seen + 3 * (1 - seen), 0, 255), 0.5, rng)


def half_part(good: Image, rng: Generator, number: int) -> Image:
    """The part is moved by half a frame; what comes into view is as dark as the border."""
    height, width = good.shape[:2]
    far = rng.uniform(0.4, 0.6) * rng.choice([-1, 1])
    step = (far * width, 0.0) if number % 2 else (0.0, far * height)
    border = np.concatenate([good[0], good[-1], good[:, 0], good[:, -1]])
    level = tuple(float(each) for each in np.percentile(border, 10, axis=0))
    place = np.array([[1, 0, step[0]], [0, 1, step[1]]], np.float32)
    return noisy(cv2.warpAffine(good, place, (width, height), borderValue=level), 1.0, rng)


def across(height: int, width: int, angle: float) -> np.ndarray:
    """Return a ramp from 0 to 1 across a picture, [height, width]."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    ramp = np.cos(angle) * x + np.sin(angle) * y
    return (ramp - ramp.min()) / (ramp.max() - ramp.min())


KINDS: dict[str, tuple[Kind, int]] = {
    "black": (plain((0, 10)), 5),
    "white": (plain((246, 256)), 5),
    "gray": (plain((25, 230)), 10),
    "noise": (noise, 10),
    "gradient": (gradient, 10),
    "texture": (texture, 20),
    "defocus": (defocus, 20),
    "motion blur": (motion, 20),
    "over-exposed by 2 stops": (over, 20),
    "under-exposed by 2 stops": (under, 20),
    "half frame": (half_frame, 20),
    "color cast": (color_cast, 20),
    "lens cap edge": (lens_cap, 20),
    "half part": (half_part, 20),
}
