"""The commands about this machine and this program: doctor, demo."""

from pathlib import Path
from typing import Annotated

from edgeseg.cli.app import Report, command
from edgeseg.cli.flags import option
from edgeseg.cli.help import GROUPS
from edgeseg.errors import ConfigError
from edgeseg.files import quoted

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
        bool,
        option("Run the checks of the GPU instead: three minutes, and builds", None, "--gpu"),
    ] = False,
    results: Annotated[
        Path | None, option("Write the results of --gpu to a new JSON file", "FILE")
    ] = None,
    graph: Annotated[
        Path | None,
        option("Exported graph for the engines of --gpu [default: PyTorch exports one]", "FILE"),
    ] = None,
) -> Report:
    """Show what this machine can run and what is missing."""
    if gpu:
        from edgeseg.gpu_check.run import check_gpu

        return check_gpu(results=results, graph=graph)
    if results is not None:
        raise _without_gpu("results", f"edgeseg doctor --gpu --results {quoted(results)}")
    if graph is not None:
        raise _without_gpu("graph", f"edgeseg doctor --gpu --graph {quoted(graph)}")
    if matrix:
        from edgeseg.machine.support_report import MatrixReport

        return MatrixReport()
    from edgeseg.doctor import examine

    return examine()


def _without_gpu(name: str, command: str) -> ConfigError:
    return ConfigError(
        f"{name} is given without --gpu, which alone uses it",
        remedy=command,
        code="config/conflict",
    )
