"""Settings of `edgeseg export --to triton DIR`, beside those of an export."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from edgeseg.config import ExportConfig
from edgeseg.settings import setting

BackendName = Literal["onnxruntime", "python"]


@dataclass(frozen=True, kw_only=True)
class ServingConfig(ExportConfig):
    """How a server runs a model, and the export of a run before that."""

    PANELS: ClassVar[dict[str, str]] = {
        **ExportConfig.PANELS,
        "Triton [with --to triton DIR]": "backend instances instance_threads queue_delay_ms",
    }

    backend: BackendName | None = setting(
        None,
        "What runs an ONNX graph in the server: onnxruntime, or python where the server has no "
        "such backend; engines have their own [default: onnxruntime]",
    )
    instances: int = setting(1, "Copies of the model that run side by side", low=1, high=64)
    instance_threads: int | None = setting(
        None, "CPU threads of an instance [default: all cores of the server]", low=1, high=4096
    )
    queue_delay_ms: float = setting(
        0.0,
        "How long a frame waits for others of its batch; of graphs with --batch, with --backend "
        "python",
        low=0.0,
        high=10_000.0,
    )
