"""Which defective images of a data set train the head, and which only judge it.

An image is never on both sides, nor is its copy under another name: images are told apart by the
SHA-256 of their files.
"""

import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgeseg.data.layouts import Dataset, Sample
from edgeseg.errors import DataError
from edgeseg.files import cannot_read, quoted, sha256, shown
from edgeseg.text import counted, listed

SEEN, UNSEEN = "type trained on", "type not trained on"
"""What a type of defect is for a model that was trained with defects; the images are others."""
NAMED = 5  # files in an error


def split_defects(dataset: Dataset, share: float, seed: int) -> tuple[list[Sample], list[Sample]]:
    """Return the defective images to train on and those that judge, in the order of the data set.

    share: of each type, rounded down; at least one image of a type is left to judge it. The same
    seed chooses the same images. DataError: there is no defective image (`data/no-defects`), none
    is left to train on (`data/few-defects`), or one is among the good ones (`data/good-and-bad`).
    """
    bad = [sample for sample in dataset.test if not sample.good]
    if not bad:
        raise DataError(
            f"no defective images in {shown(dataset.root)} (expected for --use-defects)",
            remedy=f"add some to {quoted(_folder(dataset))}, or train without --use-defects",
            code="data/no-defects",
        )
    refuse_good_and_bad(dataset)
    digests = {sample.path: digest_of(sample.path) for sample in bad}
    rng = np.random.default_rng([seed, 3])
    chosen: set[str] = set()
    for label in dict.fromkeys(sample.label for sample in bad):
        unique = list(dict.fromkeys(digests[s.path] for s in bad if s.label == label))
        count = min(int(len(unique) * share), len(unique) - 1)
        chosen |= {unique[place] for place in rng.permutation(len(unique))[:count]}
    if not chosen:
        raise DataError(
            f"{len(bad)} defective images in {shown(dataset.root)} are too few to train on a share "
            f"of {share:g} of each type and judge on the others",
            remedy="at least two images of a type, or train without --use-defects",
            code="data/few-defects",
        )
    trained: dict[str, Sample] = {}
    for sample in bad:
        if (digest := digests[sample.path]) in chosen:
            trained.setdefault(digest, sample)
    return list(trained.values()), [s for s in bad if digests[s.path] not in chosen]


def unseen_samples(samples: Sequence[Sample], trained: Mapping[str, str]) -> list[Sample]:
    """Return the samples whose files were not trained on; trained: SHA-256 -> type of defect."""
    if not trained:
        return list(samples)
    return [s for s in samples if s.good or digest_of(s.path) not in trained]


def described(label: str, trained: Mapping[str, str]) -> str:
    """Return a type of defect and whether images of it were trained on, as text."""
    if not trained:
        return label
    return f"{label} ({SEEN if label in trained.values() else UNSEEN})"


def refuse_good_and_bad(dataset: Dataset) -> None:
    """DataError (`data/good-and-bad`) for files among the good and the defective images.

    Only files of a size that occurs on both sides are read.
    """
    samples = (*dataset.train, *(dataset.held or ()), *dataset.test)
    good = dict.fromkeys(sample.path for sample in samples if sample.good)
    bad = [sample.path for sample in samples if not sample.good]
    sizes = {path: path.stat().st_size for path in (*good, *bad)}
    common = ({sizes[path] for path in good} & {sizes[path] for path in bad}) - {0}
    names = {digest_of(path): path for path in bad if sizes[path] in common}
    found = {path: names.get(digest_of(path)) for path in good if sizes[path] in common}

    def name(path: Path) -> str:
        return shown(os.path.relpath(path, dataset.root))

    twice = [f"{name(path)} is {name(other)}" for path, other in found.items() if other]
    if twice:
        raise DataError(
            f"{counted(len(twice), 'image')} in {shown(dataset.root)} among both the good and the "
            f"defective ones: {listed(twice, NAMED)}",
            remedy="keep one of the two files",
            code="data/good-and-bad",
        )


def doubts_of_trained(samples: Sequence[Sample], trained: Collection[str], model: str) -> list[str]:
    """Return what is wrong with test images that a model was trained on as good ones.

    trained: the SHA-256 of its good training images.
    """
    seen = [s.good for s in samples if trained and digest_of(s.path) in trained]
    effects = {True: "good: more new parts may be rejected", False: "defective: wrong labels?"}
    return [
        f"{model} was trained, as good, on {seen.count(good)} of the {len(samples)} test images, "
        f"which are {effect}"
        for good, effect in effects.items()
        if good in seen
    ]


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file; DataError if it cannot be read."""
    try:
        return sha256(path)
    except OSError as error:
        raise cannot_read(path, error) from error


def _folder(dataset: Dataset) -> Path:
    plain = dataset.layout == "plain"
    return dataset.root / "bad" if plain else dataset.root / "test" / "DEFECT"
