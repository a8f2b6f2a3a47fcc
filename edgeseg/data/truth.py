"""Ground truth: which pixels of a mask are anomalous, and what looks wrong about the masks.

The value of a pixel is its largest color, or its alpha where that alone varies. A pixel is
anomalous from half of the full scale on (128 of 255, 32768 of 65535), or, in a label image, if it
is not 0. A label image is one whose largest value is below half of the full scale, or one where
values below half fill blocks of 3 x 3 pixels, which an antialiased edge does not: any of few
values, or most pixels of many. In a JPEG, whose values are not exact, half of the largest value
counts. So masks of 0/255, 0/1, 0/100, of class or instance indices, palettes, 16 bits, and
antialiased ones are read.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edgeseg.data.formats.decode import Pixels
from edgeseg.data.images import Mask, read_pixels
from edgeseg.data.layouts import Dataset
from edgeseg.errors import DataError
from edgeseg.files import shown
from edgeseg.frame.geometry import Size
from edgeseg.text import listed

LABELS = 16
"""The most values of a label image that reaches half of the full scale."""
LOSSY = frozenset({".jpg", ".jpeg"})
FULL = 0.99
NAMED = 3  # masks in a line


def read_mask(path: Path) -> Mask:
    """Read a ground-truth mask, bool [H, W], upright; True is anomalous.

    DataError (`data/ambiguous-mask`): colors and alpha mark different pixels.
    """
    pixels, lossy = read_pixels(path), path.suffix.lower() in LOSSY
    if pixels.ndim == 2:
        return _marked(pixels, lossy=lossy)
    colors, alpha = pixels[:, :, :3].max(axis=2), pixels[:, :, 3:]
    if not alpha.size or _constant(alpha):
        return _marked(colors, lossy=lossy)
    by_alpha = _marked(alpha[:, :, 0])
    if _constant(colors):
        return by_alpha
    by_color = _marked(colors)
    if not (by_color == by_alpha).all():
        raise DataError(
            f"ambiguous mask {shown(path)}: its colors and its alpha channel mark different pixels",
            remedy="save it without alpha, white where the part is anomalous",
            code="data/ambiguous-mask",
        )
    return by_color


def read_mask_of(image: Path, path: Path, size: Size) -> Mask:
    """Read the mask of an image of a size; DataError (`data/mask-size`) if its size is another."""
    mask = read_mask(path)
    if mask.shape != size:
        raise DataError(
            f"invalid mask {shown(path)}: {mask.shape[1]} x {mask.shape[0]} pixels (expected the "
            f"size of {shown(image)}: {size[1]} x {size[0]})",
            remedy="draw the mask at the size of the image, or remove it",
            code="data/mask-size",
        )
    return mask


def check_masks(dataset: Dataset) -> list[str]:
    """Return one line for each thing that looks wrong about the masks of the test images.

    Every mask is read. DataError: a mask cannot be read.
    """
    bad = [sample for sample in dataset.test if not sample.good]
    masks = [sample.mask for sample in bad if sample.mask is not None]
    without = [sample.path for sample in bad if sample.mask is None]
    shares = {mask: float(read_mask(mask).mean()) for mask in masks}
    empty = [mask for mask, share in shares.items() if share == 0]
    full = [mask for mask, share in shares.items() if share > FULL]
    ignored = [mask for mask in dataset.good_masks if read_mask(mask).any()]
    lines = [
        _line(empty, "of a defective image is empty", "of defective images are empty"),
        _line(full, f"marks more than {FULL:.0%} of its image", f"mark more than {FULL:.0%} each"),
        _line(ignored, "of a good image is ignored", "of good images are ignored"),
    ]
    if masks and 2 * sum(share > 0.5 for share in shares.values()) > len(masks):
        lines.append("most masks mark more than half of their image: perhaps they are inverted")
    if masks and without:
        lines.append(
            f"{len(without)} of {len(bad)} defective images have no mask and are left out of the "
            f"pixel metrics: {_names(without)}"
        )
    if bad and not masks:
        lines.append("no defective image has a mask: there are no pixel metrics")
    return [line for line in lines if line]


def _marked(values: Pixels, *, lossy: bool = False) -> Mask:
    half = 128 if values.dtype == np.uint8 else 32768
    if lossy:
        return np.asarray(values >= max(int(values.max(initial=0)) / 2, 1))
    if _is_label_image(values, half):
        return np.asarray(values > 0)
    return np.asarray(values >= half)


def _is_label_image(values: Pixels, half: int) -> bool:
    if values.max(initial=0) < half:
        return True
    between = (values > 0) & (values < half)
    block = np.ones((3, 3), np.uint8)
    flat = between & (cv2.erode(values, block) == cv2.dilate(values, block))
    few = np.count_nonzero(np.bincount(values.ravel())) <= LABELS
    return bool(flat.any() if few else 2 * flat.sum() > between.sum())


def _constant(pixels: Pixels) -> bool:
    return bool((pixels == pixels.flat[0]).all())


def _line(masks: Sequence[Path], one: str, several: str) -> str:
    if not masks:
        return ""
    found = f"1 mask {one}" if len(masks) == 1 else f"{len(masks)} masks {several}"
    return f"{found}: {_names(masks)}"


def _names(paths: Sequence[Path]) -> str:
    return listed([shown(Path(p.parent.name, p.name)) for p in paths], NAMED)
