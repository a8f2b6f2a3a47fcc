"""The table [fleet] of a station's file: how models are fetched, and when one is used."""

from dataclasses import dataclass

from edgeseg.config import Precision
from edgeseg.schema import bounded


@dataclass(frozen=True, kw_only=True)
class FleetConfig:
    """For every recipe with `follow`."""

    poll_s: float = bounded(1, 86_400, default=60.0)
    """Seconds between two questions to the registry, a tenth more or less."""
    user: str = ""
    password_file: str = ""
    """Relative to the station's file, as are the other files."""
    password_env: str = ""
    ca: str = ""
    """PEM file of the authority of the registry's certificate [default: the system's]."""
    plain_http: bool = False
    """Whether http may be used where it is not this machine: without any protection."""
    key: str = ""
    """PEM file of a public key: models and engines that it has not signed are not used."""
    precision: Precision = "fp16"
    """Of the engine that is fetched, or built here."""
    push: bool = False
    """Whether an engine that was built here is pushed, for other devices of its class."""
    max_changed: float = bounded(0, 1, default=0.1)
    """Largest share of the verdicts on kept frames that a new model may change."""
    min_frames: int = bounded(0, 100_000, default=10)
    """Kept frames without which no new model is judged, and none is used."""
    newest: int = bounded(1, 100_000, default=500)
    """Kept frames that are judged: the newest, and all with a label."""
    trial_s: float = bounded(0, 3600, default=30.0)
    """Seconds of inspection after which a new model is kept."""
