"""The commands that carry models to and from a registry: push, pull."""

from typing import Annotated

from edgeseg.cli.app import Report, command
from edgeseg.cli.flags import takes
from edgeseg.cli.help import GROUPS
from edgeseg.cli.models import argument
from edgeseg.fleet.config import PullConfig, PushConfig

PANEL = GROUPS[2]
_NAME = "REGISTRY/NAME:TAG, such as registry.example:5000/line/bottle:stable"


@command(PANEL)
@takes(PushConfig)
def push(
    config: PushConfig,
    first: Annotated[
        str,
        argument("[MODEL]", "Run, ONNX file, engine, or folder of a pull [default: newest run]"),
    ],
    second: Annotated[str | None, argument("REFERENCE", _NAME)] = None,
) -> Report:
    """Push a model to an OCI registry, or an engine of a model that is there."""
    from edgeseg.api import graph_of
    from edgeseg.fleet.artifact import DONE
    from edgeseg.fleet.push import push as run_push
    from edgeseg.loading import find_model
    from edgeseg.runtime.engine_pair import is_engine
    from edgeseg.station.following.reference import parse_reference

    model, reference = (first, second) if second is not None else (None, first)
    parse_reference(reference)  # before a run is exported
    path = find_model(model)
    as_it_is = is_engine(path) or (path / DONE).is_file()
    return run_push(path if as_it_is else graph_of(path), reference, config)


@command(PANEL)
@takes(PullConfig)
def pull(config: PullConfig, reference: Annotated[str, argument("REFERENCE", _NAME)]) -> Report:
    """Pull a model from an OCI registry, with the engine that fits this machine."""
    from edgeseg.fleet.pull import pull as run_pull

    return run_pull(reference, config)
