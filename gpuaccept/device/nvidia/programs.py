"""Programs that run on this machine: which are this run's own, and which may disturb it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gpuaccept.ambient import first_line, supervisor
from gpuaccept.check import Unavailable

_FABRIC_MANAGER = "nv-fabricmanager"
_READERS = (
    *("nv-hostengine", "dcgmi", "dcgm-exporter", "dcgmproftester", "nvidia-smi", "nvtop", "nvitop", "gpustat", "gpud"),
    *("nvidia_gpu_exporter", "nvidia-gpu-exporter", "nvidia_gpu_prometheus_exporter", "nvsm_core", "nvml_exporter"),
)
"""Programs that poll NVML or take the GPUs' profiling counters, by the names of their executables."""
_COMM = 15
"""The kernel cuts the names of processes to this (TASK_COMM_LEN less its NUL)."""
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO of the kernel: in any other namespace processes of the machine are hidden."""
_PARENT = re.compile(r"\d+ \(.*\) \S (\d+) ", re.DOTALL)


@dataclass(frozen=True)
class Programs:
    """The processes that /proc below `root` shows."""

    root: Path

    def sees_all(self) -> bool:
        """Whether all processes of the machine are shown: not in a container, nor where /proc hides those of others."""
        try:
            namespace = str((self.root / "proc/self/ns/pid").readlink())
        except OSError:
            namespace = _INITIAL_PID_NAMESPACE  # a tree that a test made
        return namespace == _INITIAL_PID_NAMESPACE and first_line(str(self.root / "proc/1/comm")) is not None

    def name(self, pid: int) -> str:
        """A process's name; empty where there is none of this number, or this user may not see it."""
        return (first_line(str(self.root / f"proc/{pid}/comm")) or "")[:60]

    def running(self) -> frozenset[str]:
        """Names of all processes, cut to 15 letters by the kernel."""
        return frozenset(filter(None, (self.name(pid) for pid in self._pids())))

    def own(self) -> frozenset[int]:
        """The processes of this run: this one, the supervisor that started it, and all that descend from either."""
        family = {os.getpid(), supervisor() or os.getpid()}
        parents = {pid: self._parent(pid) for pid in self._pids()}
        grown = True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in family} - family
            family |= more
            grown = bool(more)
        return frozenset(family)

    def telemetry_readers(self) -> tuple[str, ...] | Unavailable:
        """Names of running programs that read the GPUs."""
        wanted = {name[:_COMM]: name for name in _READERS}
        found = tuple(sorted(wanted[name] for name in self.running() if name in wanted))
        if not found and not self.sees_all():
            return hidden("programs that read the GPUs")
        return found

    def fabric_manager(self) -> str | Unavailable:
        """`active` where it runs, `inactive` where it is only installed, or `not installed`."""
        if _FABRIC_MANAGER[:_COMM] in self.running():
            return "active"
        if not self.sees_all():
            return hidden("the fabric manager")
        return "inactive" if (self.root / "usr/bin" / _FABRIC_MANAGER).exists() else "not installed"

    def _pids(self) -> Iterator[int]:
        for entry in (self.root / "proc").glob("[0-9]*"):
            if entry.name.isdigit():
                yield int(entry.name)

    def _parent(self, pid: int) -> int | None:
        match = _PARENT.match(first_line(str(self.root / f"proc/{pid}/stat")) or "")
        return int(match.group(1)) if match else None


def hidden(what: str) -> Unavailable:
    """Why something can't be told where processes are hidden."""
    return Unavailable("procfs", errno.EPERM, f"{what} can't be seen from here: run as root, outside of any container")
