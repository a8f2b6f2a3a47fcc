"""The PDF of a report, by WeasyPrint: a library, where a browser would be a second program."""

import logging
from typing import Any

from edgeseg.errors import MissingExtra
from edgeseg.packages.extras import require
from edgeseg.packages.system import apt_install

EXTRA = "pdf"
LIBRARIES = ("libpango-1.0-0", "libpangoft2-1.0-0", "libharfbuzz-subset0")


def check_pdf() -> None:
    """MissingExtra if WeasyPrint, or a library of the system that it needs, is missing."""
    _weasyprint()


def pdf_of(html: str) -> bytes:
    """Return the page as PDF/UA; no address outside the page is opened."""
    weasyprint = _weasyprint()
    logging.getLogger("weasyprint").setLevel(logging.ERROR)  # it names rules for screens as unknown
    inside = require("weasyprint.urls", extra=EXTRA).URLFetcher(allowed_protocols=("data",))
    page = weasyprint.HTML(string=html, url_fetcher=inside)
    document: bytes = page.write_pdf(pdf_variant="pdf/ua-1")
    return document


def _weasyprint() -> Any:
    try:
        return require("weasyprint", extra=EXTRA)
    except MissingExtra as missing:
        if missing.code != "extra/broken" or "library" not in missing.problem:
            raise
        raise MissingExtra(
            f"WeasyPrint needs libraries of the system: {missing.problem}",
            remedy=apt_install(*LIBRARIES),
            code="extra/system-library",
        ) from missing
