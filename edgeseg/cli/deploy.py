"""The commands from a run to an engine: export, calibrate, build-engine, verify, inspect."""

from pathlib import Path
from typing import Annotated

from edgeseg.cards import ENGINES
from edgeseg.cli.app import Report, command
from edgeseg.cli.flags import option, takes
from edgeseg.cli.help import GROUPS
from edgeseg.cli.models import (
    DeviceNumber,
    GraphArgument,
    MaybeData,
    ModelArgument,
    RunArgument,
    SourceGraph,
    Threads,
    argument,
    split,
)
from edgeseg.config import BuildConfig, CalibrateConfig, GpuConfig, VerifyConfig
from edgeseg.machine.threads import limit_threads
from edgeseg.serving.config import ServingConfig

PANEL = GROUPS[2]
CALIBRATION = Path("calibration")
_SIDE = "Run directory or name, ONNX file or engine"


@command(PANEL)
@takes(ServingConfig)
def export(
    config: ServingConfig,
    model: RunArgument = None,
    data: Annotated[
        Path | None,
        option(
            "Training data, for the frames of the parity check and of a server's warm-up", "DIR"
        ),
    ] = None,
    to: Annotated[
        tuple[str, Path] | None,
        option("Add a version to the model repository of a Triton server", "triton DIR"),
    ] = None,
    threads: Threads = None,
) -> Report:
    """Export a run as one ONNX graph, camera bytes to mask bytes, or to a server."""
    from edgeseg.api import run_of
    from edgeseg.loading import find_model
    from edgeseg.serving.export import export_to_server, refuse_serving_settings

    limit_threads(threads)
    if to is not None:
        return export_to_server(find_model(model), config, *to, data=data)
    refuse_serving_settings(config)
    path = run_of(model)
    from edgeseg.exporter.export import export_run  # loads torch: after the path is known

    return export_run(path, config, data=data)


@command(PANEL)
@takes(CalibrateConfig)
def calibrate(
    config: CalibrateConfig,
    model: GraphArgument = None,
    data: MaybeData = None,
    out: Annotated[Path, option("Folder for the file [default: calibration]", "DIR")] = CALIBRATION,
    threads: Threads = None,
) -> Report:
    """Measure the calibration ranges that INT8 needs."""
    from edgeseg.api import graph_of
    from edgeseg.data.layouts import open_dataset
    from edgeseg.quantize.calibrate import calibrate as run_calibration

    limit_threads(threads)
    named, images = split("calibrate", model, data)
    open_dataset(images)  # before a run is exported
    return run_calibration(graph_of(named), images, config, out=out)


@command(PANEL)
@takes(BuildConfig)
def build_engine(
    config: BuildConfig,
    model: GraphArgument = None,
    out: Annotated[Path, option("Folder for engine and card [default: engines]", "DIR")] = ENGINES,
    threads: Threads = None,
) -> Report:
    """Build an engine for this machine or another GPU."""
    from edgeseg.api import graph_of
    from edgeseg.data.layouts import open_dataset
    from edgeseg.engine.build_engine import build_engine as run_build

    limit_threads(threads)
    if config.data is not None and config.precision != "fp32":  # for the accuracy gate
        open_dataset(config.data)  # before a run is exported
    return run_build(graph_of(model, config), config, out=out)


@command(PANEL)
@takes(VerifyConfig)
def verify(
    model_a: Annotated[Path, argument("MODEL_A", _SIDE)],
    model_b: Annotated[Path, argument("MODEL_B", _SIDE)],
    config: VerifyConfig,
    device: DeviceNumber = 0,
    threads: Threads = None,
) -> Report:
    """Compare two models on the same frames. Exit code 3 beyond a limit."""
    from edgeseg.accuracy.verify import verify as run_verification
    from edgeseg.loading import find_model

    limit_threads(threads)
    gpu = GpuConfig(device=device)
    return run_verification(find_model(model_a), find_model(model_b), config, gpu=gpu)


@command(PANEL)
def inspect(model: ModelArgument = None, graph: SourceGraph = None) -> Report:
    """Show MACs and parameters per module of the network."""
    from edgeseg.exporter.inspect import inspect_model
    from edgeseg.loading import find_model

    return inspect_model(find_model(model), graph=graph)
