"""The kernels of checks/kernels, loaded into one GPU's context."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from gpuaccept.check import DeviceError
from gpuaccept.data import KernelCode
from gpuaccept.device.nvidia.calls import Cuda
from gpuaccept.device.nvidia.cubins import code_for, is_shipped

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
    "soak_wide.cu": ("soak_wide",),
}
"""The kernels, by their file in checks/kernels."""
WIDE_CONFIRMED: frozenset[str] = frozenset()
"""Architectures of which a card has run soak_wide.cu and come to the host's integers (tests/nvidia/test_card_soak.py).
On all others it stays off, and soak.cu does its work; so it does where a driver can't load soak_wide.cu."""
_NOT_TAKEN = frozenset({200, 209, 218, 222})
"""CUDA_ERROR_INVALID_IMAGE, NO_BINARY_FOR_GPU, INVALID_PTX, UNSUPPORTED_PTX_VERSION: code that a driver can't read."""


def files_of(architecture: str) -> tuple[str, ...]:
    """The kernel files that a GPU of `sm_NN` may run."""
    return "stream.cu", "memtest.cu", "soak.cu", *(("soak_wide.cu",) if architecture in WIDE_CONFIRMED else ())


def is_lacking(error: DeviceError) -> bool:
    """Whether code can't be had or is none that this driver reads: no fault of the GPU's, and none of an installation
    that was damaged."""
    return error.call.startswith("nvrtc") or (error.call == "cuModuleLoadData" and error.code in _NOT_TAKEN)


class Kernels:
    """The kernels of checks/kernels in one GPU's context.

    A file is loaded when it is first asked for, and never while a stream is held: loading waits for all that runs.
    """

    def __init__(self, cuda: Cuda, gpu: int, architecture: str, announce: Callable[[int | None, str], None]) -> None:
        self._cuda, self._gpu, self._architecture, self._announce = cuda, gpu, architecture, announce
        self._modules: dict[str, Any] = {}
        self.functions: dict[str, Any] = {}

    def load(self, file: str) -> None:
        """Make the functions of a file available, with the context current."""
        if file in self._modules:
            return
        if not is_shipped(file, self._architecture):
            self._announce(self._gpu, "nvrtcCompileProgram")
        try:
            code = code_for(file, self._architecture)
            module = self._cuda.call(self._gpu, "cuModuleLoadData", code.cubin)
        except DeviceError as error:
            name = error.name
            if is_lacking(error) and error.code in _NOT_TAKEN:
                name += f": the driver does not load {file} for {code.facts.architecture}; driver 580 or newer does"
            raise DeviceError(error.call, error.code, name, self._gpu) from None
        self._modules[file] = module
        for name in KERNELS[file]:
            self.functions[name] = self._cuda.call(self._gpu, "cuModuleGetFunction", module, name.encode())

    def close(self) -> None:
        """Unload the code."""
        while self._modules:
            self._cuda.call(self._gpu, "cuModuleUnload", self._modules.popitem()[1])


def kernel_facts(
    compute_capabilities: Iterable[str | None], announce: Callable[[int | None, str], None]
) -> tuple[KernelCode, ...]:
    """The code that may run on GPUs of these compute capabilities (`10.0`). What can't be had is not in it."""
    facts = []
    for architecture in sorted({f"sm_{each.replace('.', '')}" for each in compute_capabilities if each}):
        for file in files_of(architecture):
            if not is_shipped(file, architecture):
                announce(None, "nvrtcCompileProgram")
            with suppress(DeviceError):
                facts.append(code_for(file, architecture).facts)
    return tuple(dict.fromkeys(facts))
