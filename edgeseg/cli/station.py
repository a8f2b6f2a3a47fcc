"""The command about a station on the line."""

from pathlib import Path
from typing import Annotated

from edgeseg.cli.app import Report, command
from edgeseg.cli.help import GROUPS
from edgeseg.cli.models import argument
from edgeseg.errors import ConfigError

PANEL = GROUPS[3]
FILE = Path("station.toml")
WHAT = ("init", "check")


@command(PANEL)
def station(
    words: Annotated[
        list[Path] | None,
        argument("[init|check] [FILE]", "Write an example, or try everything; then the file"),
    ] = None,
) -> Report:
    """Inspect parts on a line: cameras, recipes, journal, outputs, page."""
    from edgeseg.station.supervisor import run_station

    given = list(words or [])
    what = str(given.pop(0)) if given and str(given[0]) in WHAT else ""
    file = given.pop(0) if given else FILE
    if given:
        raise ConfigError(
            f"too many arguments: {given[0]} (expected a file, or init or check and a file)",
            remedy="edgeseg station station.toml",
            code="config/too-many",
        )
    if what == "init":
        from edgeseg.station.example import write_example

        return write_example(file)
    if what == "check":
        from edgeseg.station.check import check_station

        return check_station(file)
    return run_station(file)
