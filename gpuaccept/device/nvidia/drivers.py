"""Opens the two driver libraries, or says in one sentence why that can't be done."""

from __future__ import annotations

from collections.abc import Callable

import pynvml

from gpuaccept.check import DeviceError, DeviceUnavailable, Pulse
from gpuaccept.device.nvidia.calls import Cuda, Nvml

_OLDEST_CUDA = 12080
"""The first driver with every entry point that the CUDA 13 bindings use here (cuEventElapsedTime_v2)."""
_SYSTEM_NOT_READY = 802
_NO_DEVICE = 100


def open_nvml(pulse: Pulse) -> Nvml:
    """NVML, initialised. Raises DeviceUnavailable, one sentence and a remedy."""
    nvml = Nvml(pulse)
    try:
        nvml.call(None, "nvmlInit")
    except DeviceError as error:
        if error.code == pynvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            raise DeviceUnavailable(
                "no NVIDIA driver on this machine (libnvidia-ml.so.1 not found)",
                "install the driver, or try a simulated node: --device mock:hgx-b200",
            ) from None
        if error.code == pynvml.NVML_ERROR_NO_PERMISSION:
            raise DeviceUnavailable(
                f"no permission for the GPUs: {error.call} returned {error.code} ({error.name})",
                "run as root, or as a member of the group that owns /dev/nvidia*",
            ) from None
        raise DeviceUnavailable(
            f"the NVIDIA driver does not answer: {error.call} returned {error.code} ({error.name})",
            "load the driver (modprobe nvidia), or run `gpuaccept doctor` to see what is missing",
        ) from None
    return nvml


def open_cuda(pulse: Pulse, hidden: Callable[[], str]) -> Cuda:
    """CUDA, initialised. Raises DeviceUnavailable, one sentence and a remedy.

    `hidden` is asked where CUDA finds no GPU: what it answers, if anything, is why none can be used with it; all else
    can be measured.
    """
    cuda = Cuda(pulse)
    try:
        cuda.call(None, "cuInit", 0)
        version = cuda.call(None, "cuDriverGetVersion")
    except DeviceError as error:
        if error.code == _NO_DEVICE and (why := hidden()):
            return Cuda(pulse, why)
        raise _cuda_unavailable(error) from None
    if version < _OLDEST_CUDA:
        raise DeviceUnavailable(
            f"the driver supports CUDA {version // 1000}.{version % 1000 // 10}; 12.8 or newer is needed",
            "install driver 570 or newer",
        )
    return cuda


def _cuda_unavailable(error: DeviceError) -> DeviceUnavailable:
    if error.code == _SYSTEM_NOT_READY:
        return DeviceUnavailable(
            f"the GPUs are not ready: cuInit returned {error.code} ({error.name}), as without a fabric manager",
            "start it (systemctl start nvidia-fabricmanager), wait until it has configured the switches, run again",
        )
    if error.code == _NO_DEVICE:
        return DeviceUnavailable(
            f"CUDA finds no GPU on this machine: cuInit returned {error.code} ({error.name})",
            "run `gpuaccept doctor`",
        )
    if error.name == "not in this driver":
        return DeviceUnavailable(
            "no NVIDIA compute driver on this machine (libcuda.so.1 not found, or too old)",
            "install the driver's compute libraries (libnvidia-compute, driver 570 or newer)",
        )
    return DeviceUnavailable(
        f"CUDA can't be used: {error.call} returned {error.code} ({error.name})", "run `gpuaccept doctor`"
    )
