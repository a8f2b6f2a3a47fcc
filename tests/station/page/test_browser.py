"""The page in a real browser: every control is used, with the mouse and with keys."""

import json

import pytest

from edgeseg.station.evidence.labels import read_labels
from tests.kit.browser import browsing
from tests.kit.pages import PAGE, Station, lost
from tests.kit.stations import until
from tests.report.test_browser import HIDDEN, TEXTS, contrast


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with browsing(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def opened(browser, station):
    """The page, with all of its parts there."""
    browser.media("screen", "light")
    browser.open(station.url)
    assert browser.until("document.querySelectorAll('.tile').length") == 13
    # A picture that comes later would move what is below it, and a click would miss.
    assert browser.until("document.querySelector('.picture img').naturalWidth") == 240
    yield browser
    browser.open("about:blank")  # while the station still answers


def text(browser, selector):
    return browser.evaluate(f"document.querySelector({json.dumps(selector)}).innerText")


def says(browser, selector, words):
    return browser.until(
        f"document.querySelector({json.dumps(selector)}).innerText.includes({json.dumps(words)})"
    )


@pytest.mark.slow
def test_what_is_shown_and_every_control_of_the_line(opened, station):
    browser = opened
    foreign = [url for url in browser.requests if not url.startswith((station.url, "blob:"))]
    assert foreign == []
    assert says(browser, "article", "OK") and "P-061" in text(browser, "article")
    assert "7.0 ms" in text(browser, "article") and "12,345" in text(browser, "article")
    assert browser.until("document.querySelector('.picture img').naturalWidth") == 240
    assert text(browser, "#link") == "Connected"

    browser.click("article header button")  # the picture off and on again
    assert browser.until("document.querySelector('.picture img').hidden")
    assert "off" in text(browser, ".picture")
    browser.click("article header button")
    assert browser.until("!document.querySelector('.picture img').hidden")

    browser.choose("article .recipe select", "covers")
    browser.click("article .recipe button")
    assert until(lambda: station.recipes["top"] == "covers")
    assert says(browser, "#messages", "recipe covers")
    assert browser.until("document.querySelector('article .recipe button').disabled")

    browser.type("article:nth-of-type(2) form input", "P-99")
    browser.press("Enter")
    trigger = {"command": "trigger", "camera": "side", "part": "P-99", "by": "page"}
    assert until(lambda: trigger in station.commands)

    browser.click("#stop")
    browser.click("#stop-dialog button[value=cancel]")
    assert not [each for each in station.commands if each["command"] == "stop"]
    browser.click("#stop")
    browser.type("#stop-reason", "lamp")
    browser.click("#stop-dialog button[value=stop]")
    assert says(browser, "#running", "Stopped: lamp") and says(browser, "article", "NOT OK")
    browser.click("#start")
    assert says(browser, "#running", "The line runs") and says(browser, ".lamp", "OK")

    lost(station)
    assert says(browser, "#alarms", "the cable is out")
    assert browser.evaluate("document.title").startswith("(!)")
    station.answering = False
    assert says(browser, "#alarms", "does not answer")
    browser.click("#stop")
    browser.press("Enter")  # on the first field: the first button
    assert says(browser, "#messages", "Not done")
    assert browser.complaints == [] or all("503" in each for each in browser.complaints)


@pytest.mark.slow
def test_the_threshold_tells_what_would_have_been_and_changes_nothing(opened, station):
    browser = opened
    assert says(browser, "#meaning", "8 of the last 59 parts would have been anomalous; 8 were.")
    browser.evaluate("document.querySelector('#slider').focus()")
    browser.press("ArrowLeft")
    assert says(browser, "#meaning", "instead of 0.500")
    browser.evaluate("document.querySelector('#slider-number').value = ''")
    browser.type("#slider-number", "0.405")
    browser.press("Enter")
    assert says(browser, "#meaning", "At 0.405 instead of 0.500")
    assert "9 good parts would have been anomalous in addition" in text(browser, "#meaning")
    assert "image_threshold = 0.405 under [[recipe]] plates" in text(browser, "#meaning")
    browser.evaluate(
        "document.querySelector('#slider').value = 0.555;"
        "document.querySelector('#slider').dispatchEvent(new Event('input'))"
    )
    assert says(browser, "#meaning", "5 anomalous parts would have been good")
    browser.click("#slider-back")
    assert says(browser, "#meaning", "At the current threshold, 0.500")
    browser.choose("#scores-last", "100")
    browser.choose("#scores-camera", "side")
    assert says(browser, "#meaning", "has judged no part")
    assert browser.evaluate("document.querySelector('#slider').disabled")
    browser.choose("#scores-camera", "top")
    assert browser.until("!document.querySelector('#slider').disabled")
    browser.click("#scores-again")
    assert station.commands == [] and browser.complaints == []


def opens_with_enter(browser):
    """Press Enter at the fourth tile; whether its dialog is open."""
    browser.evaluate("document.querySelectorAll('.tile')[3].focus()")
    browser.press("Enter")
    return browser.until("document.querySelector('#part-dialog').open", 2.0)


@pytest.mark.slow
def test_parts_are_reviewed_with_the_mouse_and_with_keys(opened, station):
    browser = opened
    browser.click(".tile:nth-child(3) .labels button:nth-child(2)")
    assert says(browser, "#label-counts", "1 defect")
    browser.evaluate("document.querySelector('.tile').focus()")
    browser.press("ArrowRight", "g")
    assert says(browser, "#label-counts", "1 good")
    browser.press("ArrowRight", "ArrowRight", "u")
    assert says(browser, "#label-counts", "1 unclear")
    browser.press("u")  # again: the label is removed
    assert says(browser, "#label-counts", "0 unclear")
    found = read_labels(station.folder)
    assert found == {"bench/b1/57": "defect", "bench/b1/58": "good"}
    browser.choose("#shown", "labeled")
    assert browser.until("document.querySelectorAll('.tile').length == 2")
    browser.choose("#shown", "anomalous")
    assert browser.until("document.querySelectorAll('.tile').length == 8")
    browser.choose("#shown-camera", "side")
    assert says(browser, "#parts", "No such parts")
    browser.choose("#shown-camera", "")
    browser.choose("#shown", "all")
    assert browser.until("document.querySelectorAll('.tile').length == 14")
    browser.click("#newest")
    assert browser.until("document.querySelector('#older').hidden")

    # The newest parts may still arrive, and take the place of the tile that has the focus.
    assert any(opens_with_enter(browser) for _ in range(5))
    assert browser.until("document.querySelector('#part-pictures img').naturalWidth") == 240
    assert "P-057" in text(browser, "#part-dialog")
    browser.press("Escape")
    assert browser.until("!document.querySelector('#part-dialog').open")
    browser.click(".tile .face")
    assert browser.until("document.querySelector('#part-dialog').open")
    browser.click("#part-close")
    assert browser.until("!document.querySelector('#part-dialog').open")
    browser.choose("#scores-camera", "top")
    assert says(browser, "#meaning", "Of the labeled parts")
    assert browser.complaints == []


@pytest.mark.slow
def test_older_parts_are_added(browser, tmp_path):
    with Station(tmp_path, parts=200) as station:
        browser.open(station.url)
        assert browser.until("document.querySelectorAll('.tile').length == 24")
        browser.click("#older")
        assert browser.until("document.querySelectorAll('.tile').length == 48")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_width_and_is_legible(opened, station, scheme):
    browser = opened
    browser.media("screen", scheme)
    station.stopped = "lamp"
    lost(station)
    assert says(browser, "#alarms", "the cable is out")
    assert (
        browser.evaluate("getComputedStyle(document.querySelector('.silent .wait')).opacity") == "1"
    )
    longest = "document.querySelectorAll('option').forEach(e => e.textContent = 'm'.repeat(48))"
    browser.evaluate(longest)
    for width in (320, 390, 820, 1440):
        browser.resize(width)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate(HIDDEN) == [] or width < 600  # the table scrolls by itself
    found = browser.evaluate(TEXTS)
    assert len(found) > 100
    dim = {
        words: round(contrast(color, behind), 2)
        for words, color, behind, _ in found
        if contrast(color, behind) < 4.5
    }
    assert dim == {}


@pytest.mark.slow
def test_all_is_reached_with_the_tab_key_and_named(opened):
    browser = opened
    count = "document.querySelectorAll('a, button:enabled, select:enabled, input:enabled').length"
    assert browser.evaluate(count) > 40
    seen = set()
    for _ in range(40):
        browser.press("Tab")
        seen.add(browser.evaluate("document.activeElement.outerHTML.slice(0, 80)"))
    assert len(seen) > 25
    unnamed = """[...document.querySelectorAll('button, select, input, img')].filter(e =>
        !(e.innerText || e.alt || e.ariaLabel || (e.labels && e.labels.length)
          || e.hasAttribute('aria-hidden'))).map(e => e.outerHTML)"""
    assert browser.evaluate(unnamed) == []


@pytest.mark.slow
def test_what_is_shown_of_a_station_that_is_silent_is_of_before_until_it_goes_on(opened, station):
    browser = opened
    lamp = "getComputedStyle(document.querySelector('.lamp strong'), '::after').content"
    assert browser.evaluate(lamp) == "none"
    with station.output.site._changed:  # which the page's connection, still open, waits for
        assert says(browser, "#running", "No connection")
        assert browser.evaluate(lamp) == '" (old)"'
    assert says(browser, "#running", "The line runs")
    assert browser.evaluate(lamp) == "none"


@pytest.mark.slow
def test_a_label_leaves_its_button_where_it_is(opened):
    browser = opened
    places = """[...document.querySelectorAll('.tile:nth-child(3) button')].map(e => {
        const b = e.getBoundingClientRect(); return [b.x, b.width, b.height].join() })"""
    browser.resize(1440)
    before = browser.evaluate(places)
    browser.click(".tile:nth-child(3) .labels button:nth-child(2)")
    assert says(browser, "#label-counts", "1 defect")
    assert browser.evaluate(places) == before
    buttons = "[...document.querySelectorAll('.labels button')]"
    assert browser.evaluate(f"{buttons}.filter(e => e.scrollWidth > e.offsetWidth).length") == 0


@pytest.mark.slow
def test_who_uses_keys_keeps_the_focus_where_a_button_goes(opened, station):
    browser = opened
    focused = "document.activeElement.id || document.activeElement.ariaLabel"
    browser.evaluate("document.querySelector('#stop').focus()")
    browser.press("Enter")
    browser.type("#stop-reason", "lamp " * 20)
    browser.press("Enter")
    assert browser.until(f"({focused}) == 'start'")
    assert says(browser, ".lamp", "line stopped (code 20): lamp")  # its end may be cut
    browser.press("Enter")
    assert browser.until(f"({focused}) == 'stop'")
    browser.choose("article .recipe select", "covers")
    browser.evaluate("document.querySelector('article .recipe button').focus()")
    browser.press("Enter")
    assert until(lambda: station.recipes["top"] == "covers")
    assert browser.evaluate(focused) == "Recipe of top"


@pytest.mark.slow
def test_a_token_opens_the_page_by_hand_and_by_its_address(browser, tmp_path):
    page = PAGE.replace("127.0.0.1", "0.0.0.0")
    with Station(tmp_path, page=page) as station:
        tokens = json.loads((station.folder / "page-tokens.json").read_text())
        browser.open(station.url)
        assert browser.until("!document.querySelector('#login').hidden")
        assert browser.evaluate("document.querySelector('#page').hidden")
        assert browser.evaluate("document.querySelector('nav').checkVisibility()") is False
        browser.type("#token", "wrong")
        browser.press("Enter")
        assert says(browser, "#login-problem", "no token of this station")
        browser.evaluate("document.querySelector('#token').value = ''")
        browser.type("#token", tokens["view"])
        browser.click("#login-form button")
        assert browser.until("document.querySelectorAll('.tile').length") == 13
        assert browser.evaluate("document.querySelector('#stop').hidden")
        assert browser.evaluate("document.querySelector('.labels button').disabled")
        browser.click("#logout")
        assert browser.until("!document.querySelector('#login').hidden")
        browser.open("about:blank")
        browser.open(f"{station.url}#{tokens['operate']}")
        assert browser.until("document.querySelectorAll('.tile').length") == 13
        assert browser.evaluate("location.hash") == ""
        assert browser.until("!document.querySelector('#stop').hidden")
