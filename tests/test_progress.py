"""A bar on a terminal, lines in a log."""

import errno
import io
import itertools
import logging
import sys
import time

import pytest

from edgeseg.log import install_handler, log
from edgeseg.progress import LOG_EVERY, task

STEPS = int(LOG_EVERY)  # a second each


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def ticking(monkeypatch):
    """A clock that is a second later at each look."""
    monkeypatch.setattr(time, "monotonic", itertools.count().__next__)


def test_a_log_has_a_line_from_time_to_time(ticking, said):
    with task("train", total=100, done=10) as bar:
        for step in range(STEPS):
            bar.advance(f"loss {step}")
        assert said == []
        bar.advance("loss 0.1")
    # 31 steps in 31 s, and 59 to go
    assert said == [f"train {10 + STEPS + 1}/100  loss 0.1  1.0 min left"]


def test_the_time_left_is_that_of_the_whole_at_the_pace_of_late(ticking, said):
    with task("student", total=100, pace=0.5, after=60.0) as bar:  # half as fast as expected
        for _ in range(STEPS + 1):
            bar.advance("loss 1")
    # 69 steps of a second to go, and 60 s of other work, which takes twice as long
    assert said == [f"student {STEPS + 1}/100  loss 1  {(69 + 120) / 60:.1f} min left"]


def test_a_terminal_has_a_bar(monkeypatch, said):
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with task("train", total=4, done=1) as bar:
        bar.advance("loss 0.1")
        bar.advance("loss 0.2")
    text = sys.stderr.getvalue()
    assert "train" in text and "3/4" in text and "loss 0.2" in text


class Failing(Terminal):
    """A terminal that is gone, or has no letter of the bar."""

    def __init__(self, error):
        super().__init__()
        self._error = error

    def write(self, text):
        raise self._error


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "gone"), OSError(errno.EPIPE, "closed"), ValueError("closed file")]
)
def test_a_bar_that_cannot_be_drawn_does_not_end_the_work(monkeypatch, error):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Failing(error))
    install_handler(logging.INFO)
    done = []
    with task("train", total=3) as bar:
        for step in range(3):
            bar.advance("größe ✓")
            log.warning("a message above the bar")
            done.append(step)
    assert done == [0, 1, 2]


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_bar_on_a_terminal_without_unicode(monkeypatch, encoding):
    class Console(io.TextIOWrapper):
        def isatty(self):
            return True

    raw = io.BytesIO()
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Console(raw, encoding=encoding))
    install_handler(logging.INFO)
    with task("train", total=2) as bar:
        bar.advance("größe ✓")
    text = raw.getvalue().decode(encoding)
    assert "1/2" in text and "\\u2713" in text


def test_a_quiet_program_shows_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr(log, "level", logging.WARNING)
    log.manager._clear_cache()
    with task("train", total=4) as bar:
        bar.advance()
    assert sys.stderr.getvalue() == ""
