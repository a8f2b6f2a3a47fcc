"""The commands about a station on the line: station, replay."""

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from edgeseg.cli.app import Report, command
from edgeseg.cli.flags import takes
from edgeseg.cli.help import GROUPS
from edgeseg.cli.models import DeviceNumber, EngineArgument, Runtime, Strict, Threads, argument
from edgeseg.config import ReplayConfig
from edgeseg.errors import ConfigError
from edgeseg.files import quoted, shown

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
    near = get_close_matches(str(file), WHAT, 1)
    if not what and near and not file.exists():
        raise ConfigError(
            f"not found: {shown(file)} (expected init, check or a station's file)",
            remedy=f"edgeseg station {near[0]}",
            code="station/no-file",
        )
    if what == "init":
        from edgeseg.station.example import write_example

        return write_example(file)
    if what == "check":
        from edgeseg.fleet.attempt import wanted_digest
        from edgeseg.station.check import check_station

        return check_station(file, wanted_digest)
    return run_station(file)


@command(PANEL)
@takes(ReplayConfig)
def replay(
    config: ReplayConfig,
    kept: Annotated[Path, argument("STATION", "Station file, or a folder of kept frames")],
    model: EngineArgument = None,
    strict: Strict = False,
    runtime: Runtime = None,
    device: DeviceNumber = 0,
    threads: Threads = None,
) -> Report:
    """Judge the kept frames of a station again, and list the verdicts that change."""
    if config.export is not None:
        from edgeseg.station.evidence.export import export_labeled

        if model is not None:
            raise ConfigError(
                "a model and --export: the frames are written with the masks of the station",
                remedy=f"edgeseg replay {quoted(kept)} --export {quoted(config.export)}",
                code="config/export-model",
            )
        return export_labeled(kept, config.export, recipe=config.recipe, strict=strict)
    from edgeseg.station.evidence.replay import replay as run_replay

    return run_replay(
        kept, model, config, runtime=runtime, threads=threads, device=device, strict=strict
    )
