"""Settings of `edgeseg push` and `edgeseg pull`."""

from dataclasses import dataclass
from pathlib import Path

from edgeseg.config import Precision, RuntimeName
from edgeseg.fleet.access import RegistryAccess
from edgeseg.settings import Settings, setting


@dataclass(frozen=True, kw_only=True)
class RegistryConfig(Settings):
    """How a registry is reached."""

    user: str | None = setting(None, "User of the registry [default: that of docker login]")
    password_file: Path | None = setting(None, "File that has the password")
    password_env: str | None = setting(None, "Environment variable that has the password")
    ca: Path | None = setting(
        None, "PEM file of the authority of the registry's certificate [default: the system's]"
    )
    plain_http: bool = setting(False, "Allow http beyond this machine, without any protection")
    timeout: float = setting(20.0, "Seconds for an answer", low=0.1, high=3600.0)
    retry: float = setting(
        30.0, "Seconds in which a request that failed is sent again", low=0.0, high=3600.0
    )

    def access(self) -> RegistryAccess:
        """Return it in the form that the client takes."""
        return RegistryAccess(
            user=self.user or "",
            password_file=str(self.password_file or ""),
            password_env=self.password_env or "",
            ca=str(self.ca or ""),
            plain_http=self.plain_http,
            timeout_s=self.timeout,
            patience_s=self.retry,
        )


@dataclass(frozen=True, kw_only=True)
class PushConfig(RegistryConfig):
    """What goes with a model."""

    calibration: Path | None = setting(
        None, "Calibration file of the graph [default: calibration/NAME.ranges.json]"
    )
    sign: Path | None = setting(None, "PEM file of the Ed25519 key that signs it")


@dataclass(frozen=True, kw_only=True)
class PullConfig(RegistryConfig):
    """Where a model goes, and with which engine."""

    to: Path | None = setting(None, "Folder, new or of this model [default: models/NAME-DIGEST]")
    precision: Precision = setting("fp16", "Precision of the engine")
    runtime: RuntimeName | None = setting(None, "Runtime [default: the best one installed]")
    device: int = setting(0, "GPU, by CUDA's number", low=0, high=63)
    build: bool = setting(False, "Build the engine here if none fits this machine")
    push: bool = setting(False, "Push the engine that was built, for others of its class")
    key: Path | None = setting(None, "PEM file of the public key that has signed it")
