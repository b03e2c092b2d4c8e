"""Compute processes of others on a GPU."""

from __future__ import annotations

from typing import Any

from gpuaccept.check import Process, Reading, Unavailable
from gpuaccept.device.nvidia.calls import Nvml
from gpuaccept.device.nvidia.discovery import Gpu
from gpuaccept.device.nvidia.programs import Programs, hidden

_CALL = "nvmlDeviceGetComputeRunningProcesses"


def compute_processes(nvml: Nvml, gpu: Gpu, programs: Programs) -> tuple[Process, ...] | Unavailable:
    """Those that NVML lists, this run's own left out, by pid.

    Unavailable where NVML lists a process that is not shown here, and other processes are hidden: it may be our own
    under the number that another pid namespace gives it.
    """
    listed: list[Any] = []

    def keep(found: list[Any]) -> Reading:
        listed.extend(found)
        return 0

    outcome = nvml.read(gpu.index, _CALL, gpu.handle, convert=keep)
    if isinstance(outcome, Unavailable):
        return outcome
    own = programs.own()
    others = []
    for pid in sorted({process.pid for process in listed} - own):
        name = programs.name(pid)
        if not name and not programs.sees_all():
            return hidden("whose the compute processes on this GPU are")
        others.append(Process(pid, name or _nvml_name(nvml, gpu, pid), _memory(listed, pid)))
    return tuple(others)


def _nvml_name(nvml: Nvml, gpu: Gpu, pid: int) -> str:
    """The driver's own word for a process that /proc does not show any more."""
    name = nvml.read(gpu.index, "nvmlSystemGetProcessName", pid)
    return "" if isinstance(name, Unavailable) else str(name).rpartition("/")[2][:60]


def _memory(listed: list[Any], pid: int) -> Reading:
    """Bytes of all instances (MIG) of a process."""
    used = [process.usedGpuMemory for process in listed if process.pid == pid]
    if None in used:
        return Unavailable(_CALL, 0, "the driver does not tell how much memory")
    return int(sum(used))
