"""The summary of all products: text, JSON, and one page that asks nothing of any network."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edgeseg.errors import GateFailed
from edgeseg.files import shown, write_atomic
from edgeseg.products.product import FAILED, NOT_SHIPPED, PICTURE, SHIPPED, ProductResult
from edgeseg.report.page import render
from edgeseg.report.pictures import data_uri
from edgeseg.text import listed, percent, table

PAGE, DOCUMENT = "products.html", "products.json"
OPEN = "not yet trained"
MARKS = {SHIPPED: "✓", NOT_SHIPPED: "✕", FAILED: "!", OPEN: "…"}
TONES = {SHIPPED: "trial", NOT_SHIPPED: "stop", FAILED: "caution", OPEN: "unmeasured"}


@dataclass(frozen=True, kw_only=True)
class ProductsReport:
    """The results of the products so far."""

    folder: Path
    runs: Path
    order: list[str]
    """Names of all products."""
    results: dict[str, ProductResult]

    def ordered(self) -> Iterator[ProductResult]:
        """Yield the result of every product."""
        for name in self.order:
            yield self.results.get(name) or ProductResult(name=name, state=OPEN)

    def named(self, state: str) -> list[str]:
        """Return the names of the products in a state."""
        return [result.name for result in self.ordered() if result.state == state]

    def summary(self) -> str:
        """Return a table of the products, and what to do, as text."""
        rows = [["product", "state", "photos", "network", "minutes", "verdict"]]
        for each in self.ordered():
            minutes = f"{each.seconds / 60:.1f}" if each.seconds else ""
            photos = str(each.photos or "")
            words = each.title if each.state == SHIPPED else each.reason
            rows.append([each.name, each.state, photos, each.network, minutes, words])
        lines = table(rows, "<<>>><")
        lines += [f"fix {r.name}: {r.remedy}" for r in self.ordered() if r.remedy]
        return "\n".join([*lines, f"page: {shown(self.runs / PAGE)}"])

    def to_json(self) -> dict[str, Any]:
        """Return the results as one JSON object."""
        return {
            "products": [result.to_json() for result in self.ordered()],
            "counts": self._counts(),
            "runs": str(self.runs),
            "page": str(self.runs / PAGE),
        }

    def check(self) -> None:
        """GateFailed (`products/not-shipped`) unless every product is shipped."""
        rest = [result for result in self.ordered() if result.state != SHIPPED]
        if rest:
            names = listed([f"{shown(result.name)} ({result.state})" for result in rest], 8)
            raise GateFailed(
                f"not shipped: {len(rest)} of {len(self.order)} products: {names}",
                remedy=(rest[0].remedy if len(rest) == 1 else "")
                or f"what to do for each: {shown(self.runs / PAGE)}",
                code="products/not-shipped",
            )

    def update(self) -> None:
        """Write products.json and products.html."""
        write_atomic(self.runs / DOCUMENT, json.dumps(self.to_json(), indent=1).encode())
        write_atomic(self.runs / PAGE, self.html().encode())

    def html(self) -> str:
        """Return the page."""
        own = files("edgeseg.products").joinpath("templates", "products.html")
        return render(
            own.read_text("utf-8"),
            title=self.folder.resolve().name,
            results=[(each, self._picture(each), self._links(each)) for each in self.ordered()],
            counts=self._counts(),
            marks=MARKS,
            tones=TONES,
            percent=percent,
        )

    def _counts(self) -> dict[str, int]:
        return {state: len(self.named(state)) for state in (SHIPPED, NOT_SHIPPED, FAILED, OPEN)}

    def _picture(self, result: ProductResult) -> str | None:
        with suppress(OSError):
            if result.title:
                return data_uri((self.runs / result.name / PICTURE).read_bytes(), "image/png")
        return None

    def _links(self, result: ProductResult) -> list[tuple[str, str]]:
        """Return (label, address relative to the page) of the files of a product."""
        return [(kind, quote(f"{result.name}/{path}")) for kind, path in result.files.items()]
