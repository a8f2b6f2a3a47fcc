"""A command's flags from a dataclass: `@takes(TrainConfig)` gives it one flag for each field.

    @app.command()
    @takes(TrainConfig)
    def train(data: Path, config: TrainConfig) -> None: ...

`--help` shows the fields' own sentences and defaults; a flag that is not given leaves the value to
`--config FILE` (TOML), and that to the default.
"""

import dataclasses
import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from edgeseg.settings import make

Command = Callable[..., Any]


def takes(kind: type[Any]) -> Callable[[Command], Command]:
    """Replace the command's parameter `config` by one option for each field of `kind`."""

    def decorate(command: Command) -> Command:
        fields = dataclasses.fields(kind)
        types = get_type_hints(kind)
        signature = inspect.signature(command)
        own = [p for p in signature.parameters.values() if p.name != "config"]
        added = [_file(kind), *(_flag(f, types[f.name]) for f in fields)]

        @wraps(command)
        def run(**values: Any) -> Any:
            given = {f.name: values.pop(f.name) for f in fields}
            config = make(kind, given, values.pop("config_file"))
            return command(config=config, **values)

        keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
        parameters = [*keyword, *added]
        run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__  # or Typer reads the command's own
        return run

    return decorate


def _file(kind: type[Any]) -> inspect.Parameter:
    help_text = f"TOML file with settings by name ({kind.__name__}); flags override it"
    return _parameter("config_file", Path | None, typer.Option("--config", help=help_text))


def _flag(field: "dataclasses.Field[Any]", kind: Any) -> inspect.Parameter:
    flag = "--" + field.name.replace("_", "-")
    names = [f"{flag}/--no-{field.name.replace('_', '-')}"] if kind is bool else [flag]
    shown = False if field.default is None else str(field.default)
    option = typer.Option(*names, help=field.metadata["help"], show_default=shown)
    return _parameter(field.name, kind | None, option)


def _parameter(name: str, kind: Any, option: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, option]
    )
