"""Photos for predict, a call of it, and the lines that it wrote."""

import json

import numpy as np

from edgeseg.data.images import write_png
from edgeseg.stream.predict import image_files, predict
from edgeseg.stream.results_folder import LINES
from tests.kit.fakes import RedBackend


def write_photo(path, *, height=48, width=64, red_from=None):
    """Write a black RGB photo, red from a column on."""
    photo = np.zeros((height, width, 3), np.uint8)
    if red_from is not None:
        photo[:, red_from:, 0] = 255
    write_png(path, photo)
    return path


def run(images, out, *, backend=None, threshold=None, image_threshold=None, strict=False):
    limits = {"threshold": threshold, "image_threshold": image_threshold}
    files = image_files(images, out)
    return predict(backend or RedBackend(), files, out, **limits, strict=strict)


def lines_of(out):
    return [json.loads(line) for line in (out / LINES).read_text(encoding="utf-8").splitlines()]
