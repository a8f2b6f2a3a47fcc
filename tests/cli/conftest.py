"""The program, called in an empty folder."""

import sys

import pytest

from edgeseg.cli import main


@pytest.fixture
def run(monkeypatch, capfd, tmp_path):
    """Call the program in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["edgeseg", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code or 0, *capfd.readouterr())

    return call
