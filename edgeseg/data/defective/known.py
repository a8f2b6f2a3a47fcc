"""Which defective images of a data set train the head, and which only judge it.

An image is never on both sides, nor is its copy under another name: images are told apart by the
SHA-256 of their files.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from edgeseg.data.layouts import Dataset, Sample
from edgeseg.errors import DataError
from edgeseg.files import cannot_read, quoted, sha256, shown

SEEN, UNSEEN = "seen in training", "unseen"
"""What a type of defect is for a model that was trained with defects."""


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
    digests = {sample.path: digest_of(sample.path) for sample in bad}
    _refuse_good(dataset, digests)
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
    """Return a type of defect and whether the training has seen it, as text."""
    if not trained:
        return label
    return f"{label} ({SEEN if label in trained.values() else UNSEEN})"


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file; DataError if it cannot be read."""
    try:
        return sha256(path)
    except OSError as error:
        raise cannot_read(path, error) from error


def _refuse_good(dataset: Dataset, digests: Mapping[Path, str]) -> None:
    names = {digest: path for path, digest in digests.items()}
    sizes = {path.stat().st_size for path in digests}
    good = (s.path for s in (*dataset.train, *dataset.test) if s.good)
    for path in good:  # only files of a size that a defective one has are read
        if path.stat().st_size in sizes and (digest := digest_of(path)) in names:
            raise DataError(
                f"{shown(path)} is among the good images and, as {shown(names[digest])}, among the "
                "defective ones",
                remedy="keep one of the two files",
                code="data/good-and-bad",
            )


def _folder(dataset: Dataset) -> Path:
    plain = dataset.layout == "plain"
    return dataset.root / "bad" if plain else dataset.root / "test" / "DEFECT"
