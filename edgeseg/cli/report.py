"""The command for the person who decides: report."""

from pathlib import Path
from typing import Annotated

from edgeseg.cli.app import Report, command
from edgeseg.cli.flags import option
from edgeseg.cli.help import GROUPS
from edgeseg.cli.models import ModelArgument, Runtime, Threads

PANEL = GROUPS[1]


@command(PANEL)
def report(
    model: ModelArgument = None,
    data: Annotated[
        Path | None,
        option("Labeled images [default: the newest stored evaluation of the model]", "DIR"),
    ] = None,
    out: Annotated[
        Path | None, option("HTML file [default: report.html in the run directory]", "FILE")
    ] = None,
    pdf: Annotated[bool, option("Write a PDF beside it", None, "--pdf")] = False,
    benchmark: Annotated[
        Path | None, option("Output of edgeseg benchmark --json, for the latency", "FILE")
    ] = None,
    runtime: Runtime = None,
    threads: Threads = None,
) -> Report:
    """Write what is known about a model for the person who decides, as one HTML file."""
    from edgeseg.loading import find_model
    from edgeseg.report.report import Inputs
    from edgeseg.report.report import report as make_report

    inputs = Inputs(model=find_model(model), data=data, benchmark=benchmark, out=out, pdf=pdf)
    return make_report(inputs, runtime=runtime, threads=threads)
