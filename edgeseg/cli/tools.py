"""The commands about this machine and this program: doctor, demo."""

from pathlib import Path
from typing import Annotated

from edgeseg.cli.app import Report, command
from edgeseg.cli.flags import option
from edgeseg.cli.help import GROUPS

PANEL = GROUPS[0]
DEMO = Path("edgeseg-demo")


@command(PANEL)
def demo(
    out: Annotated[Path, option("Folder for the results [default: edgeseg-demo]", "DIR")] = DEMO,
) -> Report:
    """Try everything on generated images; no data or GPU required."""
    from edgeseg.demo import demo as run_demo

    return run_demo(out)


@command(PANEL)
def doctor(
    matrix: Annotated[
        bool, option("Print the TensorRT, GPU and JetPack support matrix", None, "--matrix")
    ] = False,
    gpu: Annotated[
        bool, option("Run the checks of the GPU instead: three minutes", None, "--gpu")
    ] = False,
    results: Annotated[
        Path | None, option("Write the results of --gpu to a new JSON file", "FILE")
    ] = None,
) -> Report:
    """Show what this machine can run and what is missing."""
    if gpu:
        from edgeseg.gpu_check.run import check_gpu

        return check_gpu(results=results)
    if matrix:
        from edgeseg.machine.support_report import MatrixReport

        return MatrixReport()
    from edgeseg.doctor import examine

    return examine()
