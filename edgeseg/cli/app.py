"""The program: the options that every command has, its report, its errors and exit codes.

Exit codes: 0 done; 2 usage, input or environment error; 3 a gate failed; 1 internal error.
Reports are written to standard output, everything else to standard error. With `--json` the last
line of standard output is one JSON document.
"""

import inspect
import json
import logging
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, Protocol

import typer

from edgeseg import __version__
from edgeseg.cli.help import HelpCommand, HelpGroup
from edgeseg.console import STDERR, prepare, printable, write_report
from edgeseg.errors import EdgesegError
from edgeseg.log import install_handler, log
from edgeseg.opencv import failed_import

UsageError = typer.BadParameter.__base__  # of the click that this Typer brings or requires
assert UsageError is not None

app = typer.Typer(
    cls=HelpGroup,
    rich_markup_mode=None,  # markup would take [brackets] in help texts for tags
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

Json = Annotated[
    bool, typer.Option("--json", help="Print the report as JSON on the last line of output.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print debug messages, and tracebacks of errors.")
]
OUTPUT = {"as_json": Json, "quiet": Quiet, "verbose": Verbose}


class Report(Protocol):
    """The result of a command; `check`, where there is one, raises GateFailed."""

    def summary(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


def command(panel: str) -> Callable[[Callable[..., Report]], Callable[..., None]]:
    """Register a function that returns a report as a command, in a panel of `edgeseg --help`."""

    def register(function: Callable[..., Report]) -> Callable[..., None]:
        @wraps(function)
        def run(*, as_json: bool, quiet: bool, verbose: bool, **values: Any) -> None:
            level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
            install_handler(level, machine_readable=as_json)
            report = function(**values)
            write_report(report.summary())
            if as_json:
                write_report(json.dumps(report.to_json()))
            if check := getattr(report, "check", None):
                check()

        signature = inspect.signature(function)
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [p.replace(kind=keyword) for p in signature.parameters.values()]
        parameters += [
            inspect.Parameter(name, keyword, default=False, annotation=annotation)
            for name, annotation in OUTPUT.items()
        ]
        run.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=parameters, return_annotation=None
        )
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        del run.__wrapped__  # Typer reads the signature above
        app.command(rich_help_panel=panel, cls=HelpCommand)(run)
        return run

    return register


def main() -> None:
    """Run a command; an error of the user becomes two lines and an exit code."""
    prepare()
    install_handler(logging.INFO)
    try:
        sys.exit(app(prog_name="edgeseg", standalone_mode=False) or 0)
    except EdgesegError as error:
        if log.isEnabledFor(logging.DEBUG):
            traceback.print_exc(file=STDERR)
        _fail(error.problem, error.remedy, error.code, error.exit_code)
    except UsageError as error:  # type: ignore[misc]
        place = error.ctx.command_path if error.ctx else "edgeseg"
        problem = error.format_message().replace("Value error, ", "")  # of Typer 0.29
        _fail(problem, f"{place} --help", "usage", 2)
    except ImportError as error:
        missing = failed_import(error)
        if missing is None:
            raise
        _fail(missing.problem, missing.remedy, missing.code, missing.exit_code)


def _fail(problem: str, remedy: str, code: str, exit_code: int) -> None:
    STDERR.write(printable(f"error: {problem} [{code}]\n  fix: {remedy}\n"))
    sys.exit(exit_code)


def _version(wanted: bool) -> None:
    if wanted:
        write_report(f"edgeseg {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def edgeseg(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """From photos of good parts to a defect mask for every camera frame."""
    if context.invoked_subcommand is None:
        write_report(context.get_help())
