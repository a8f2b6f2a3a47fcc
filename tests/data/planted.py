"""Folder trees of the published data sets, made of empty files."""

from edgeseg.data.published import MVTEC_3D_CATEGORIES, MVTEC_CATEGORIES, TILES


def plant(folder, count, suffix):
    """Make `count` empty files 000<suffix>, 001<suffix>, ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:03}{suffix}").touch()


def shares(total, parts):
    """Split a number into nearly equal parts."""
    return [total // parts + (place < total % parts) for place in range(parts)]


def mvtec(parent, name):
    """A complete category of MVTec AD."""
    category, root = MVTEC_CATEGORIES[name], parent / name
    plant(root / "train/good", category.train, ".png")
    plant(root / "test/good", category.good, ".png")
    defects = sorted(category.defects)
    for defect, count in zip(defects, shares(category.bad, len(defects)), strict=True):
        plant(root / "test" / defect, count, ".png")
        plant(root / "ground_truth" / defect, count, "_mask.png")
    return root


def mvtec_3d(parent, name):
    """A complete category of MVTec 3D-AD with depth images and two types of defects."""
    root = parent / name
    train, validation, good, bad = MVTEC_3D_CATEGORIES[name]
    first, second = shares(bad, 2)
    for part, count in (
        ("train/good", train),
        ("validation/good", validation),
        ("test/good", good),
        ("test/cut", first),
        ("test/hole", second),
    ):
        plant(root / part / "rgb", count, ".png")
        plant(root / part / "xyz", count, ".tiff")
        if part.startswith("test"):
            plant(root / part / "gt", count, ".png")
    return root


def tiles(root):
    """The magnetic tiles as published: an image and a mask for each."""
    for folder, count in TILES.items():
        plant(root / folder / "Imgs", count, ".jpg")
        plant(root / folder / "Imgs", count, ".png")
    return root
