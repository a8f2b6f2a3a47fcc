"""What an output knows of a station, without one."""

from edgeseg.station.outputs.base import OutputContext


def make_context(folder, *, commands=None, cameras=("top",), recipes=("plates",)):
    """Return a context whose commands are appended to a list."""
    return OutputContext(
        station="test",
        device="bench",
        folder=folder,
        base=folder,
        cameras=cameras,
        recipes=recipes,
        command=(commands if commands is not None else []).append,
    )
