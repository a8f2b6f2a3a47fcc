"""Help screens in plain text: panels of options, and brackets printed as they are.

Typer draws panels only with Rich, whose markup removes [brackets] and whose import takes a third of
the time of `edgeseg --help`.
"""

from typing import Any

from typer.core import TyperCommand, TyperGroup

GROUPS = ("Start", "Train and evaluate", "Deploy", "Run")
"""The panels of `edgeseg --help`, in their order."""
OTHER = "Output and help"
LEFT = 26  # characters of the left column at most; a longer name has its text on the next line


def _rows(command: Any, context: Any) -> dict[str, list[tuple[str, str]]]:
    """Return panel -> rows of (name, text), in the order of the declaration."""
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        is_argument = parameter.param_type_name == "argument"
        panel = getattr(parameter, "rich_help_panel", None) or OTHER
        name = _argument(parameter, context) if is_argument else _name(parameter)
        panels.setdefault("Arguments" if is_argument else panel, []).append((name, parameter.help))
    return panels


def _argument(argument: Any, context: Any) -> str:
    return str(argument.metavar or argument.make_metavar(context))


def _name(option: Any) -> str:
    """Return `-q, --quiet`, `--[no-]window` or `--batch N`."""
    if option.secondary_opts:
        return f"--[no-]{option.opts[0].removeprefix('--')}"
    names = ", ".join(sorted(option.opts, key=len))
    return f"{names} {option.metavar}" if option.metavar else names


def _write(formatter: Any, panels: dict[str, list[tuple[str, str]]]) -> None:
    rest = panels.pop(OTHER, [])
    for title, rows in [*panels.items(), (OTHER, rest)]:
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows, col_max=LEFT)


class HelpCommand(TyperCommand):
    """A command whose help has panels."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the panels: arguments, common options, other panels, output."""
        _write(formatter, _rows(self, ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return `[OPTIONS] [MODEL] DATA`, with the metavar of each argument as it is written."""
        arguments = [p for p in self.params if p.param_type_name == "argument"]
        return ["[OPTIONS]", *(_argument(p, ctx) for p in arguments)]


class HelpGroup(TyperGroup):
    """The program, whose help has a panel for each group of commands."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands by panel, then the options."""
        panels: dict[str, list[tuple[str, str]]] = {title: [] for title in GROUPS}
        for name, command in self.commands.items():
            rows = panels[getattr(command, "rich_help_panel", "")]
            rows.append((name, command.get_short_help_str(limit=100)))
        _write(formatter, panels | _rows(self, ctx))
