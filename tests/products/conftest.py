"""Products without photos of their own: small pictures, and a work that trains nothing."""

import numpy as np
import pytest

from edgeseg.data.images import write_png
from edgeseg.errors import DataError
from edgeseg.products.product import NOT_SHIPPED, SHIPPED, ProductResult, write_result


def write_product(folder, *, photos=20, seed=0):
    rng = np.random.default_rng(seed)
    for number in range(photos):
        write_png(folder / "good" / f"{number:03}.png", rng.integers(0, 255, (32, 32, 3), np.uint8))
    return folder


def pretend(product):
    """Work that writes a result: `useless` is not shipped, `corrupt` fails."""
    if product.name == "corrupt":
        raise DataError("cannot decode good/007.png", remedy="remove or replace the file")
    product.folder.mkdir(parents=True, exist_ok=True)
    state = NOT_SHIPPED if product.name == "useless" else SHIPPED
    result = ProductResult(
        name=product.name,
        state=state,
        key=product.key,
        reason="Do not use this model" * (state == NOT_SHIPPED),
        title="Ready for a trial",
        words=("Good parts that are rejected: 0 of 20 & <none>.",),
        photos=18,
        network="64 x 64 px",
        seconds=61.0,
        files={"report": "report.html"},
    )
    write_result(product.folder, result)


@pytest.fixture
def line(tmp_path):
    """Three products."""
    for seed, name in enumerate(("bottle", "corrupt", "useless")):
        write_product(tmp_path / "line" / name, seed=seed)
    return tmp_path / "line"
