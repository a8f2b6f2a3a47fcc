"""The program: the options that every command has, its report, its errors and exit codes.

Exit codes: 0 done; 2 usage, input or environment error; 3 a gate failed; 130 interrupted; 1 a
mistake of edgeseg itself. Reports are written to standard output, everything else to standard
error. With `--json` the last line of standard output is one JSON document, also of an error.
"""

import inspect
import json
import logging
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Annotated, Any, Protocol

import typer

from edgeseg import __version__
from edgeseg.addresses import scrub
from edgeseg.cli.failures import REPORT, as_error
from edgeseg.cli.help import HelpCommand, HelpGroup
from edgeseg.closing import leave
from edgeseg.console import STDERR, prepare, printable, write_report
from edgeseg.errors import EdgesegError, Interrupted, WriteError
from edgeseg.interrupt import stop_at_once
from edgeseg.log import install_handler, log, warned
from edgeseg.schema import without_nan

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
    """The result of a command.

    `store`, where there is one, writes it to files after it was printed; `check` raises why it is
    not good enough.
    """

    def summary(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


def command(panel: str) -> Callable[[Callable[..., Report]], Callable[..., None]]:
    """Register a function that returns a report as a command, in a panel of `edgeseg --help`."""

    def register(function: Callable[..., Report]) -> Callable[..., None]:
        @wraps(function)
        def run(*, as_json: bool, quiet: bool, verbose: bool, **values: Any) -> None:
            level = logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO
            install_handler(level, machine_readable=as_json)
            try:
                with stop_at_once():
                    report = function(**values)
            except KeyboardInterrupt as error:  # Typer would end the process without a word
                raise Interrupted("interrupted", remedy="run the command again") from error
            failed = _failure(report)
            try:
                write_report(report.summary())
                if as_json:
                    document = report.to_json() | ({"error": failed.to_json()} if failed else {})
                    document |= {"model_warnings": warned()} if warned() else {}
                    write_report(json.dumps(without_nan(document)))
            finally:  # what cannot be shown is stored all the same
                getattr(report, "store", lambda: None)()
            if failed:
                raise typer.Exit(_tell(failed))

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


def program() -> None:
    """Be the program: `main`, and the end of its process."""
    try:
        main()
    except SystemExit as ended:
        leave(ended.code if isinstance(ended.code, int) else bool(ended.code))


def main() -> None:
    """Run a command; an error of the user or the system becomes two lines and an exit code."""
    prepare()
    install_handler(logging.INFO)
    try:
        sys.exit(app(prog_name="edgeseg", standalone_mode=False) or 0)
    except (Exception, KeyboardInterrupt) as raised:
        error = as_error(raised)
        if error is None or log.isEnabledFor(logging.DEBUG):
            STDERR.write(printable(scrub(traceback.format_exc(), sys.argv)))
        if error is None:
            STDERR.write(f"{REPORT}\n")
            sys.exit(1)
        error.problem, error.remedy = (scrub(t, sys.argv) for t in (error.problem, error.remedy))
        if "--json" in sys.argv:
            with suppress(WriteError):
                write_report(json.dumps({"error": error.to_json()}))
        sys.exit(_tell(error))


def _failure(report: Report) -> EdgesegError | None:
    """Return why the result of a command is not good enough, if it is not."""
    try:
        getattr(report, "check", lambda: None)()
    except EdgesegError as error:
        return error
    return None


def _tell(error: EdgesegError) -> int:
    """Write an error to standard error; return its exit code."""
    STDERR.write(printable(f"error: {error.problem} [{error.code}]\n  fix: {error.remedy}\n"))
    return error.exit_code


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
