"""The page in a real browser: nothing is asked for, nothing overflows, everything is legible."""

import numpy as np
import pytest

from edgeseg.data.formats.decode import decode
from tests.kit.browser import browsing
from tests.report.conftest import HOSTILE, HOSTILE_FILE

# Every text with its color, the color behind it and its size. Colors of the page are opaque.
TEXTS = """
(() => {
  const number = c => c.match(/[\\d.]+/g).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = number(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), e = walker.currentNode.parentElement;
    const style = getComputedStyle(e);
    if (text) found.push([text, number(style.color).slice(0, 3), behind(e),
                          parseFloat(style.fontSize)]);
  }
  return found;
})()
"""
HIDDEN = """
[...document.querySelectorAll('body *')]
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.outerHTML.slice(0, 80))
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("browser")) as found:
        yield found


def luminance(color):
    shares = np.array(color) / 255
    linear = np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)
    return linear @ (0.2126, 0.7152, 0.0722)


def contrast(one, other):
    """WCAG 2.2, 1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.slow
def test_the_page_in_a_browser(browser, html):
    browser.media("screen", "light")
    browser.open(html)
    foreign = [url for url in browser.requests if not url.startswith(("data:", "file:"))]
    files = {url for url in browser.requests if url.startswith("file:")}
    assert (foreign, files) == ([], {html.as_uri()})
    assert browser.complaints == []
    text = browser.evaluate("document.body.innerText")
    for words in (HOSTILE, HOSTILE_FILE, "Größe 日本", "2 of 4", "What this report cannot tell"):
        assert words in text
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert browser.evaluate("document.images.length") > 20 and browser.evaluate(broken) == 0
    stretched = """[...document.images].filter(i =>
        Math.abs(i.width / i.height / (i.naturalWidth / i.naturalHeight) - 1) > 0.05
        && !i.closest('.legend')).map(i => i.alt)"""
    assert browser.evaluate(stretched) == []

    for width in (320, 400, 1000):
        browser.resize(width)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate("innerWidth") == width
    browser.resize(400)
    assert browser.evaluate(HIDDEN) == []

    pages = []
    for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "light")):
        browser.media(media, scheme)
        texts = browser.evaluate(TEXTS)
        assert len(texts) > 100
        weak = [t for t in texts if contrast(t[1], t[2]) < 4.5]
        assert weak == [], f"{media} {scheme}"
        small = [t for t in texts if t[3] < (9 if media == "print" else 12)]
        assert small == []
        pages.append(decode(browser.picture(), "page"))
    light, dark, printed = (np.median(page[..., :3]) for page in pages)
    assert dark < 60 < 200 < min(light, printed), "each scheme has its background"


@pytest.mark.slow
def test_the_browser_would_find_a_request_and_an_overflow(browser, tmp_path):
    planted = tmp_path / "planted.html"
    planted.write_text(
        "<img src='http://edgeseg.invalid/x.png'><p style='width:900px'>wide</p>"
        "<script>console.error('no')</script>"
    )
    browser.media("screen", "light")
    browser.open(planted, width=400)
    assert "http://edgeseg.invalid/x.png" in browser.requests
    assert any("no" in text for text in browser.complaints)
    assert browser.evaluate("document.documentElement.scrollWidth") > 400
    assert len(browser.evaluate(HIDDEN)) == 1


@pytest.mark.slow
def test_the_policy_stops_a_script_that_came_into_the_page(browser, html, tmp_path):
    planted = tmp_path / "planted.html"
    script = "<script>document.title = 'run'</script><p style='color: #123456'>styled</p>"
    planted.write_text(html.read_text(encoding="utf-8").replace("<main>", script + "<main>"))
    browser.open(planted)
    assert browser.evaluate("document.title") == "plates: report"
    assert browser.evaluate("getComputedStyle(document.querySelector('p[style]')).color") != (
        "rgb(18, 52, 86)"
    )
    assert len(browser.complaints) >= 2
