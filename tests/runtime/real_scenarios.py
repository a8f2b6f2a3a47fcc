"""edgeseg's code on NVIDIA's own TensorRT, over the simulated driver; a process each (cudasim)."""

from pathlib import Path
from tempfile import TemporaryDirectory

from edgeseg.config import BuildConfig, GpuConfig
from edgeseg.engine.tensorrt import _build
from edgeseg.errors import EdgesegError
from edgeseg.runtime import tensorrt as trt
from edgeseg.runtime.tensorrt_backend import TrtBackend
from tests.engine.test_tensorrt import small_model
from tests.kit.real_tensorrt import RTX, module_of
from tests.runtime.tensorrt_scenarios import card_of
from tools.cudasim import simulator


def error_of(version, work, driver):
    """Open or build an engine where the driver supports another CUDA; return the error."""
    simulator.driver_version(driver)
    version = module_of(version).__version__ if version != RTX else version
    runtime = "tensorrt-rtx" if version == RTX else "tensorrt"
    try:
        {"open": _open, "build": _make}[work](runtime, version)
    except EdgesegError as error:
        return [type(error).__name__, error.code, error.problem, error.remedy]
    return None


def _open(runtime, version):
    card = card_of(runtime, version)
    with TemporaryDirectory() as folder:
        path = Path(folder) / card.file
        path.write_bytes(b"a plan" * 100)
        TrtBackend.open(path, card, gpu=GpuConfig()).close()


def _make(runtime, version):
    config = BuildConfig(precision="fp32", runtime=runtime)
    _build(trt.load(runtime), small_model(), config, "sm86", [])
