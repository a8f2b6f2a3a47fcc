"""The pictures of a part that were kept, small enough for a page."""

import threading
from functools import lru_cache
from pathlib import Path

from edgeseg.station.evidence.quota import RECORD
from edgeseg.station.inspection import Inspection
from edgeseg.station.page.live import encoded

NAMES = ("overlay", "frame")
SIDE, THUMB = 1600, 320  # pixels of the longer side
REMEMBERED = 256  # pictures, some 10 MB

_one = threading.Lock()  # frames are read one after the other: the outputs need the other core


def kept_folder(folder: Path, inspection: Inspection) -> Path | None:
    """Return where the frame of a part is kept; None if it is not, or not any more.

    folder: of the station's state; what leads out of it is no evidence.
    """
    if not inspection.evidence:
        return None
    try:
        place = (folder / inspection.evidence).resolve()
        inside = place.is_relative_to(folder.resolve())
        return place if inside and (place / RECORD).is_file() else None
    except (OSError, ValueError):
        return None


@lru_cache(REMEMBERED)
def picture(place: Path, name: str, longest: int) -> bytes:
    """Return one of NAMES as JPEG, scaled down; DataError if the frame is damaged."""
    import cv2
    import numpy as np

    from edgeseg.station.evidence.kept import read_kept

    with _one:
        kept = read_kept(place)
        image = kept.overlay() if name == "overlay" else kept.image
        height, width = image.shape[:2]
        share = min(longest / max(height, width), 1.0)
        size = (max(round(width * share), 1), max(round(height * share), 1))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        return encoded(np.ascontiguousarray(small))
