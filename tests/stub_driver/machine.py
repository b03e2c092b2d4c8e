"""A machine with the stub driver: what a test sets of it, and how it runs gpuaccept there in a child process."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stub_driver.build import CUBLASLT, LIBRARIES, build
from stub_driver.host_tree import furnish, gpu_in_pci

BUSES = ("1b", "43", "52", "61", "9d", "c3", "d1", "df")
"""As in stub.h."""
DRIVER = "580.95.05"
_ASK = """
import sys, msgspec
from gpuaccept.errors import DeviceError, GpuacceptError
from gpuaccept.check import Pattern
from gpuaccept.device.nvidia import host_copies, load, open_nvidia, soak_gemm, soak_kernel, timing
timing.WARM_MAXIMUM_S = 0.1  # host memory does not warm up
host_copies.BUSY_S = 0.05
load.AHEAD_S = 0.05  # a launch is done before it returns
soak_gemm.SIZE = 128
soak_kernel.STEPS = 2000
MIB = 1 << 20
calls = []
def answer(question):
    try:
        return eval(question)
    except DeviceError as error:
        return {"error": [error.call, error.code, error.name, error.gpu]}
try:
    node = open_nvidia(None, lambda gpu, call: calls.append((gpu, call)))
except GpuacceptError as error:
    answers = {"fact": error.fact, "remedy": error.remedy, "kind": type(error).__name__}
else:
    answers = [answer(question) for question in sys.argv[1:]]
    node.close()
print(msgspec.json.encode(answers).decode())
"""


@dataclass(frozen=True)
class StubMachine:
    """`root` has the machine's own /sys, /usr and state file; `libraries` the stub driver."""

    root: Path
    libraries: Path
    cublaslt: bool = False
    """Whether cuBLASLt is installed here."""

    def set(self, *lines: str) -> None:
        """Replace the state file: `key=value` lines of stub.h."""
        self.state.write_text("".join(f"{line}\n" for line in lines))

    @property
    def state(self) -> Path:
        return self.root / "state"

    @property
    def log(self) -> Path:
        """Where the stub writes each entry point that is called."""
        return self.root / "log"

    def left(self) -> list[str]:
        """What programs on this machine had not given back to the CUDA driver when they ended."""
        return [line.split(" ", 1)[1] for line in self.log.read_text().splitlines() if line.startswith("left ")]

    @property
    def environment(self) -> dict[str, str]:
        """For a child process that is to use this machine."""
        return {
            **os.environ,
            "LD_LIBRARY_PATH": ":".join(str(folder) for folder in self._library_folders),
            "STUB_KERNELS": str(self.libraries / "libkernels.so"),
            "STUB_STATE": str(self.state),
            "STUB_LOG": str(self.log),
            "GPUACCEPT_STUB_ROOT": str(self.root),
            "XDG_STATE_HOME": str(self.root / "home"),
        }

    @property
    def _library_folders(self) -> list[Path]:
        return [self.libraries, *([(self.libraries / CUBLASLT).parent] if self.cublaslt else [])]

    def load_here(self) -> None:
        """Make this the driver of the calling process, for good: a driver library is found by its name once loaded."""
        os.environ.update({name: value for name, value in self.environment.items() if name != "LD_LIBRARY_PATH"})
        for name in LIBRARIES:
            ctypes.CDLL(str(self.libraries / name))

    def run(self, *arguments: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Python with these arguments, on this machine."""
        return subprocess.run(
            [sys.executable, *arguments], env=self.environment, capture_output=True, text=True, timeout=timeout
        )

    def ask(self, *questions: str, timeout: float = 60.0) -> Any:
        """Open the node in a child process and evaluate expressions over `node`, `calls` and `MIB`.

        Returns their values as JSON has them, a DeviceError as {"error": [call, code, name, gpu]}; where the node
        can't be opened, that error as {"fact", "remedy", "kind"}.
        """
        done = self.run("-c", _ASK, *questions, timeout=timeout)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def make_machine(root: Path, gpus: int = 8) -> StubMachine:
    """A healthy HGX B200 under `root`: eight GPUs in PCI, two NUMA nodes, a fabric manager of the driver's version."""
    _write(root / "sys/class/dmi/id/product_serial", "CH-0042")
    cpus = sorted(os.sched_getaffinity(0))
    for node in (0, 1):
        _write(root / f"sys/devices/system/node/node{node}/cpulist", f"{cpus[0]}-{cpus[-1]}")
    for number, bus in enumerate(BUSES[:gpus]):
        gpu_in_pci(root, f"0000:{bus}:00.0", number // 4)
    furnish(root)
    _pci(root, "0000:05:00.0", "0x068000", "0x10de", 0)  # an NVSwitch is no GPU
    _pci(root, "0000:02:00.0", "0x030000", "0x1a03", 0)  # nor is the server's own display chip
    manager = root / "usr/bin/nv-fabricmanager"
    _write(manager, f"#!/bin/sh\necho 'Fabric Manager version is : {DRIVER}'")
    manager.chmod(0o755)
    machine = StubMachine(root, build())
    machine.set()
    return machine


def _pci(root: Path, address: str, kind: str, vendor: str, numa_node: int) -> None:
    device = root / "sys/bus/pci/devices" / address
    for name, text in (("class", kind), ("vendor", vendor), ("numa_node", str(numa_node))):
        _write(device / name, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
