"""Compiles checks/kernels/*.cu by NVRTC for the GPU at hand, once a process, and finds the kernels in the result."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from gpuaccept.bundled import bundled
from gpuaccept.check import DeviceError
from gpuaccept.device.nvidia.calls import Cuda

BLOCK = 256
"""Threads a block of every kernel that covers a buffer: their launch bound."""
_NAMES = ("tile_bytes", "bw_read", "bw_write", "bw_copy", "bw_triad", "expected_sum", "verify", "hold")
_HEADER = "common.cuh"


class Kernels:
    """The kernels of stream.cu, loaded into the current context."""

    def __init__(self, cuda: Cuda, gpu: int, architecture: str, announce: Callable[[int | None, str], None]) -> None:
        announce(gpu, "nvrtcCompileProgram")
        try:
            cubin = compile_cubin("stream.cu", architecture)
        except DeviceError as error:
            raise DeviceError(error.call, error.code, error.name, gpu) from None
        self._module = cuda.call(gpu, "cuModuleLoadData", cubin)
        self.functions: dict[str, Any] = {
            name: cuda.call(gpu, "cuModuleGetFunction", self._module, name.encode()) for name in _NAMES
        }


@functools.cache
def compile_cubin(source: str, architecture: str) -> bytes:
    """The CUBIN of a kernel file for `sm_NN`. Raises DeviceError with the compiler's words, or if NVRTC is absent."""
    try:
        from cuda.bindings import nvrtc

        return _compile(nvrtc, source, architecture)
    except (ImportError, RuntimeError):
        raise DeviceError("nvrtcCreateProgram", 0, "NVRTC is not installed: pip install 'gpuaccept[nvrtc]'") from None


def _compile(nvrtc: Any, source: str, architecture: str) -> bytes:
    folder = bundled("checks") / "kernels"
    code, header = (folder / source).read_bytes(), (folder / _HEADER).read_bytes()

    def checked(call: str, result: tuple[Any, ...]) -> Any:
        if result[0] != 0:
            raise DeviceError(call, int(result[0]), result[0].name)
        return result[1] if len(result) > 1 else None

    program = checked(
        "nvrtcCreateProgram",
        nvrtc.nvrtcCreateProgram(code, source.encode(), 1, [header], [_HEADER.encode()]),
    )
    options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17"]
    outcome = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if outcome[0] != 0:
        log = bytearray(checked("nvrtcGetProgramLogSize", nvrtc.nvrtcGetProgramLogSize(program)))
        nvrtc.nvrtcGetProgramLog(program, log)
        first = bytes(log).decode("utf-8", "replace").strip("\0\n ").split("\n", 1)[0][:200]
        raise DeviceError("nvrtcCompileProgram", int(outcome[0]), f"{outcome[0].name} for {architecture}: {first}")
    cubin = bytearray(checked("nvrtcGetCUBINSize", nvrtc.nvrtcGetCUBINSize(program)))
    checked("nvrtcGetCUBIN", nvrtc.nvrtcGetCUBIN(program, cubin))
    nvrtc.nvrtcDestroyProgram(program)
    return bytes(cubin)
