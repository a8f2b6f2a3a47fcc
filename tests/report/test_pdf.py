"""The PDF: tagged, whole, and made without a request."""

import re
import sys
import zlib

import pytest

from edgeseg.errors import MissingExtra
from edgeseg.report import pdf
from edgeseg.report.pdf import check_pdf, pdf_of
from edgeseg.report.report import Inputs, report
from tests.kit.errors import fails


def inside(document):
    """The streams of a PDF, unpacked, one after the other, and what is around them."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", document, re.DOTALL)
    unpacked = []
    for stream in streams:
        try:
            unpacked.append(zlib.decompress(stream))
        except zlib.error:
            unpacked.append(stream)
    return b"\n".join([document, *unpacked])


@pytest.fixture
def weasyprint():
    """Skips the test where the libraries of the system are missing that WeasyPrint needs."""
    try:
        check_pdf()
    except MissingExtra as missing:
        pytest.skip(f"{missing.problem}: {missing.remedy}")


@pytest.mark.slow
def test_the_pdf_lies_beside_the_page_and_is_tagged(weasyprint, model, photos):
    paths = report(Inputs(model=model, data=photos, pdf=True)).paths
    assert paths["PDF"] == paths["HTML"].with_suffix(".pdf")
    content = inside(paths["PDF"].read_bytes())
    assert content.startswith(b"%PDF-")
    assert b"/MarkInfo" in content and b"pdfuaid" in content and b"/Figure" in content
    assert len(re.findall(rb"/Type ?/Page\b", content)) > 1
    again = report(Inputs(model=model, data=photos, pdf=True)).paths
    assert again == paths, "a report is replaced"


def test_no_address_outside_the_page_is_opened(weasyprint, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("a secret")
    image = f"<img src='{secret.as_uri()}' alt='x'><img src='http://127.0.0.1:9/x.png' alt='y'>"
    html = f"<html lang='en'><title>t</title><link rel=attachment href='{secret.as_uri()}'>{image}"
    assert b"a secret" not in inside(pdf_of(html))


def test_a_missing_package_and_a_missing_library_have_their_own_remedies(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "weasyprint", None)
        with pytest.raises(MissingExtra) as caught:
            check_pdf()
    # Without the sources at hand the remedy names the packages of the extra.
    assert caught.value.remedy.startswith("pip install")
    assert "pdf" in caught.value.remedy or "weasyprint" in caught.value.remedy

    def broken(module, *, extra):
        raise MissingExtra(
            "package weasyprint is installed but fails to import: cannot load library "
            "'libgobject-2.0-0'",
            remedy="pip install",
            code="extra/broken",
        )

    monkeypatch.setattr(pdf, "require", broken)
    with fails(MissingExtra, "extra/system-library"):
        check_pdf()
