"""Help screens: plain text in panels, brackets kept, and in plain English."""

import re

import pytest

from tests.cli.test_app import COMMANDS
from tests.kit.words import wrong_words


@pytest.fixture(params=["", *COMMANDS])
def screen(request, run, monkeypatch):
    """The help of the program and of each command, 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")
    code, out, err = run(*request.param.split(), "-h")
    assert (code, err) == (0, "")
    return out


def test_a_help_screen_is_plain(screen):
    assert max(map(len, screen.splitlines())) <= 80
    assert "(True)" not in screen and "[default: (" not in screen and "None" not in screen
    assert wrong_words(screen) == []


def test_brackets_are_kept(run):
    assert "good/ [bad/ masks/]" in " ".join(run("train", "--help")[1].split())
    assert "[MODEL] DATA" in run("evaluate", "--help")[1]


def test_the_first_screen_of_train_has_the_flags_that_matter(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = run("train", "--help")[1]
    first = "\n".join(out.splitlines()[:25])
    flags = (
        "model profile minutes image-size batch student-steps head-steps epochs seed device name "
        "runs-dir false-reject-rate resume overwrite"
    )
    assert all(f"--{flag} " in first for flag in flags.split())
    assert "[default: line; with --model: paper]" in " ".join(first.split())
    panels = [line for line in out.splitlines() if re.fullmatch(r"\w.*:", line)]
    assert panels[0] == "Arguments:" and panels[-2:] == [
        "Ablations of the papers:",
        "Output and help:",
    ]
