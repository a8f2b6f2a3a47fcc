"""One product: a folder of photos, and the job (cluster/jobs.py) that makes its model.

    RUNS/<name>/                an ordinary run directory, and beside its files:
        engines/                the engine and its card, only if the model is useful
        picture.png             a photo with the map of the model
        product.json            the result; the last file
        begun.json              which settings and photos are being trained on, until then
        earlier/<key>/          what was made of other settings or photos

`key` is a hash of the settings and of the data set with its boxes and the files that settings name
(of a folder of textures its path), so the same command makes nothing twice.
"""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.data.defective.boxes import BOXES
from edgeseg.data.layouts import Dataset
from edgeseg.files import cannot_read, sha256, write_atomic
from edgeseg.recipes import TrainConfig

RESULT, BEGUN = "product.json", "begun.json"
ENGINES, EARLIER, PICTURE, LOG = "engines", "earlier", "picture.png", "products.log"
SHIPPED, NOT_SHIPPED, FAILED = "shipped", "not shipped", "failed"


@dataclass(frozen=True, kw_only=True)
class Product:
    """What is trained, and where its files go."""

    name: str
    data: Path
    folder: Path
    config: TrainConfig
    given: tuple[str, ...]
    """Names of the settings that were given; the others may follow from the time budget."""
    rate: float
    """False-reject rate."""
    key: str
    threads: int = 1


@dataclass(frozen=True, kw_only=True)
class ProductResult:
    """What became of a product."""

    name: str
    state: str
    """`shipped`, `not shipped` or `failed`."""
    reason: str = ""
    """Why it is not shipped, or what failed."""
    remedy: str = ""
    key: str = ""
    title: str = ""
    """Verdict of the report."""
    words: tuple[str, ...] = ()
    """Its figures, as sentences."""
    drawn: float | None = None
    """AUROC of held-out good parts with drawn defects against others without, 0 to 1."""
    photos: int = 0
    """Good photos that were trained on."""
    network: str = ""
    seconds: float = 0.0
    """Of everything, the last time it was made."""
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """`report`, `graph`, `engine`: path in the run directory."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return dataclasses.asdict(self)


def content_key(dataset: Dataset, config: TrainConfig, rate: float) -> str:
    """Return the hash of settings and of all photos and masks of a data set, wherever it is."""
    settings = config.to_json() | {"false_reject_rate": rate}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    samples = (*dataset.train, *(dataset.held or ()), *dataset.test)
    files = {path for sample in samples for path in (sample.path, sample.mask) if path is not None}
    named = {name: getattr(config, name) for name in ("roi", "ignore", "locate", "teacher_weights")}
    named["boxes"] = dataset.root / BOXES
    files |= {path for path in named.values() if path is not None and path.is_file()}
    for path in sorted(files):
        try:
            inside = os.path.relpath(path, dataset.root)
            digest.update(os.fsencode(f"\n{inside} {sha256(path)}"))
        except OSError as error:
            raise cannot_read(path, error) from error
    return digest.hexdigest()


def read_result(folder: Path) -> ProductResult | None:
    """Return the result of a finished product; None if there is none, or a damaged one."""
    found = _read(folder / RESULT)
    with suppress(TypeError):
        if found:
            return ProductResult(**found | {"words": tuple(found.get("words", ()))})
    return None


def write_result(folder: Path, result: ProductResult) -> None:
    """Write product.json, which marks a product as finished."""
    drawn = result.drawn
    known = (
        result
        if drawn is None or not math.isnan(drawn)
        else dataclasses.replace(result, drawn=None)
    )
    write_atomic(folder / RESULT, json.dumps(known.to_json(), indent=1).encode())
    (folder / BEGUN).unlink(missing_ok=True)


def read_begun(folder: Path) -> tuple[str, bool]:
    """Return the key of what is being trained in a folder, and whether its training is complete."""
    found = _read(folder / BEGUN)
    return str(found.get("key", "")), bool(found.get("trained"))


def write_begun(folder: Path, key: str, *, trained: bool) -> None:
    """Note what is being trained."""
    write_atomic(folder / BEGUN, json.dumps({"key": key, "trained": trained}).encode())


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        found = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}
