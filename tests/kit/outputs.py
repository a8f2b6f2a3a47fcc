"""What an output knows of a station, without one."""

from edgeseg.station.config import OutputConfig
from edgeseg.station.outputs.base import OutputContext, StationState
from edgeseg.station.outputs.kinds import open_output


def make_context(
    folder, *, commands=None, cameras=("top",), recipes=("plates",), state=StationState
):
    """Return a context whose commands are appended to a list."""
    return OutputContext(
        station="test",
        device="bench",
        folder=folder,
        base=folder,
        cameras=cameras,
        recipes=recipes,
        command=(commands if commands is not None else []).append,
        state=state,
    )


def opened(context, kind, **settings):
    """Return an output that is not connected yet."""
    return open_output(OutputConfig(kind=kind, name=kind, settings=settings), context)
