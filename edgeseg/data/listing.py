"""Which files of a folder are images: the rule of `files.walk`, and ground truth left out.

Taken are files named SUFFIXES, upper or lower case; `formats/decode.py` then goes by the content.
What is left out is counted and logged in one line.
"""

from collections.abc import Mapping
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.files import natural_key, shown, walk
from edgeseg.log import log_once

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"})
DOCUMENTS = frozenset({".txt", ".md", ".json", ".csv", ".xml", ".toml", ".yaml", ".yml", ".pdf"})
ADD = "put PNG, JPEG, BMP or TIFF files there"
TRUTH_FOLDERS = frozenset({"ground_truth", "masks"})


def list_images(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, in natural order; none if it is missing."""
    return list(walk(folder, SUFFIXES, deep=False).files) if folder.is_dir() else []


def walk_images(folder: Path, remedy: str = ADD) -> list[Path]:
    """Return the image files in a folder and its subfolders, without masks and depth.

    In natural order of their paths. What is left out is logged. DataError if there is none.
    """
    check_folder(folder)
    listing = walk(folder, SUFFIXES)
    images = [p for p in listing.files if not _is_truth(p, p.relative_to(folder).parts[:-1])]
    log_left_out(folder, listing.left_out)
    if not images:
        raise no_images(folder, remedy)
    return images


def subfolders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, in natural order, or none."""
    if not folder.is_dir():
        return []
    found = (p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    return sorted(found, key=natural_key)


def log_left_out(folder: Path, left_out: Mapping[str, int]) -> None:
    """Say once how many files of a folder were left out, and why; documents need no word."""
    counts = [f"{n} {why}" for why, n in sorted(left_out.items()) if why not in DOCUMENTS]
    if counts:
        log_once(f"left out in {shown(folder)}: {shown(', '.join(counts))}")


def no_images(folder: Path, remedy: str = ADD) -> DataError:
    """Return the error for a folder without images (`data/no-images`)."""
    return DataError(f"no images in {shown(folder)}", remedy=remedy, code="data/no-images")


def check_folder(folder: Path, expected: str = "images") -> None:
    """DataError (`data/folder-missing`) if a folder does not exist."""
    if not folder.is_dir():
        raise DataError(
            f"folder not found: {shown(folder)}",
            remedy=f"the path of a folder with {expected}",
            code="data/folder-missing",
        )


def _is_truth(path: Path, below: tuple[str, ...]) -> bool:
    """Whether a file is a mask or a depth image; below: the folders between root and file."""
    if below and below[-1] in ("gt", "xyz"):  # of MVTec 3D-AD
        return (path.parent.parent / "rgb").is_dir()
    if path.parent.name == "Imgs" and path.suffix == ".png":  # of the magnetic tiles
        return path.with_suffix(".jpg").is_file()
    return not TRUTH_FOLDERS.isdisjoint(below)
