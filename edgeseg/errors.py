"""Everything that can go wrong in the user's world, as one tree.

    EdgesegError            exit code 2: `error:` what was found and expected, `fix:` what to type
    +-- ConfigError         a setting that makes no sense
    +-- DataError           a missing, empty or corrupt image, mask or folder
    +-- MissingExtra        an optional package that is not installed
    +-- MissingWeights      pretrained weights that cannot be had
    +-- ModelError          a run, graph or card that cannot be read
    +-- EngineMismatch      an engine built for another machine, version or graph
    +-- BuildError          a graph that a runtime refuses to build
    +-- CudaError           a GPU or its driver that refuses a call
    +-- SourceError         a camera, video or folder that delivers no frames
    +-- WriteError          a file that the disk or its rights do not let us write
    +-- SinkError           a video, file or window that takes no results
    +-- Interrupted         exit code 130: the user stopped the work; what was done is kept
    +-- GateFailed          exit code 3: the work was done and its result is not good enough

Our own mistakes are ordinary Python exceptions and end with a trace and exit code 1.
"""


class EdgesegError(Exception):
    """What went wrong and what to do; the CLI prints both and exits with `exit_code`."""

    exit_code = 2

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(f"{problem}\n  fix: {remedy}")
        self.problem = problem
        self.remedy = remedy


class ConfigError(EdgesegError):
    """A setting that makes no sense."""


class DataError(EdgesegError):
    """A missing, empty or corrupt image, mask or folder."""


class MissingExtra(EdgesegError):
    """An optional package that is not installed."""


class MissingWeights(EdgesegError):
    """Pretrained weights that cannot be had."""


class ModelError(EdgesegError):
    """A run, graph or card that cannot be read."""


class EngineMismatch(EdgesegError):
    """An engine built for another machine, version or graph."""


class BuildError(EdgesegError):
    """A graph that a runtime refuses to build."""


class CudaError(EdgesegError):
    """A GPU or its driver that refuses a call."""


class SourceError(EdgesegError):
    """A camera, video or folder that delivers no frames."""


class WriteError(EdgesegError):
    """A file that the disk or its rights do not let us write."""


class SinkError(EdgesegError):
    """A video, file or window that takes no results."""


class Interrupted(EdgesegError):
    """The user stopped the work; what was done is kept."""

    exit_code = 130  # what a shell reports for Ctrl-C


class GateFailed(EdgesegError):
    """The work was done and its result is not good enough (accuracy, parity, deadline)."""

    exit_code = 3
