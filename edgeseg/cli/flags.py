"""The flags of a command from a settings class: `@takes(TrainConfig)` adds one per field.

    @command("Train")
    @takes(TrainConfig)
    def train(data: Data, config: TrainConfig) -> Report: ...

`--help` shows the help texts and defaults of the fields, in their panels. Flags override the file
of `--config FILE` (TOML), which overrides the defaults.
"""

import dataclasses
import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from typer.models import OptionInfo

from edgeseg.settings import given, make

Command = Callable[..., Any]
COMMON = "Options"
METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def takes(kind: type[Any]) -> Callable[[Command], Command]:
    """Replace the parameter `config` of a command by one option for each field of `kind`.

    A parameter `given` in its place receives the given settings alone, as a dictionary.
    Order: arguments, common settings, the command's own options, settings by panel.
    """
    panels = {
        name: title
        for title, names in getattr(kind, "PANELS", {}).items()
        for name in names.split()
    }

    def decorate(command: Command) -> Command:
        fields = dataclasses.fields(kind)
        hints = get_type_hints(kind)
        signature = inspect.signature(command)
        taken = "given" if "given" in signature.parameters else "config"
        build = given if taken == "given" else make
        own = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for p in signature.parameters.values()
            if p.name != taken
        ]
        flags = {f.name: _flag(f, hints[f.name], panels.get(f.name, COMMON)) for f in fields}

        @wraps(command)
        def run(**values: Any) -> Any:
            words = {name: values.pop(name) for name in flags}
            values[taken] = build(kind, words, values.pop("config_file"))
            return command(**values)

        parameters = [
            *(p for p in own if not _is_option(p)),
            *(flag for name, flag in flags.items() if name not in panels),
            *(p for p in own if _is_option(p)),
            _parameter("config_file", Path | None, CONFIG),
            *(flags[name] for name in panels),
        ]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__  # Typer reads the signature above
        return run

    return decorate


def option(help: str, metavar: str | None = None, *names: str, min: float | None = None) -> Any:
    """Declare an option of a command in the common panel; the help text names the default."""
    return typer.Option(
        *names, help=help, metavar=metavar, min=min, show_default=False, rich_help_panel=COMMON
    )


CONFIG = option("TOML file of settings; flags override it", "FILE", "--config")


def _is_option(parameter: inspect.Parameter) -> bool:
    return any(isinstance(each, OptionInfo) for each in get_args(parameter.annotation))


def _flag(field: "dataclasses.Field[Any]", hint: Any, panel: str) -> inspect.Parameter:
    kind = next(each for each in (*get_args(hint), hint) if each is not type(None))
    kind = hint if get_origin(hint) is Literal else kind
    name, text, default = field.name.replace("_", "-"), field.metadata["help"], field.default
    if default is not None:
        shown = ("yes" if default else "no") if kind is bool else f"{default}"
        text = f"{text} [default: {shown}]"
    flag = typer.Option(
        f"--{name}/--no-{name}" if kind is bool else f"--{name}",
        help=text,
        metavar="|".join(get_args(kind)) if get_origin(kind) is Literal else METAVARS.get(kind),
        show_default=False,
        rich_help_panel=panel,
    )
    return _parameter(field.name, hint | None, flag)


def _parameter(name: str, kind: Any, flag: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, flag]
    )
