"""The documentation site builds strictly and fetches nothing; its words are the glossary's."""

import re
import subprocess
import sys

import pytest

from tests.docs.blocks import REPOSITORY, TEXTS
from tests.kit.words import wrong_words

FETCHED = re.compile(r"<(?:script|link|img)\b[^>]*(?:src|href)=\"?(?:https?:)?//[^>]*>")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_is_built_and_fetches_nothing(site):
    pages = {
        path.parent.name: path.read_text(encoding="utf-8") for path in site.rglob("index.html")
    }
    assert {name.removesuffix(".md") for name in TEXTS} - {"README"} <= pages.keys()
    assert "Two commands" in pages[site.name] and "changelog" in pages
    assert {name: found for name, page in pages.items() if (found := FETCHED.findall(page))} == {}


def test_the_tree_has_a_line_for_each_file(site):
    page = (site / "developing" / "index.html").read_text(encoding="utf-8")
    lines = re.findall(r"<li><code>([\w.]+)</code>: (.*?)</li>", page)
    assert len(lines) == len(list((REPOSITORY / "edgeseg").rglob("*.py")))
    assert [name for name, summary in lines if not summary] == []


@pytest.mark.parametrize("page", TEXTS)
def test_a_page_uses_the_words_of_the_glossary(page):
    assert wrong_words(TEXTS[page]) == []


def test_the_readme_is_one_page():
    assert len(TEXTS["README.md"].splitlines()) <= 150
    assert (REPOSITORY / "docs" / "images" / "demo.png").stat().st_size < 150_000


def test_the_changelog_is_short():
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    for version in text.split("\n## ")[1:]:
        assert len(re.findall(r"^- ", version, re.MULTILINE)) <= 25
