"""Errors of usage, input and environment, as one tree.

    EdgesegError            exit code 2: `error:` what was found and expected, `fix:` what to type
    +-- ConfigError         config/...   an invalid setting
    +-- DataError           data/...     a missing, empty or corrupt image, mask or folder
    +-- MissingExtra        extra/...    an optional package that is not installed
    +-- MissingWeights      weights/...  pretrained weights that are unavailable
    +-- ModelError          model/...    a run, graph or card that cannot be read
    +-- EngineMismatch      engine/...   an engine built for another machine, version or graph
    +-- BuildError          build/...    a graph that a runtime cannot build
    +-- CudaError           cuda/...     a failed call of the CUDA driver
    +-- SourceError         source/...   a camera, video or folder that delivers no frames
    +-- RegistryError       registry/... a registry that cannot be used, or wrong content of it
    +-- WriteError          write/...    a file that cannot be written
    +-- SinkError           sink/...     a video, file or window that cannot take results
    +-- Interrupted         exit code 130: stopped by the user; finished work is kept
    +-- GateFailed          exit code 3: the work was done and its result is not good enough

Internal errors are ordinary Python exceptions and end with a traceback and exit code 1.
"""

from functools import partial
from typing import Any


class EdgesegError(Exception):
    """What went wrong and how to fix it; the CLI prints both and exits with `exit_code`.

    problem: what was found and what was expected; remedy: what to type or change.
    code: a stable identifier, `engine/other-gpu`, for programs that handle errors.
    """

    exit_code = 2
    default_code = "internal/unspecified"

    def __init__(self, problem: str, *, remedy: str, code: str | None = None) -> None:
        super().__init__(f"{problem}\n  fix: {remedy}")
        self.problem = problem
        self.remedy = remedy
        self.code = code or self.default_code

    def to_json(self) -> dict[str, str]:
        """Return the error as one JSON object."""
        return {"code": self.code, "problem": self.problem, "remedy": self.remedy}

    def __reduce__(self) -> tuple[Any, ...]:
        """Survive the way from a worker process, which pickles the error."""
        return partial(type(self), remedy=self.remedy, code=self.code), (self.problem,)


class ConfigError(EdgesegError):
    """An invalid setting."""

    default_code = "config/invalid"


class DataError(EdgesegError):
    """A missing, empty or corrupt image, mask or folder."""

    default_code = "data/invalid"


class MissingExtra(EdgesegError):
    """An optional package that is not installed."""

    default_code = "extra/missing"


class MissingWeights(EdgesegError):
    """Pretrained weights that are unavailable."""

    default_code = "weights/missing"


class ModelError(EdgesegError):
    """A run, graph or card that cannot be read."""

    default_code = "model/invalid"


class EngineMismatch(EdgesegError):
    """An engine built for another machine, version or graph."""

    default_code = "engine/mismatch"


class BuildError(EdgesegError):
    """A graph that a runtime cannot build."""

    default_code = "build/failed"


class CudaError(EdgesegError):
    """A failed call of the CUDA driver."""

    default_code = "cuda/failed"


class SourceError(EdgesegError):
    """A camera, video or folder that delivers no frames."""

    default_code = "source/unavailable"


class RegistryError(EdgesegError):
    """A registry of models that cannot be used, or content that is not what was asked for."""

    default_code = "registry/failed"


class WriteError(EdgesegError):
    """A file that cannot be written."""

    default_code = "write/failed"


class SinkError(EdgesegError):
    """A video, file or window that cannot take results."""

    default_code = "sink/failed"


class Interrupted(EdgesegError):
    """Stopped by the user; finished work is kept."""

    exit_code = 130  # what a shell reports for Ctrl-C
    default_code = "interrupted"


class GateFailed(EdgesegError):
    """The work was done and its result is not good enough (accuracy, parity, deadline)."""

    exit_code = 3
    default_code = "gate/failed"
