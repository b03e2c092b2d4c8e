"""The counters of time that a GPU was slowed for heat or by its supply: which of NVML's fields they are, by driver.

NVML's numbers for them have moved: nvidia-ml-py 12.575 and 13.580.65 say 251 to 253, and 13.580.82 and all that came
after it 269 to 271. What the other number means to a driver is power smoothing, a setting that stands still: taken for
a counter, it would say that nothing was ever slowed. So the number follows the driver, whatever bindings are installed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import pynvml

from gpuaccept.check import Reading, Unavailable
from gpuaccept.device.nvidia.calls import Nvml
from gpuaccept.device.nvidia.discovery import Gpu

_CALL = "nvmlDeviceGetFieldValues"
_VERSION = re.compile(r"(\d+)\.(\d+)")
_FIRST, _LAST_OF_OLD, _FIRST_OF_NEW = (575, 0), (580, 65), (580, 82)
"""Drivers: the first that counts, and those between which the numbers moved. Of what lies between, nothing is known."""
_OLD, _NEW = (251, 252, 253), (269, 270, 271)


class Slowdowns(NamedTuple):
    """ns by software for heat, by hardware for heat, by hardware for the supply's brake."""

    software: Reading
    thermal: Reading
    brake: Reading


def fields_of(driver: str) -> tuple[int, ...] | str:
    """The fields of the three counters in a driver's numbering, or why they can't be asked for."""
    match = _VERSION.match(driver)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    if version >= _FIRST_OF_NEW:
        return _NEW
    if _FIRST <= version <= _LAST_OF_OLD:
        return _OLD
    return "not in this driver" if match and version < _FIRST else f"the numbering of driver {driver[:40]} is not known"


class SlowdownFields:
    """What to ask NVML for together with other fields, and what the answer means."""

    def __init__(self, nvml: Nvml, gpu: Gpu) -> None:
        driver = nvml.read(gpu.index, "nvmlSystemGetDriverVersion")
        fields = driver.reason if isinstance(driver, Unavailable) else fields_of(str(driver))
        self._why = fields if isinstance(fields, str) else ""
        # slowdown by software has an older name, which all drivers know (nvml.h, nvmlDeviceGetViolationStatus)
        self.wanted = (*(fields if not isinstance(fields, str) else ()), pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL)

    def read(self, values: tuple[Reading, ...]) -> Slowdowns:
        """From the values of the fields `wanted`."""
        *newer, older = values
        missing = Unavailable(_CALL, 0, self._why)
        software, thermal, brake = newer or (missing, missing, missing)
        return Slowdowns(older if isinstance(software, Unavailable) else software, thermal, brake)
