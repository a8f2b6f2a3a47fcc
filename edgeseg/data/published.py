"""The published data sets that edgeseg recognizes: their file counts and origins.

    MVTec AD       Bergmann et al., IJCV 2021, table 1: 3629 train, 467 + 1258 test
    MVTec 3D-AD    Bergmann et al., VISAPP 2022, table 1: 2656 train, 294 validation, 249 + 948 test
    magnetic tile  Huang et al., The Visual Computer 2020: 952 good, 392 defective
    DTD            Cimpoi et al., CVPR 2014: 47 textures, 120 images each

Rotations of the categories of MVTec AD: DeSTSeg, supplement A. Nothing is downloaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgeseg.files import shown
from edgeseg.recipes import Rotation
from edgeseg.text import listed

if TYPE_CHECKING:
    from edgeseg.data.layouts import Dataset

MVTEC, MVTEC_3D, TILE, DTD = "MVTec AD", "MVTec 3D-AD", "magnetic tile", "DTD"
ORIGINS = {  # URL and licence
    MVTEC: "https://www.mvtec.com/company/research/datasets/mvtec-ad (CC BY-NC-SA 4.0)",
    MVTEC_3D: "https://www.mvtec.com/company/research/datasets/mvtec-3d-ad (CC BY-NC-SA 4.0)",
    TILE: "https://github.com/abin24/Magnetic-tile-defect-datasets. (no licence given)",
    DTD: "https://www.robots.ox.ac.uk/~vgg/data/dtd/ (for research purposes)",
}


@dataclass(frozen=True)
class Category:
    """A category of MVTec AD: image counts, the paper's rotation, types of defects."""

    train: int
    good: int
    bad: int
    rotation: Rotation
    defects: frozenset[str]


def _category(train: int, good: int, bad: int, rotation: Rotation, defects: str) -> Category:
    return Category(train, good, bad, rotation, frozenset(defects.split()))


MVTEC_CATEGORIES: Mapping[str, Category] = {
    "bottle": _category(209, 20, 63, "full", "broken_large broken_small contamination"),
    "cable": _category(
        224,
        58,
        92,
        "slight",
        "bent_wire cable_swap combined cut_inner_insulation cut_outer_insulation missing_cable "
        "missing_wire poke_insulation",
    ),
    "capsule": _category(219, 23, 109, "none", "crack faulty_imprint poke scratch squeeze"),
    "carpet": _category(280, 28, 89, "full", "color cut hole metal_contamination thread"),
    "grid": _category(264, 21, 57, "full", "bent broken glue metal_contamination thread"),
    "hazelnut": _category(391, 40, 70, "full", "crack cut hole print"),
    "leather": _category(245, 32, 92, "full", "color cut fold glue poke"),
    "metal_nut": _category(220, 22, 93, "none", "bent color flip scratch"),
    "pill": _category(
        267,
        26,
        141,
        "none",
        "color combined contamination crack faulty_imprint pill_type scratch",
    ),
    "screw": _category(
        320,
        41,
        119,
        "full",
        "manipulated_front scratch_head scratch_neck thread_side thread_top",
    ),
    "tile": _category(230, 33, 84, "full", "crack glue_strip gray_stroke oil rough"),
    "toothbrush": _category(60, 12, 30, "none", "defective"),
    "transistor": _category(213, 60, 40, "none", "bent_lead cut_lead damaged_case misplaced"),
    "wood": _category(247, 19, 60, "slight", "color combined hole liquid scratch"),
    "zipper": _category(
        240,
        32,
        119,
        "slight",
        "broken_teeth combined fabric_border fabric_interior rough split_teeth squeezed_teeth",
    ),
}
MVTEC_3D_CATEGORIES: Mapping[str, tuple[int, int, int, int]] = {
    # train, validation, good test and defective test images
    "bagel": (244, 22, 22, 88),
    "cable_gland": (223, 23, 21, 87),
    "carrot": (286, 29, 27, 132),
    "cookie": (210, 22, 28, 103),
    "dowel": (288, 34, 26, 104),
    "foam": (236, 27, 20, 80),
    "peach": (361, 42, 26, 106),
    "potato": (300, 33, 22, 92),
    "rope": (298, 33, 32, 69),
    "tire": (210, 29, 25, 87),
}
TILES: Mapping[str, int] = {
    "MT_Free": 952,
    "MT_Blowhole": 115,
    "MT_Break": 85,
    "MT_Crack": 57,
    "MT_Fray": 32,
    "MT_Uneven": 103,
}
TEXTURES = frozenset(
    "banded blotchy braided bubbly bumpy chequered cobwebbed cracked crosshatched crystalline "
    "dotted fibrous flecked freckled frilly gauzy grid grooved honeycombed interlaced knitted "
    "lacelike lined marbled matted meshed paisley perforated pitted pleated polka-dotted porous "
    "potholed scaly smeared spiralled sprinkled stained stratified striped studded swirly veined "
    "waffled woven wrinkled zigzagged".split()
)
PER_TEXTURE = 120
_ENOUGH = 3  # folders named as in DTD for a folder to be recognized as DTD


