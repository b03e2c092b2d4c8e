"""A child process of `gpuaccept doctor`: asks NVML and CUDA, names each call before it, prints what it found as JSON.

Run as `python -m gpuaccept.device.nvidia.probe [ROOT]`, where /dev, /proc and /sys lie below ROOT: lines `call NAME`,
then one line `found {...}`. The parent kills it where a call hangs, and knows which.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from gpuaccept.check import DeviceError, Unavailable

_NODE = re.compile(r"^nvidia(\d+|ctl|-uvm)$")
_LIBRARIES = ("libnvidia-ml.so.1", "libcuda.so.1")


class ProbedGpu(msgspec.Struct, frozen=True, kw_only=True):
    """What doctor looks at on one GPU, in NVML's order. Empty text or None: could not be read."""

    name: str
    persistence_mode: str
    mig_mode: str
    cc_mode: str
    architecture: str
    """`sm_NN`."""
    processes: tuple[str, ...] | None
    """`4711 (python3)` for each compute process."""
    processes_unknown: str
    """Why they could not be told."""
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
    nodes_refused: tuple[str, ...]
    """Device nodes that are there and that the kernel does not let this process open, as a container's cgroup does."""
    uncompiled: tuple[str, ...]
    """Architectures of these GPUs for which no compiled kernels are shipped: they need NVRTC."""


def main() -> None:
    """Print calls and findings."""

    def announce(_: int | None, call: str) -> None:
        print(f"call {call}", flush=True)

    found = probe(announce, Path(sys.argv[1] if len(sys.argv) > 1 else "/"))
    print(f"found {msgspec.json.encode(found).decode()}", flush=True)
    os._exit(0)  # a driver's exit handlers may hang


def probe(announce: Any, root: Path) -> Probed:
    """Ask both libraries. `announce` is a pulse."""
    from gpuaccept.device.nvidia.loaded import is_stub

    missing = tuple(name for name in _LIBRARIES if not _loads(name))
    refused = refused_nodes(root / "dev", announce)
    nvml_error, version, gpus, lost = _probe_nvml(announce, root)
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
        nodes_refused=refused,
        uncompiled=_uncompiled(gpus),
    )


def refused_nodes(
    folder: Path, announce: Any, opener: Callable[[Path, int], int] = os.open, closer: Callable[[int], None] = os.close
) -> tuple[str, ...]:
    """Names of the device nodes whose opening is not permitted. Modes alone don't tell: a cgroup refuses root, too."""
    refused = []
    for node in device_nodes(folder):
        announce(None, f"open {node}")
        try:
            closer(opener(folder / node, os.O_RDWR | os.O_CLOEXEC))
        except PermissionError:
            refused.append(node)
        except OSError:
            continue  # no such device: the driver says why
    return tuple(refused)


def device_nodes(folder: Path) -> tuple[str, ...]:
    """Names of the driver's device nodes in /dev that a run needs: nvidiactl, nvidia-uvm, one a GPU."""
    return tuple(sorted(entry.name for entry in folder.glob("nvidia*") if _NODE.match(entry.name)))


def _probe_nvml(announce: Any, root: Path) -> tuple[str, str, tuple[ProbedGpu, ...], int]:
    from gpuaccept.device.nvidia.calls import Nvml

    nvml = Nvml(announce)
    gpus: list[ProbedGpu] = []
    lost = 0
    try:
        nvml.call(None, "nvmlInit")
        version = str(nvml.call(None, "nvmlSystemGetDriverVersion"))
        for number in range(nvml.call(None, "nvmlDeviceGetCount")):
            try:
                gpus.append(_probe_gpu(nvml, number, root))
            except DeviceError:
                lost += 1
    except DeviceError as error:
        return str(error), "", tuple(gpus), lost
    return "", version, tuple(gpus), lost


def _probe_gpu(nvml: Any, number: int, root: Path) -> ProbedGpu:
    from gpuaccept.device.nvidia import telemetry
    from gpuaccept.device.nvidia.discovery import Gpu
    from gpuaccept.device.nvidia.processes import compute_processes
    from gpuaccept.device.nvidia.programs import Programs

    handle = nvml.call(number, "nvmlDeviceGetHandleByIndex", number)
    gpu = Gpu(number, handle, None, "", "", "", "")
    settings = telemetry.settings(nvml, gpu)
    processes = compute_processes(nvml, gpu, Programs(root))
    unknown = processes.reason if isinstance(processes, Unavailable) else ""
    return ProbedGpu(
        name=str(nvml.call(number, "nvmlDeviceGetName", handle)),
        persistence_mode=_word(settings.persistence_mode),
        mig_mode=_word(settings.mig_mode),
        cc_mode=_word(settings.cc_mode),
        architecture=_word(nvml.read(number, "nvmlDeviceGetCudaComputeCapability", handle, convert=_architecture)),
        processes=None
        if isinstance(processes, Unavailable)
        else tuple(f"{one.pid} ({one.name or 'of another user'})" for one in processes),
        processes_unknown=unknown,
        fabric_state=_word(telemetry.fabric(nvml, gpu).state),
    )


def _architecture(capability: Any) -> str:
    major, minor = capability
    return f"sm_{major}{minor}"


def _uncompiled(gpus: tuple[ProbedGpu, ...]) -> tuple[str, ...]:
    from gpuaccept.device.nvidia.cubins import is_shipped
    from gpuaccept.device.nvidia.kernels import files_of

    wanted = sorted({gpu.architecture for gpu in gpus} - {""})
    return tuple(one for one in wanted if not all(is_shipped(file, one) for file in files_of(one)))


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
