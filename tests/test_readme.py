"""The README's commands are real, and one walk through them is run.

Every `edgeseg` line of a ```sh block must parse: the command, its options, their values. The lines
of a block below the comment <!-- tested --> are run too, in an empty folder, with settings so small
that the path alone is tested; the data set that `train` names is drawn for it.
"""

import re
import shlex
import sys
import warnings
from importlib.metadata import metadata
from pathlib import Path

import pytest
import typer

from edgeseg.cli import app, main
from edgeseg.data.parts import write_parts

REPOSITORY = Path(__file__).parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^(<!-- tested -->\n+)?```(?:sh|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TINY = {
    "train": "--teacher efficientnet_lite0 --image-size 64 --batch 2 "
    "--student-steps 1 --head-steps 1 --student-rate 1e-4 --blocks-rate 1e-4",
    "stream": "--no-window --frames 2",
    "benchmark": "--runs 3 --warmup 1",
    "profile": "--runs 2 --warmup 1",
}


def lines(text: str, *, tested: bool = False) -> list[list[str]]:
    """Return the commands of a text's shell blocks as words; of the tested blocks alone."""
    found = []
    for mark, block in BLOCK.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words and (mark or not tested):
                found.append(words)
    return found


def parse(words: list[str]) -> None:
    """Parse an `edgeseg` line as the program would; raise what it would."""
    group = typer.main.get_command(app)
    if words[1:] in (["--help"], ["--version"]):
        return
    command = group.commands[words[1]]  # type: ignore[attr-defined]
    command.make_context(words[1], list(words[2:]))


def edgeseg_lines(text: str, *, tested: bool = False) -> list[list[str]]:
    return [words for words in lines(text, tested=tested) if words[0] == "edgeseg"]


def test_the_readme_has_commands_and_a_tested_walk():
    commands = {words[1] for words in edgeseg_lines(README)}
    assert {"train", "export", "build-engine", "stream"} <= commands
    walked = lines(README, tested=True)
    assert [words for words in walked if words[0] != "edgeseg"] == []
    assert {"train", "export"} <= {words[1] for words in walked}


@pytest.mark.parametrize("words", edgeseg_lines(README), ids=" ".join)
def test_an_edgeseg_line_parses(words):
    parse(words)


@pytest.mark.parametrize("words", [w for w in lines(README) if w[0] == "make"], ids=" ".join)
def test_a_make_line_has_its_target(words):
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in words[1:]:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_extras_that_are_named_exist():
    named = {
        extra for group in re.findall(r"edgeseg\[([\w,]+)\]", README) for extra in group.split(",")
    }
    assert named <= set(metadata("edgeseg").get_all("Provides-Extra") or [])


def test_the_tested_walk_runs(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for words in lines(README, tested=True):
        if words[1] == "train":
            write_parts(tmp_path / words[2], train=8, good=2, bad=1)
        tiny = shlex.split(TINY.get(words[1], ""))
        monkeypatch.setattr(sys, "argv", [*words, *tiny])
        with warnings.catch_warnings(), pytest.raises(SystemExit) as ended:
            warnings.simplefilter("ignore")  # as for a user: the exporter's libraries warn a lot
            main()
        out, err = capfd.readouterr()
        assert not ended.value.code, f"{shlex.join(words)}\n{out}\n{err}"


SAMPLE = """
```sh
edgeseg train photos \\
    --batch 8   # a comment
pip install "edgeseg[cpu]"
```
<!-- tested -->
```sh
$ edgeseg doctor
```
```toml
edgeseg = "no shell"
```
"""


def test_the_reader_finds_the_lines_of_shell_blocks():
    assert lines(SAMPLE) == [
        ["edgeseg", "train", "photos", "--batch", "8"],
        ["pip", "install", "edgeseg[cpu]"],
        ["edgeseg", "doctor"],
    ]
    assert lines(SAMPLE, tested=True) == [["edgeseg", "doctor"]]


WRONG = [
    ("edgeseg trian photos", "trian"),
    ("edgeseg train photos --bach 8", "(?i)no such option"),
    ("edgeseg train photos --batch many", "valid integer"),
    ("edgeseg train", "(?i)missing"),
]


@pytest.mark.parametrize(("line", "words"), WRONG)
def test_a_line_that_is_wrong_is_caught(line, words):
    with pytest.raises(Exception, match=words):
        parse(shlex.split(line))
