"""The fenced blocks and inline code of README and docs, and the command lines in them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import typer

from edgeseg.cli import app

REPOSITORY = Path(__file__).parents[2]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
FENCE = re.compile(r"^(?:<!-- (run.*?) -->\n)?```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block; `run`: the comment above it that asks a test to execute it, or ''."""

    page: str
    run: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.strip().splitlines()[0]}"


def blocks(text: str, page: str = "") -> list[Block]:
    return [Block(page, *found) for found in FENCE.findall(text)]


def lines(text: str) -> list[list[str]]:
    """Return the commands of a shell block as words, without comments and redirections."""
    joined = text.replace("\\\n", " ").splitlines()
    commands = [shlex.split(line, comments=True) for line in joined]
    return [words[: words.index(">")] if ">" in words else words for words in commands if words]


def command(name: str):
    """Return the command of the real command line; KeyError for one that does not exist."""
    return typer.main.get_command(app).commands[name]


def parse(words: list[str]) -> None:
    """Parse `edgeseg COMMAND ...` as the program does; raise what it raises."""
    command(words[1]).make_context(words[1], list(words[2:]))


def flags() -> set[str]:
    """Return every option of every command."""
    commands = typer.main.get_command(app).commands.values()
    options = [
        option for each in commands for option in each.params if option.param_type_name == "option"
    ]
    return {flag for option in options for flag in (*option.opts, *option.secondary_opts)}


def inline(text: str) -> list[str]:
    """Return the inline code of a page, outside of its blocks, each on one line."""
    return [" ".join(span.split()) for span in SPAN.findall(FENCE.sub("", text))]


TEXTS = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
BLOCKS = [block for name, text in TEXTS.items() for block in blocks(text, name)]
