"""A child process of `gpuaccept doctor`: asks NVML and CUDA, names each call before it, prints what it found as JSON.

Run as `python -m gpuaccept.device.nvidia.probe`: lines `call NAME`, then one line `found {...}`. The parent kills it
where a call hangs, and knows which.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

import msgspec

from gpuaccept.check import DeviceError, Unavailable

_LIBRARIES = ("libnvidia-ml.so.1", "libcuda.so.1")


class ProbedGpu(msgspec.Struct, frozen=True, kw_only=True):
    """What doctor looks at on one GPU, in NVML's order. Empty text or None: could not be read."""

    name: str
    persistence_mode: str
    mig_mode: str
    processes: int | None
    fabric_state: str


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What NVML and CUDA answered. An error text is empty where the call succeeded."""

    stub: bool
    libraries_missing: tuple[str, ...]
    nvrtc_version: str
    """Empty where the compiler of the kernels can't be loaded."""
    nvml_error: str
    nvml_driver_version: str
    cuda_error: str
    cuda_version: int
    cuda_gpus: int
    gpus: tuple[ProbedGpu, ...]
    lost: int
    """GPUs that NVML counts and can't open."""


def main() -> None:
    """Print calls and findings."""

    def announce(_: int | None, call: str) -> None:
        print(f"call {call}", flush=True)

    found = probe(announce)
    print(f"found {msgspec.json.encode(found).decode()}", flush=True)
    os._exit(0)  # a driver's exit handlers may hang


def probe(announce: Any) -> Probed:
    """Ask both libraries. `announce` is a pulse."""
    from gpuaccept.device.nvidia.loaded import is_stub

    missing = tuple(name for name in _LIBRARIES if not _loads(name))
    nvml_error, version, gpus, lost = _probe_nvml(announce)
    cuda_error, cuda_version, cuda_gpus = _probe_cuda(announce)
    return Probed(
        stub=is_stub(()),
        libraries_missing=missing,
        nvrtc_version=_nvrtc_version(),
        nvml_error=nvml_error,
        nvml_driver_version=version,
        cuda_error=cuda_error,
        cuda_version=cuda_version,
        cuda_gpus=cuda_gpus,
        gpus=gpus,
        lost=lost,
    )


def _probe_nvml(announce: Any) -> tuple[str, str, tuple[ProbedGpu, ...], int]:
    from gpuaccept.device.nvidia.calls import Nvml

    nvml = Nvml(announce)
    gpus: list[ProbedGpu] = []
    lost = 0
    try:
        nvml.call(None, "nvmlInit")
        version = str(nvml.call(None, "nvmlSystemGetDriverVersion"))
        for number in range(nvml.call(None, "nvmlDeviceGetCount")):
            try:
                gpus.append(_probe_gpu(nvml, number))
            except DeviceError:
                lost += 1
    except DeviceError as error:
        return str(error), "", tuple(gpus), lost
    return "", version, tuple(gpus), lost


def _probe_gpu(nvml: Any, number: int) -> ProbedGpu:
    from gpuaccept.device.nvidia import telemetry
    from gpuaccept.device.nvidia.discovery import Gpu

    handle = nvml.call(number, "nvmlDeviceGetHandleByIndex", number)
    gpu = Gpu(number, handle, None, "", "", "", "")
    settings = telemetry.settings(nvml, gpu)
    processes = nvml.read(number, "nvmlDeviceGetComputeRunningProcesses", handle, convert=len)
    return ProbedGpu(
        name=str(nvml.call(number, "nvmlDeviceGetName", handle)),
        persistence_mode=_word(settings.persistence_mode),
        mig_mode=_word(settings.mig_mode),
        processes=processes if isinstance(processes, int) else None,
        fabric_state=_word(telemetry.fabric(nvml, gpu).state),
    )


def _probe_cuda(announce: Any) -> tuple[str, int, int]:
    from gpuaccept.device.nvidia.calls import Cuda

    os.environ["CUDA_PYTHON_DISABLE_MAJOR_VERSION_WARNING"] = "1"
    try:
        cuda = Cuda(announce)
        cuda.call(None, "cuInit", 0)
        return "", cuda.call(None, "cuDriverGetVersion"), cuda.call(None, "cuDeviceGetCount")
    except (DeviceError, ImportError) as error:
        return str(error), 0, 0


def _nvrtc_version() -> str:
    try:
        from cuda.bindings import nvrtc

        code, major, minor = nvrtc.nvrtcVersion()
    except (ImportError, RuntimeError):
        return ""
    return f"{major}.{minor}" if code == 0 else ""


def _loads(soname: str) -> bool:
    try:
        ctypes.CDLL(soname)
    except OSError:
        return False
    return True


def _word(value: Any) -> str:
    return "" if isinstance(value, Unavailable) else str(value)


if __name__ == "__main__":
    main()
