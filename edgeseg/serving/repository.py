"""Triton's model repository: a folder for each model, and in it one for each version.

    DIR/bottle/config.pbtxt      names the version that is served; replaced last
    DIR/bottle/2/                model.onnx, model.plan or model.xml; config.pbtxt as it was written
                                 with this version; edgeseg.json, the types of its tensors
    DIR/bottle/warmup/2-0.raw    a frame that the server runs before it reports the model ready

A new version changes no file of an earlier one, so a server may run meanwhile. Its warm-up is
written first: a kill or a full disk leaves the old configuration, and hardly ever a version that no
configuration names.
"""

import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.files import PART, cannot_write, locked, shown, write_atomic
from edgeseg.schema import parse, read_text

CONFIG, VERSION_CARD, WARMUP = "config.pbtxt", "edgeseg.json", "warmup"
TensorSpec = tuple[str, tuple[int, ...], bool]
"""Type, dims, and whether a request may omit it."""
Tensors = Mapping[str, TensorSpec]


@contextmanager
def model_folder(repository: Path, name: str) -> Iterator[Path]:
    """Create and lock the folder of a model; remove what a killed export left in it.

    WriteError: it cannot be made. EdgesegError (`files/locked`): another export has it.
    """
    folder = repository / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error
    with locked(folder):
        for stale in folder.glob(f"{PART}*"):
            if stale.is_dir() and not stale.is_symlink():
                shutil.rmtree(stale, ignore_errors=True)
        yield folder


def next_version(folder: Path, wanted: Tensors) -> int:
    """Return the number of a new version, from 1.

    ModelError: `serving/foreign-model` where the folder is not edgeseg's, `serving/other-tensors`
    where clients of the last version could not use the new one.
    """
    numbers = sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())
    ours = [number for number in numbers if (folder / str(number) / VERSION_CARD).is_file()]
    if ours:
        _check_tensors(folder, ours[-1], wanted)
    elif any(not path.name.startswith(".") and path.name != WARMUP for path in folder.iterdir()):
        raise ModelError(
            f"{shown(folder)} has what edgeseg did not write there.",
            remedy="choose another folder for the repository",
            code="serving/foreign-model",
        )
    return numbers[-1] + 1 if numbers else 1


@contextmanager
def new_version(folder: Path, number: int, config: str, tensors: Tensors) -> Iterator[Path]:
    """Yield a folder for the model's files; it becomes the version if the block succeeds."""
    part = folder / f"{PART}{secrets.token_hex(8)}"
    try:
        part.mkdir()
        yield part
        (part / CONFIG).write_text(config, encoding="utf-8")
        card = json.dumps({"tensors": {name: list(each) for name, each in tensors.items()}})
        (part / VERSION_CARD).write_text(card + "\n", encoding="utf-8")
        for file in part.iterdir():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())
        part.rename(folder / str(number))
    except OSError as error:
        raise cannot_write(folder / str(number), error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_warmup(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the raw files of the warm-up."""
    for name, data in files.items():
        write_atomic(folder / WARMUP / name, data)


def serve(folder: Path, config: str) -> None:
    """Let servers use a version from the next load of the model on."""
    write_atomic(folder / CONFIG, config.encode())


def _check_tensors(folder: Path, number: int, wanted: Tensors) -> None:
    found = _read_tensors(folder / str(number) / VERSION_CARD)
    for name in sorted(found.keys() | wanted.keys()):
        before, after = found.get(name), wanted.get(name)
        if before is None or after is None or before[:2] != after[:2] or before[2] > after[2]:
            raise ModelError(
                f"version {number} in {shown(folder)} has {name} {_words(before)} (the new one: "
                f"{_words(after)}): its clients could not use the new one.",
                remedy="choose another folder for the repository, or export with the frames, "
                "format and backend of before",
                code="serving/other-tensors",
            )


def _read_tensors(path: Path) -> dict[str, TensorSpec]:
    try:
        found: dict[str, Any] = parse(read_text(path))["tensors"]
        return {
            name: (str(kind), tuple(map(int, dims)), bool(optional))
            for name, (kind, dims, optional) in found.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"cannot read {shown(path)}: {error}",
            remedy="choose another folder for the repository",
            code="serving/damaged-version",
        ) from error


def _words(tensor: TensorSpec | None) -> str:
    if tensor is None:
        return "nowhere"
    kind, dims, optional = tensor
    return f"{kind.removeprefix('TYPE_')} {list(dims)}{', optional' * optional}"
