"""The margin of a GPU to the temperature at which it slows down: T.limit where NVML tells it, else worked out."""

from __future__ import annotations

import pynvml

from gpuaccept.check import Reading, Unavailable
from gpuaccept.device.nvidia.calls import Nvml
from gpuaccept.device.nvidia.discovery import Gpu

_CALL = "nvmlDeviceGetMarginTemperature"
_NOT_TOLD = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    }
)
"""A GPU before Ada, or a driver before CUDA 12.8: that stays so for the whole run."""
_THRESHOLDS = (pynvml.NVML_TEMPERATURE_THRESHOLD_GPU_MAX, pynvml.NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)
"""T.limit is the distance to the nearest of the two (nvml.h): 0 where clocks may fall below base, -2 or -3 where
hardware slows down. On an A100 they are at 85 and 89 °C."""
_SLOWDOWNS = (
    pynvml.NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT,
    pynvml.NVML_FI_DEV_TEMPERATURE_MEM_MAX_TLIMIT,
    pynvml.NVML_FI_DEV_TEMPERATURE_GPU_MAX_TLIMIT,
)
"""T.limit at which hardware slows down, at which software does for the memory's heat, and for the GPU's (nvml.h). -2, 0
and 0 on H200 and GB200: only where one is above 0 something is slowed down before T.limit has come to 0."""
_PLAUSIBLE_TLIMIT = range(1, 51)
"""K. More is an absolute temperature in the wrong field, and would turn every good margin into a bad one."""
_PLAUSIBLE_C = range(40, 151)
"""GPUs that tell T.limit have thresholds relative to it (-2), which this older call may hand on as it is."""


class Margins:
    """Reads the margins of GPUs. What stays the same for a GPU is read once: whether it tells its margin, and if not,
    its lower threshold; if it does, the highest T.limit at which anything is slowed down."""

    def __init__(self, nvml: Nvml) -> None:
        self._nvml = nvml
        self._thresholds: dict[int, int | Unavailable] = {}
        self._earliest: dict[int, int] = {}

    def read(self, gpu: Gpu, temperature: Reading) -> Reading:
        """Kelvin to slowdown, at this `temperature` of the GPU. Raises DeviceError where the GPU is gone."""
        if gpu.index not in self._thresholds:
            margin = self._nvml.read(gpu.index, _CALL, gpu.handle)
            if not isinstance(margin, Unavailable):
                return int(margin) - self._slows_down_at(gpu)
            if margin.code not in _NOT_TOLD:
                return margin
            self._thresholds[gpu.index] = self._threshold(gpu) or margin
        threshold = self._thresholds[gpu.index]
        if isinstance(threshold, Unavailable):
            return threshold
        return temperature if isinstance(temperature, Unavailable) else threshold - int(temperature)

    def _slows_down_at(self, gpu: Gpu) -> int:
        """The highest T.limit at which anything is slowed down; 0 where the driver tells none, or none above it."""
        if gpu.index not in self._earliest:
            told = self._nvml.fields(gpu.index, gpu.handle, [(field, 0) for field in _SLOWDOWNS])
            above = [int(one) for one in told if isinstance(one, int) and one in _PLAUSIBLE_TLIMIT]
            self._earliest[gpu.index] = max(above, default=0)
        return self._earliest[gpu.index]

    def _threshold(self, gpu: Gpu) -> int | None:
        """The lower one of those that are told."""
        told = [
            self._nvml.read(gpu.index, "nvmlDeviceGetTemperatureThreshold", gpu.handle, kind) for kind in _THRESHOLDS
        ]
        return min((one for one in told if isinstance(one, int) and one in _PLAUSIBLE_C), default=None)