def mvtec_category(root: Path) -> Category | None:
    """Return the category of MVTec AD that a folder is, or None.

    Beside its name, the folder must have the licence file of the data set, or a defect of that
    category in test/ or ground_truth/. Other data may use the same name.
    """
    category = MVTEC_CATEGORIES.get(root.resolve().name)
    if category is None:
        return None
    folders = (*root.glob("test/*"), *root.glob("ground_truth/*"))
    known = category.defects & {path.name for path in folders}
    return category if known or (root / "license.txt").is_file() else None


def is_mvtec_3d(root: Path) -> bool:
    """Whether the name of a folder is that of a category of MVTec 3D-AD."""
    return root.resolve().name in MVTEC_3D_CATEGORIES


def published_name(dataset: "Dataset") -> str | None:
    """Return the published data set that a data set is or belongs to, or None.

    The magnetic tiles are recognized in the layout of MVTec AD too, by their types of defects.
    """
    if dataset.layout == MVTEC_3D and is_mvtec_3d(dataset.root):
        return MVTEC_3D
    if mvtec_category(dataset.root):
        return MVTEC
    defects = {sample.label for sample in dataset.test if not sample.good}
    tile_defects = {name.removeprefix("MT_").lower() for name in TILES if name != "MT_Free"}
    return TILE if dataset.layout == TILE or defects == tile_defects else None


def published_shortfall(dataset: "Dataset") -> str | None:
    """Return how the image counts of a published data set differ from the published, or None.

    The counts are those of good training, good test and defective test images; for the tiles,
    which have no split, those of good and defective images.
    """
    name = published_name(dataset)
    bad = sum(not sample.good for sample in dataset.test)
    found: tuple[int, ...] = (len(dataset.train), len(dataset.test) - bad, bad)
    if name == MVTEC:
        category = MVTEC_CATEGORIES[dataset.name]
        expected: tuple[int, ...] = (category.train, category.good, category.bad)
    elif name == MVTEC_3D:
        train, _, good, defective = MVTEC_3D_CATEGORIES[dataset.name]
        expected = (train, good, defective)
    else:
        free = TILES["MT_Free"]
        found, expected = (found[0] + found[1], bad), (free, sum(TILES.values()) - free)
    if found == expected:
        return None
    return f"{' + '.join(map(str, found))} images (published: {' + '.join(map(str, expected))})"


def textures_folder(folder: Path) -> Path | None:
    """Return the folder with the 47 folders of DTD, `folder` or its images/; None if not DTD."""
    for place in (folder / "images", folder):
        if place.is_dir() and len({p.name for p in place.iterdir()} & TEXTURES) >= _ENOUGH:
            return place
    return None


def textures_shortfall(folder: Path) -> str | None:
    """Return a warning if a folder is DTD with other file counts, else None."""
    place = textures_folder(folder)
    if place is None:
        return None
    found = {name: len(list((place / name).glob("*.jpg"))) for name in sorted(TEXTURES)}
    return shortfall(place, DTD, dict.fromkeys(found, PER_TEXTURE), found)


def shortfall(
    root: Path, name: str, expected: Mapping[str, int], found: Mapping[str, int]
) -> str | None:
    """Return a warning that names the file counts that differ from the published; None if none.

    expected, found: file count by kind, for instance `train/good`.
    """
    wrong = [f"{what} {found[what]} of {n}" for what, n in expected.items() if found[what] != n]
    if not wrong:
        return None
    return (
        f"{shown(root)} differs from {name} as published: {listed(wrong, 6)}. "
        f"Complete data: {ORIGINS[name]}"
    )


def holds_categories(root: Path) -> tuple[str, list[str], list[str]] | None:
    """Return (data set, categories present, categories missing) for a folder of categories."""
    there = {path.name for path in root.iterdir() if (path / "train" / "good").is_dir()}
    known = {MVTEC: list(MVTEC_CATEGORIES), MVTEC_3D: list(MVTEC_3D_CATEGORIES)}
    for name, categories in known.items():
        if have := [category for category in categories if category in there]:
            return name, have, [category for category in categories if category not in there]
    return None
