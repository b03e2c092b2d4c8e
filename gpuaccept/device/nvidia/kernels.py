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
_KINDS = ("solid", "address", "random")
KERNELS: dict[str, tuple[str, ...]] = {
    "stream.cu": ("tile_bytes", "bw_read", "bw_write", "bw_copy", "bw_triad", "expected_sum", "verify", "hold"),
    "memtest.cu": (
        *(f"step_{was}_{to}" for was in _KINDS for to in _KINDS),
        *(f"{what}_{kind}" for what in ("check", "write") for kind in _KINDS),
        "retest",
    ),
    "soak.cu": ("soak_mma",),
}
"""The kernels that are used, by their file in checks/kernels."""
_HEADER = "common.cuh"


class Kernels:
    """The kernels of checks/kernels in one GPU's context. A file is loaded when it is first asked for, and never while a
    stream is held: loading code waits for everything that runs."""

    def __init__(self, cuda: Cuda, gpu: int, architecture: str, announce: Callable[[int | None, str], None]) -> None:
        self._cuda, self._gpu, self._architecture, self._announce = cuda, gpu, architecture, announce
        self._modules: dict[str, Any] = {}
        self.functions: dict[str, Any] = {}

    def load(self, file: str) -> None:
        """Make the functions of a file available, with the context current."""
        if file in self._modules:
            return
        self._announce(self._gpu, "nvrtcCompileProgram")
        try:
            cubin = compile_cubin(file, self._architecture)
        except DeviceError as error:
            raise DeviceError(error.call, error.code, error.name, self._gpu) from None
        module = self._cuda.call(self._gpu, "cuModuleLoadData", cubin)
        self._modules[file] = module
        for name in KERNELS[file]:
            self.functions[name] = self._cuda.call(self._gpu, "cuModuleGetFunction", module, name.encode())

    def close(self) -> None:
        """Unload the code."""
        while self._modules:
            self._cuda.call(self._gpu, "cuModuleUnload", self._modules.popitem()[1])


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
