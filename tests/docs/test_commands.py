"""Every command in README and docs is real: it parses, and what it names exists."""

import re
import shlex
import sys

import pytest

from edgeseg.reproduce.table import read_table
from tests.docs.blocks import (
    BLOCKS,
    REPOSITORY,
    TEXTS,
    blocks,
    command,
    flags,
    inline,
    lines,
    parse,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STATION = ("station.md", "fleet.md")
SHELL = [
    (block.page, words) for block in BLOCKS if block.language == "sh" for words in lines(block.text)
]
EXTRAS = re.compile(r"(?:\.|\.whl\))\[([\w,]+)\]")
FOLDERS = {"benchmarks", "deploy", "docs", "edgeseg", "examples", "tests", "tools"}
OTHER_TOOLS = {"sudo", "scp", ".", "deploy/install", "export", "ray", "unshare", "openssl"}
OTHER_FLAGS = {
    "--constraint",
    "--strict",
    "--gpus",
    "--node-ip-address",
}  # pip, MkDocs, Docker, Ray


def of(tool: str) -> list:
    return [
        pytest.param(words, id=f"{page}: {shlex.join(words)}")
        for page, words in SHELL
        if words[0] == tool
    ]


def test_every_block_is_of_a_kind_that_is_tested():
    assert {block.language for block in BLOCKS} <= {"sh", "python", "toml", "text"}
    assert {words[0] for _, words in SHELL} <= {
        "edgeseg",
        "make",
        "python",
        "python3",
        "pip",
    } | OTHER_TOOLS


@pytest.mark.parametrize("words", of("edgeseg"))
def test_an_edgeseg_line_parses(words):
    parse(words)


@pytest.mark.parametrize("words", of("make"))
def test_a_make_line_has_its_target(words):
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    assert re.search(rf"^{words[1]}:", makefile, re.MULTILINE)


@pytest.mark.parametrize("words", of("python") + of("python3"))
def test_a_python_line_names_a_module_or_a_script(words):
    """A module of the standard library: others are not there after the commands above it."""
    assert words[1:3] == ["-m", "venv"] or (REPOSITORY / words[1]).is_file()


@pytest.mark.parametrize("words", of("pip"))
def test_pip_installs_this_folder_or_its_wheel(words):
    """edgeseg is not on a package index."""
    assert not any(re.match(r"edgeseg\b", word) for word in words)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {name for group in EXTRAS.findall(" ".join(words)) for name in group.split(",")}
    assert named <= set(project["optional-dependencies"])


@pytest.mark.parametrize("page", TEXTS)
def test_inline_code_names_existing_commands_and_flags(page):
    scripts = "".join(path.read_text() for path in (REPOSITORY / "benchmarks").glob("*.py"))
    known = flags() | OTHER_FLAGS | set(re.findall(r'"(--[a-z-]+)"', scripts))
    for span in inline(TEXTS[page]):
        if span.startswith("edgeseg ") and span.split()[1][0] != "-":
            command(span.split()[1])
        assert set(re.findall(r"(?<!\S)--[a-z0-9][\w-]*", span)) <= known, span


@pytest.mark.parametrize("page", TEXTS)
def test_inline_code_names_existing_files(page):
    named = [
        span for span in inline(TEXTS[page]) if re.fullmatch(r"[\w/]+/(\w+\.(py|cpp|toml))?", span)
    ]
    ours = [path for path in named if path.split("/")[0] in FOLDERS]
    assert [path for path in ours if not (REPOSITORY / path).exists()] == []


def test_a_table_of_ones_own_is_read(tmp_path):
    (block,) = [b for b in BLOCKS if b.language == "toml" and b.page not in STATION]
    path = tmp_path / "tiles.toml"
    path.write_text(block.text)
    assert len(read_table(str(path)).rows) == 3


SAMPLE = """
```sh
edgeseg train photos \\
    --batch 8   # a comment
```
<!-- run -->
```sh
edgeseg doctor
```
and `edgeseg trian
--x`
"""


def test_blocks_and_inline_code_are_found():
    found = [(block.run, lines(block.text)) for block in blocks(SAMPLE)]
    assert found == [
        ("", [["edgeseg", "train", "photos", "--batch", "8"]]),
        ("run", [["edgeseg", "doctor"]]),
    ]
    assert inline(SAMPLE) == ["edgeseg trian --x"]


@pytest.mark.parametrize(
    "line",
    ["trian photos", "train photos --bach 8", "train photos --batch many", "import-checkpoint"],
)
def test_a_wrong_line_is_caught(line):
    with pytest.raises(Exception, match=r"(?i)trian|no such option|valid integer|missing"):
        parse(["edgeseg", *shlex.split(line)])
