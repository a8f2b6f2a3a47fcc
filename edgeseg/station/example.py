"""Writes a commented station file for the cameras and the engine that this machine has."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import EdgesegError, MissingExtra, WriteError
from edgeseg.files import cannot_write, quoted, shown

TEXT = """\
# An inspection station of edgeseg. Check it:  edgeseg station check {file}
# Run it:                                     edgeseg station {file}

[station]
name = "station-1"
folder = "station"            # journal, evidence and state, beside this file

[[recipe]]                    # what judges a part; the first one is used at the start
name = "default"
model = {model}
# image_threshold = 1.0       # [default: the model's]
# rule = "area:200"           # score, region, area:200 or count:3 [default: the model's]

{cameras}
[[output]]                    # every verdict, in order; see the documentation for mqtt, opcua, ...
kind = "jsonl"
path = "verdicts.jsonl"

[evidence]                    # frames that are kept: all that are not good, and some others
quota_gb = 10
good_share = 0.001

[page]
address = "127.0.0.1:8765"    # other hosts than this one need the token that the station prints
"""
NO_MODEL = """\
no engine was found: name a run, an ONNX file or an engine as the model, or build one first:
edgeseg build-engine"""
CAMERA = """\
[[camera]]
name = "{name}"
source = {source:<21}# as for: edgeseg stream --camera or --source
mode = "live"                 # live: newest frame; file: every frame; triggered: one per trigger
"""


@dataclass(frozen=True)
class ExampleReport:
    """What was written."""

    file: Path
    cameras: tuple[str, ...]
    has_model: bool = True

    def summary(self) -> str:
        """Return what to do next."""
        found = ", ".join(self.cameras)
        model = "" if self.has_model else f"{NO_MODEL}\n"
        return (
            f"wrote {shown(self.file)}, with cameras: {found}\n{model}"
            f"next: edgeseg station check {quoted(self.file)}, then edgeseg station "
            f"{quoted(self.file)}"
        )

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return {"file": str(self.file), "cameras": list(self.cameras)}


def write_example(file: Path) -> ExampleReport:
    """Write a station's file; an existing one is not replaced (WriteError)."""
    from edgeseg.loading import find_engine

    sources = (*map(str, _cameras()), *_industrial()) or ("test://640x480@30",)
    has_model = True
    try:
        model = _beside(find_engine(None).resolve(), file)
    except EdgesegError:
        has_model, model = False, "engines/NAME-int8-openvino-cpu.onnx"
    cameras = "\n".join(
        CAMERA.format(name=f"camera-{place}", source=f'"{source}" ')
        for place, source in enumerate(sources)
    )
    quoted_model = json.dumps(model, ensure_ascii=False)  # as TOML has it
    text = TEXT.format(file=shown(file), model=quoted_model, cameras=cameras)
    try:
        with file.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise WriteError(
            f"{shown(file)} exists (expected a new file).",
            remedy=f"edgeseg station init {quoted(file.with_name(f'new-{file.name}'))}",
            code="write/exists",
        ) from error
    except OSError as error:
        raise cannot_write(file, error) from error
    return ExampleReport(file, sources, has_model)


def _beside(model: Path, file: Path) -> str:
    """Return a model as a station's file names it: a project may move with its engines."""
    folder = file.resolve().parent
    return str(model.relative_to(folder) if model.is_relative_to(folder) else model)


def _cameras() -> list[int]:
    """Return the numbers of the local cameras."""
    found = sorted(Path("/dev").glob("video*"))
    return [int(path.name[5:]) for path in found if path.name[5:].isdecimal()]


def _industrial() -> list[str]:
    """Return the addresses of industrial cameras; none without Aravis."""
    from edgeseg.stream.source.genicam.address import SCHEME
    from edgeseg.stream.source.genicam.device import find_cameras, load_aravis

    try:
        return [f"{SCHEME}://{each.serial}" for each in find_cameras(load_aravis())]
    except MissingExtra:
        return []
