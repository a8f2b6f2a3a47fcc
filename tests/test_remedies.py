"""What an error proposes can be typed: every command of a remedy is parsed by the real program.

All texts of the package that contain a command are read from the source. A value within a command
is quoted for the shell, or is a number or a word of edgeseg's own.
"""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from edgeseg.cli import app

PACKAGE = Path(__file__).parent.parent / "edgeseg"
PROGRAM = typer.main.get_command(app)
PROGRAMS = "edgeseg|pip|sudo|export|df|ls|mv|cp|apt-get|ffmpeg|gst-launch-1.0"
END = re.compile(r"\n|, (?!\.)| \(|; | \|\| |`|: | then |\. ")
QUOTED = {"_options", "quoted", "resume_command", "install_command", "apt_install", "rebuild"}
NUMBERS_AND_WORDS = set(  # attributes and names that need no quotes: edgeseg's own words, numbers
    "precision runtime via width height n frame_format capability compute_capability higher newest "
    "nearest epochs AHEAD OFFLINE LIMIT BY_ONNX TRY_WITHOUT name command flag found place again "
    "remedy replace elsewhere inside option MOST_VALUES batch enough tile_size "
    "overlap least channels wanted".split()
) | {"others[0]", "near[0]", "LIMITS[name]", "10 * limit(LIMIT)"}
VALUE = "VALUE"


def texts(source: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield (line, text with VALUE in place of values, the values' expressions)."""
    tree = ast.parse(source)
    inner = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if id(node) in inner | documentation:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value, []
        elif isinstance(node, ast.JoinedStr):
            parts = [
                each.value if isinstance(each, ast.Constant) else VALUE for each in node.values
            ]
            values = [e.value for e in node.values if isinstance(e, ast.FormattedValue)]
            yield node.lineno, "".join(map(str, parts)), [ast.unparse(value) for value in values]


def commands(text: str) -> Iterator[str]:
    """Yield the commands of edgeseg in a text, each up to the punctuation that ends it."""
    names = "|".join(sorted(PROGRAM.commands, key=len, reverse=True))
    for found in re.finditer(rf"\bedgeseg (?:{names})\b(?=[ ,;`\n]|$)", text):
        yield END.split(text[found.start() :])[0].strip().rstrip(".")


def problem(command: str) -> str | None:
    """Return why the program does not take a command line, or None."""
    try:
        _, name, *words = shlex.split(command)
        words = [word for word in words if word not in ("or", "and", "first", "again")]
        known = PROGRAM.commands[name]
        context = typer.Context(known, info_name=name)
        parser = known.make_parser(context)
        parser.parse_args(list(words))
    except Exception as error:  # ValueError of shlex, UsageError of click
        return f"{type(error).__name__}: {getattr(error, 'message', error)}"
    return None


def is_safe(expression: str) -> bool:
    """Whether a value within a command is quoted, or one that needs no quotes."""
    tree = ast.parse(expression, mode="eval").body
    if isinstance(tree, ast.IfExp):
        return all(
            isinstance(e, ast.Constant) or is_safe(ast.unparse(e)) for e in (tree.body, tree.orelse)
        )
    call = re.match(r"(?:\w+\.)*(\w+)\(", expression)
    if call is not None:
        return call[1] in QUOTED
    last = expression.rpartition(".")[2]
    own = expression in NUMBERS_AND_WORDS or (last in NUMBERS_AND_WORDS and last != "name")
    return own or bool(re.match(r"'(--[a-z-]+ ?)'|'--", expression))


ALL = [
    (f"{path.relative_to(PACKAGE).as_posix()}:{line}", text, values)
    for path in sorted(PACKAGE.rglob("*.py"))
    for line, text, values in texts(path.read_text(encoding="utf-8"))
]
COMMANDS = [(place, command) for place, text, _ in ALL for command in commands(text)]


def remedies(source: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the texts that are the argument `remedy` of an error."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "remedy":
            expression = f"_ = {ast.unparse(node.value)}"
            for _, text, values in texts(expression):
                yield node.value.lineno, text, values


REMEDIES = [
    (f"{path.relative_to(PACKAGE).as_posix()}:{line}", text, values)
    for path in sorted(PACKAGE.rglob("*.py"))
    for line, text, values in remedies(path.read_text(encoding="utf-8"))
]
OPTIONS = {
    name
    for command in PROGRAM.commands.values()
    for parameter in command.params
    for name in (*parameter.opts, *parameter.secondary_opts)
}
OTHER_PROGRAMS = {"--upgrade", "--force-reinstall", "--version", "--help", "--device"}


def test_there_are_commands_to_check():
    assert len(COMMANDS) > 40 and len(REMEDIES) > 200


def test_the_program_takes_every_command():
    wrong = [f"{place}: {c}: {why}" for place, c in COMMANDS if (why := problem(c)) is not None]
    assert not wrong, "\n".join(wrong)


def test_every_flag_of_a_remedy_exists():
    wrong = [
        f"{place}: {flag} in {text!r}"
        for place, text, _ in REMEDIES
        for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)
        if flag not in OPTIONS | OTHER_PROGRAMS
    ]
    assert not wrong, "\n".join(wrong)


def test_values_within_commands_are_quoted():
    wrong = []
    for place, text, values in [*REMEDIES, *(each for each in ALL if any(commands(each[1])))]:
        command = re.search(
            rf"(?:^|[:\n;] ?|or |then )(?:{PROGRAMS}) |--[a-z-]+[ =]['\"]?VALUE", text
        )
        if command is not None and VALUE in text:
            before = text[: command.start()].count(VALUE)
            wrong += [f"{place}: {value}" for value in values[before:] if not is_safe(value)]
    assert not wrong, "\n".join(sorted(set(wrong)))


def test_no_remedy_removes_a_file():
    wrong = [
        f"{place}: {text}" for place, text, _ in REMEDIES if re.search(r"\brm\b|\bnan\b", text)
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("command", "sound"),
    [
        ("edgeseg train DATA --name x", True),
        ("edgeseg train DATA --btach 3", False),
        ("edgeseg export 'a b", False),
        ("edgeseg build-engine VALUE --precision", False),
    ],
)
def test_a_wrong_command_is_found(command, sound):
    assert (problem(command) is None) == sound


def test_a_value_without_quotes_is_found():
    assert is_safe("quoted(path)") and is_safe("files.quoted(a / b)") and is_safe("config.runtime")
    assert not is_safe("path") and not is_safe("run.name") and not is_safe("str(path)")
