"""The positional arguments MODEL and DATA, and the options of every opened model.

MODEL is a run directory, the name of a run, an ONNX file or an engine; default: the newest. Where a
command has `[MODEL] DATA` and one argument is given, it is DATA.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from edgeseg.cards import CARD
from edgeseg.cli.flags import option
from edgeseg.errors import ConfigError, ModelError

RUNS, ENGINES = Path("runs"), Path("engines")
GRAPHS = (".onnx", ".engine", ".json")

DATA_HELP = "Images: MVTec AD layout, or good/ [bad/ masks/]"
Data = Annotated[Path, typer.Argument(metavar="DATA", help=DATA_HELP)]
Model = Annotated[
    Path | None,
    typer.Argument(
        metavar="[MODEL]",
        help="Run directory or name, ONNX file or engine [default: the newest run]",
    ),
]
Graph = Annotated[
    Path | None,
    typer.Argument(
        metavar="[MODEL]", help="Run directory or name, or ONNX file [default: the newest run]"
    ),
]
Engine = Annotated[
    Path | None,
    typer.Argument(
        metavar="[MODEL]",
        help="Engine, ONNX file, run directory or name [default: the newest engine]",
    ),
]
Run = Annotated[
    Path | None,
    typer.Argument(metavar="[MODEL]", help="Run directory or name [default: the newest]"),
]
MaybeData = Annotated[Path | None, typer.Argument(metavar="DATA", help=DATA_HELP)]
Runtime = Annotated[
    Literal["onnxruntime", "openvino"] | None,
    option(
        "--runtime",
        help="Runtime of an ONNX file [default: onnxruntime]",
        metavar="onnxruntime|openvino",
    ),
]
Threads = Annotated[
    int | None,
    option("--threads", help="CPU threads [default: chosen by the runtime]", metavar="N", min=1),
]
Rate = Annotated[
    float,
    option(
        "--false-reject-rate",
        help="Target false-reject rate, 0..1",
        metavar="X",
        default="0.01",
    ),
]


def model_of(given: Path | None) -> Path:
    """Return the path of a model; None: the newest run."""
    from edgeseg.loading import find_model

    return find_model(given, RUNS)


def engine_of(given: Path | None) -> Path:
    """Return the path of a model; None: the newest engine that this machine can run."""
    from edgeseg.loading import find_engine

    return find_engine(given, ENGINES, RUNS)


def run_of(given: Path | None) -> Path:
    """Return a run directory; ModelError for an ONNX file or an engine."""
    path = model_of(given)
    if not path.is_dir():
        raise ModelError(
            f"not a run: {path} (expected a run directory or the name of a run)",
            remedy="name the run that the file was exported from, for example: runs/bottle",
            code="model/not-a-run",
        )
    return path


def split(command: str, first: Path | None, second: Path | None) -> tuple[Path | None, Path]:
    """Return (model, data) of `[MODEL] DATA`; ConfigError if DATA is missing."""
    if second is not None:
        return first, second
    if first is None or is_model(first):
        raise ConfigError(
            "missing DATA (expected a folder of images)",
            remedy=f"edgeseg {command} {first or '[MODEL]'} DATA",
            code="config/no-data",
        )
    return None, first


def is_model(path: Path) -> bool:
    """Whether a path is a run, an ONNX file or an engine, or the name of a run."""
    return path.suffix in GRAPHS or any(
        (folder / CARD).is_file() for folder in (path, *([] if path.exists() else [RUNS / path]))
    )
