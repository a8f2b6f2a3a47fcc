"""Writes a run, a graph or an engine into the model repository of a Triton server."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeseg.config import ExportConfig
from edgeseg.data.frames import load_frames
from edgeseg.errors import ConfigError
from edgeseg.files import check_outputs, check_room, check_writable, shown
from edgeseg.log import log
from edgeseg.serving.config import ServingConfig
from edgeseg.serving.repository import (
    model_folder,
    new_version,
    next_version,
    serve,
    write_warmup,
)
from edgeseg.serving.servable import SHELL, Servable, servable_of
from edgeseg.serving.triton_config import Served, batches, config_text, tensors

if TYPE_CHECKING:
    from edgeseg.exporter.export import Exported

TRITON = "triton"
WARMUP_FRAMES = 3
SPARE = 1 << 20  # bytes beside the model and the frames: configuration, OpenVINO's XML


@dataclass(frozen=True)
class ServedVersion:
    """A version of a model in a repository."""

    folder: Path
    version: int
    servable: Servable
    exported: "Exported | None"
    """Of a run: its graph."""

    def summary(self) -> str:
        """Return where the version is and how a running server loads it, as text."""
        card = self.servable.card
        n, (height, width) = card.frame_shape[0], card.frame_size
        needs = f"; the server needs {self.servable.needs}" if self.servable.needs else ""
        lines = [
            *([self.exported.summary()] if self.exported else []),
            f"{self.folder / str(self.version)}: {n} x {width} x {height} {card.frame_format}, "
            f"backend {self.servable.backend}{needs}",
            "a server with --model-control-mode=explicit loads it by:",
            f"  curl -X POST http://127.0.0.1:8000/v2/repository/models/{self.servable.name}/load",
        ]
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the folder, the version, the backend and the hash of the model's file."""
        facts = {
            "folder": str(self.folder),
            "version": self.version,
            "name": self.servable.name,
        }
        facts |= {"backend": self.servable.backend, "sha256": self.servable.sha256}
        return facts | ({"exported": self.exported.to_json()} if self.exported else {})


def export_to_server(
    model: Path, config: ServingConfig, server: str, repository: Path, *, data: Path | None = None
) -> ServedVersion:
    """Add a version of a model to a repository and let it be served; a run is exported first.

    model: a run, an ONNX file or an engine. server: `triton`. data: a folder of images, for the
    frames of the warm-up and of a run's parity check; None: synthetic frames.
    Errors: those of an export; ModelError (`serving/...`), ConfigError, EngineMismatch, WriteError.
    """
    if server != TRITON:
        raise ConfigError(
            f"invalid server: '{server}' (expected {TRITON})",
            remedy="edgeseg export --to triton DIR",
            code="config/not-a-choice",
        )
    exported = None
    check_writable(repository)
    if model.is_dir():
        _refuse_delay(config, config.batch)
        from edgeseg.exporter.export import export_run

        exported = export_run(model, config, data=data)
        servable = servable_of(exported.graph, config.backend)
    else:
        _refuse_export_settings(config)
        servable = servable_of(model, config.backend)
        _refuse_delay(config, servable.card.frame_shape[0])
    check_outputs({"--to triton": repository / servable.name}, [servable.path])
    frames = load_frames(servable.card, data).pixels
    _say_special(servable, repository)
    with model_folder(repository, servable.name) as folder:
        number = next_version(folder, tensors(servable))
        files = _warmup(servable, frames, number)
        *warmup, threshold = files
        served = Served(
            model=servable,
            version=number,
            config=config,
            warmup=tuple(warmup),
            threshold_file=threshold,
        )
        text = config_text(served)
        check_room(
            folder,
            int(1.05 * servable.path.stat().st_size) + sum(map(len, files.values())) + SPARE,
            "the version needs",
            remedy="delete versions that no server loads, or choose another disk",
            code="write/full",
        )
        write_warmup(folder, files)
        with new_version(folder, number, text, tensors(servable)) as part:
            servable.write(part)
        serve(folder, text)
    return ServedVersion(folder, number, servable, exported)


def refuse_serving_settings(config: ServingConfig) -> None:
    """ConfigError for a setting of a server where nothing is written for one."""
    own = {each.name for each in fields(ServingConfig)} - {
        each.name for each in fields(ExportConfig)
    }
    if given := _given(config, own):
        raise ConfigError(
            f"{given} is a setting of a model in a server",
            remedy="edgeseg export --to triton DIR",
            code="config/no-server",
        )


def _refuse_export_settings(config: ServingConfig) -> None:
    if given := _given(config, {each.name for each in fields(ExportConfig)}):
        raise ConfigError(
            f"{given} is a setting of an export, and the model is exported already",
            remedy="name the run: edgeseg export RUN --to triton DIR",
            code="config/exported",
        )


def _refuse_delay(config: ServingConfig, frames: int) -> None:
    if config.queue_delay_ms and not (config.backend == "python" and frames > 1):
        raise ConfigError(
            "queue_delay_ms is given, and no requests wait for each other (expected frames N > 1 "
            "and the Python backend)",
            remedy="remove --queue-delay-ms, or: edgeseg export RUN --to triton DIR "
            "--backend python --batch 4",
            code="config/no-batching",
        )


def _say_special(servable: Servable, repository: Path) -> None:
    if servable.name != servable.card.name:
        log.warning(
            f"{shown(servable.card.name)} is {servable.name} in the server: Triton's addresses "
            "have letters, digits and _ - . ~ only"
        )
    if servable.backend == "python" and SHELL.search(str(repository)):
        log.warning(
            f"Triton's Python backend starts no model below {shown(repository)}: the path has a "
            "space, or a character that is special to a shell"
        )


def _given(config: ServingConfig, names: set[str]) -> str:
    """Return the first of the settings that is not the default, as a flag."""
    default = ServingConfig()
    found = sorted(name for name in names if getattr(config, name) != getattr(default, name))
    return f"--{found[0].replace('_', '-')}" if found else ""


def _warmup(servable: Servable, frames: np.ndarray[Any, Any], number: int) -> dict[str, bytes]:
    """Return the raw files of the warm-up, the threshold's last."""
    card = servable.card
    count = 1 if batches(servable) else card.frame_shape[0]
    files = {}
    for k in range(min(WARMUP_FRAMES, len(frames))):
        batch = [frames[(k * count + n) % len(frames)] for n in range(count)]
        files[f"{number}-{k}.raw"] = np.stack(batch).tobytes()
    return files | {f"{number}-threshold.raw": np.float32(card.threshold).tobytes()}
