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

from edgeseg.settings import COMMON, make

Command = Callable[..., Any]
METAVARS: dict[Any, str] = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


def takes(kind: type[Any]) -> Callable[[Command], Command]:
    """Replace the parameter `config` of a command by one option for each field of `kind`."""

    def decorate(command: Command) -> Command:
        fields = dataclasses.fields(kind)
        types = get_type_hints(kind)
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.name != "config"]
        flags: dict[str, list[inspect.Parameter]] = {
            panel: [] for panel in (COMMON, *(f.metadata["panel"] for f in fields))
        }
        for field in fields:
            flags[field.metadata["panel"]].append(_flag(field, types[field.name]))

        @wraps(command)
        def run(**values: Any) -> Any:
            given = {f.name: values.pop(f.name) for f in fields}
            config = make(kind, given, values.pop("config_file"))
            return command(config=config, **values)

        arguments = [p for p in own if _is_argument(p)]
        options = [p for p in own if not _is_argument(p)]
        common, others = flags.pop(COMMON), [p for panel in flags.values() for p in panel]
        parameters = [
            p.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for p in (*arguments, *common, *options, _file(), *others)
        ]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__  # Typer reads the signature above
        return run

    return decorate


def option(
    *names: str,
    help: str,
    metavar: str | None = None,
    default: str | None = None,
    min: float | None = None,
) -> Any:
    """Declare an option of a command in the common panel; `default` is shown as given."""
    if default is not None:
        help = f"{help} [default: {default}]"
    return typer.Option(
        *names, help=help, metavar=metavar, min=min, show_default=False, rich_help_panel=COMMON
    )


def _is_argument(parameter: inspect.Parameter) -> bool:
    return not any(isinstance(each, OptionInfo) for each in get_args(parameter.annotation))


def _file() -> inspect.Parameter:
    help_text = "TOML file of settings; flags override it"
    return _parameter(
        "config_file", Path | None, option("--config", help=help_text, metavar="FILE")
    )


def _flag(field: "dataclasses.Field[Any]", hint: Any) -> inspect.Parameter:
    kind = next(each for each in (*get_args(hint), hint) if each is not type(None))
    kind = hint if get_origin(hint) is Literal else kind
    dashed = field.name.replace("_", "-")
    text, default = field.metadata["help"], field.default
    if default is not None:
        shown = ("yes" if default else "no") if kind is bool else f"{default}"
        text = f"{text} [default: {shown}]"
    flag = typer.Option(
        f"--{dashed}/--no-{dashed}" if kind is bool else f"--{dashed}",
        help=text,
        metavar=_metavar(kind),
        show_default=False,
        rich_help_panel=field.metadata["panel"],
    )
    return _parameter(field.name, hint | None, flag)


def _metavar(kind: Any) -> str | None:
    return "|".join(get_args(kind)) if get_origin(kind) is Literal else METAVARS.get(kind)


def _parameter(name: str, kind: Any, flag: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, flag]
    )
