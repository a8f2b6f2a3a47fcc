"""CUDA C to machine code through NVRTC, for the kernels of `edgeseg doctor --gpu`."""

from typing import Any

from edgeseg.errors import CudaError, MissingExtra
from edgeseg.packages.extras import require

NVRTC = "cuda.bindings.nvrtc"
GET_NVRTC = "pip install 'cuda-toolkit[nvrtc]', or 'cuda-toolkit[nvrtc]==12.*' for GPUs before 7.5"


def machine_code(source: bytes, capability: str) -> bytes:
    """Compile for a compute capability (`8.7`); no GPU is needed.

    MissingExtra without NVRTC, CudaError where it refuses the source or the capability.
    """
    nvrtc = require(NVRTC, extra="tensorrt")

    def call(function: str, *arguments: Any) -> Any:
        try:
            code, *values = getattr(nvrtc, function)(*arguments)
        except RuntimeError as error:  # the binding is there and the library is not
            raise MissingExtra(f"NVRTC is unavailable: {error}", remedy=GET_NVRTC) from error
        if code:
            text = log(program) if function == "nvrtcCompileProgram" else ""
            raise CudaError(
                f"{function} failed with {getattr(code, 'name', code)}{text} "
                f"(compute capability {capability}).",
                remedy=GET_NVRTC,
            )
        return values[0] if values else None

    def log(program: Any) -> str:
        text: bytes = b" " * call("nvrtcGetProgramLogSize", program)
        call("nvrtcGetProgramLog", program, text)
        return ": " + text.decode(errors="replace").strip("\0 \n")

    options = [f"--gpu-architecture=sm_{capability.replace('.', '')}".encode()]
    program = call("nvrtcCreateProgram", source, b"kernels.cu", 0, [], [])
    call("nvrtcCompileProgram", program, len(options), options)
    code: bytes = b" " * call("nvrtcGetCUBINSize", program)
    call("nvrtcGetCUBIN", program, code)
    return code
