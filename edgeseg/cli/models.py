"""The positional arguments MODEL and DATA, and the options of every opened model.

MODEL is a run directory, an ONNX file or an engine, or the name of a run or an engine; default: the
newest. Where a command has `[MODEL] DATA` and one argument is given, it is DATA.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from edgeseg.cards import CARD, ENGINES, RUNS
from edgeseg.cli.flags import option
from edgeseg.errors import ConfigError
from edgeseg.files import quoted

GRAPHS = (".onnx", ".engine", ".json")


def argument(metavar: str, help: str) -> Any:
    """Declare a positional argument as it is written in the usage line."""
    return typer.Argument(metavar=metavar, help=help)


IMAGES = "Images of good parts: a folder, or good/ [bad/ masks/], or MVTec AD layout"
MaybeData = Annotated[Path | None, argument("DATA", IMAGES)]
RunArgument = Annotated[
    Path | None,
    argument(
        "[MODEL]",
        "Run directory or name; with --to also an ONNX file or an engine [default: the newest run]",
    ),
]
GraphArgument = Annotated[
    Path | None, argument("[MODEL]", "Run directory or name, or ONNX file [default: newest run]")
]
ModelArgument = Annotated[
    Path | None,
    argument("[MODEL]", "Run directory or name, ONNX file or engine [default: newest run]"),
]
EngineArgument = Annotated[
    Path | None,
    argument("[MODEL]", "Engine, ONNX file, run directory or name [default: newest engine]"),
]
Runtime = Annotated[
    Literal["onnxruntime", "openvino"] | None,
    option("Runtime of an ONNX file [default: onnxruntime]", "onnxruntime|openvino"),
]
DeviceNumber = Annotated[
    int, option("GPU by CUDA's number; edgeseg doctor lists them [default: 0]", "N")
]
Threads = Annotated[int | None, option("CPU threads [default: all cores]", "N", min=1)]
Strict = Annotated[
    bool, option("Exit code 2 if an image is damaged [default: a warning]", None, "--strict")
]
SourceGraph = Annotated[
    Path | None, option("ONNX file that a TensorRT engine was built from", "PATH")
]


def split(command: str, first: Path | None, second: Path | None) -> tuple[Path | None, Path]:
    """Return (model, data) of `[MODEL] DATA`; ConfigError if DATA is missing."""
    if second is not None:
        return first, second
    is_folder = first is not None and first.is_dir() and not (first / CARD).is_file()
    if first is None or (is_model(first) and not is_folder):
        raise ConfigError(
            "missing DATA (expected a folder of images)",
            remedy=f"edgeseg {command} {'[MODEL]' if first is None else quoted(first)} DATA",
            code="config/no-data",
        )
    return None, first


def is_model(path: Path) -> bool:
    """Whether a path is a run, an ONNX file or an engine, or the name of a run or an engine."""
    runs = (path / CARD, RUNS / path / CARD)
    return path.suffix in GRAPHS or any(f.is_file() for f in (*runs, ENGINES / f"{path}.json"))
