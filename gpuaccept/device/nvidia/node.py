"""The device protocol (gpuaccept.check.Node) over NVML and CUDA."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
import pynvml

from gpuaccept import ambient
from gpuaccept.check import (
    CopyOperation,
    DeviceError,
    DeviceUnavailable,
    EccCounters,
    Engine,
    Fabric,
    Gemm,
    HostDirection,
    HostState,
    Link,
    LinkTraffic,
    LoadResult,
    MarchStep,
    PairStatus,
    Pattern,
    Pcie,
    Precision,
    Process,
    Pulse,
    Reading,
    Sensors,
    Settings,
    SweepKernel,
    Transfer,
    Unavailable,
    Waves,
)
from gpuaccept.data import UNKNOWN_COUNT, GpuFacts, NodeFacts
from gpuaccept.device.learned import Learned
from gpuaccept.device.nvidia import bmc, host_copies, links, telemetry
from gpuaccept.device.nvidia.calls import Cuda, Nvml
from gpuaccept.device.nvidia.compute import Compute
from gpuaccept.device.nvidia.discovery import Gpu, find_gpus
from gpuaccept.device.nvidia.drivers import open_cuda, open_nvml
from gpuaccept.device.nvidia.hidden import hidden_gpus
from gpuaccept.device.nvidia.host import Host
from gpuaccept.device.nvidia.kernel_log import KernelLog, LogMemory
from gpuaccept.device.nvidia.kernels import kernel_facts
from gpuaccept.device.nvidia.loaded import is_stub
from gpuaccept.device.nvidia.margins import Margins
from gpuaccept.device.nvidia.pcie import at_full_speed, pcie
from gpuaccept.device.nvidia.processes import compute_processes
from gpuaccept.device.nvidia.programs import Programs
from gpuaccept.device.nvidia.sensors import sample_blocks
from gpuaccept.device.nvidia.surroundings import host_state
from gpuaccept.device.nvidia.xids import XidWatch
from gpuaccept.errors import UsageError

_WAIT_SLICE_S = 1.0
"""Waiting is no silence: it is announced anew this often."""
_LINK_TRAINS_S = 0.2
"""A link that saved power is at full speed long before this after the first copy."""
_BUSY_LONGER = 4
"""A link that seemed slow after its copies had ended is looked at again with this many times as many."""
_MIG = "CUDA does not see a GPU in MIG mode"
_STUB_ROOT = "GPUACCEPT_STUB_ROOT"
"""Where /sys and /proc of the tests' machine lie. Read on the stub driver only, never on a real one."""


class _Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is told once: what a process that takes this one's place would not hear again."""

    log: LogMemory
    xids: dict[int, tuple[int, ...]]


def open_node(gpus: tuple[int, ...] | None, pulse: Pulse, learned: Learned) -> NvidiaNode:
    """Open NVML and CUDA.

    Raises DeviceUnavailable with one sentence and a remedy where that can't be done.
    """
    os.environ.pop("CUDA_VISIBLE_DEVICES", None)  # hidden GPUs would shift every number
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ["CUDA_MODULE_LOADING"] = "EAGER"  # a lazy load waits for the stream that the start gate holds
    os.environ["CUDA_PYTHON_DISABLE_MAJOR_VERSION_WARNING"] = "1"
    nvml = open_nvml(pulse)
    cuda = Cuda(pulse, learned.no_cuda) if learned.no_cuda else open_cuda(pulse, lambda: _hidden_by_mig(nvml, pulse))
    known, without = learned.addresses, learned.without
    if without is not None:
        known = _host(is_stub(())).pci_gpus()
        gpus = tuple(gpu for gpu in range(len(known)) if gpu not in without) if gpus is None else gpus
        if not gpus:
            raise DeviceUnavailable("every GPU of this node hangs", "look for XIDs in the kernel log, then reboot it")
    found = find_gpus(nvml, cuda, known, gpus)
    stub = is_stub(tuple(gpu.uuid for gpu in found))
    host = _host(stub)
    if why := hidden_gpus(host, len(found), pulse):
        raise DeviceUnavailable(why, "hand all GPUs to the container (--gpus all), or run outside of it")
    if not found:
        raise DeviceUnavailable("the NVIDIA driver finds no GPU on this machine", "run `gpuaccept doctor`")
    unknown = [gpu for gpu in gpus or () if gpu >= len(found)]
    if unknown:
        raise UsageError(f"GPU {unknown[0]} does not exist: this node has GPUs 0 to {len(found) - 1}")
    node = NvidiaNode(nvml, cuda, found, gpus, host, stub, pulse)
    try:
        node.check_driver()
    except DeviceError as error:
        raise DeviceUnavailable(error.name, "reboot the node, or unload and load the driver, then run again") from None
    node.listen(learned.memory)
    return node


def _hidden_by_mig(nvml: Nvml, pulse: Pulse) -> str:
    found = find_gpus(nvml, Cuda(pulse, "not asked"))
    return _MIG if any(telemetry.mig_is_on(nvml, gpu) for gpu in found) else ""


def _host(stub: bool) -> Host:
    return Host(Path(os.environ.get(_STUB_ROOT, "/"))) if stub else Host()


class NvidiaNode:
    """See gpuaccept.check.Node. Contexts are made at the first measurement on a GPU, so telemetry holds no memory."""

    def __init__(
        self,
        nvml: Nvml,
        cuda: Cuda,
        found: tuple[Gpu, ...],
        gpus: tuple[int, ...] | None,
        host: Host,
        stub: bool,
        pulse: Pulse,
    ) -> None:
        self._nvml, self._cuda, self._found, self._host, self._stub, self._pulse = nvml, cuda, found, host, stub, pulse
        self._gpus = tuple(gpu.index for gpu in found) if gpus is None else gpus
        self._compute = Compute(cuda, self._gpu, host, pulse)
        self._margins = Margins(nvml)
        self._xids: XidWatch | None = None
        self._log = KernelLog(host.root)
        self._closed = False

    @property
    def gpus(self) -> tuple[int, ...]:
        return self._gpus

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            self._pulse(None, "wait")
            slice_s = self._compute.feed() or _WAIT_SLICE_S
            if (left := end - time.monotonic()) <= 0:
                return
            time.sleep(min(left, slice_s))

    def check_driver(self) -> None:
        """Raise DeviceError where the loaded kernel module is not the one that NVML speaks of: nothing is what it
        seems then. The stub has no kernel module."""
        loaded, said = self._host.driver_version(), self._nvml.call(None, "nvmlSystemGetDriverVersion")
        if not self._stub and loaded != said:
            module = f"is {loaded}" if loaded else "is not loaded (/proc/driver/nvidia/version is missing)"
            raise DeviceError(
                "nvmlSystemGetDriverVersion",
                0,
                f"the driver does not match: NVML says {said}, the kernel module {module}",
            )

    def listen(self, memory: bytes = b"") -> None:
        """Hear the XIDs of this process's GPUs from now on; `memory` is that of the process which it replaces."""
        before = msgspec.msgpack.decode(memory, type=_Memory) if memory else None
        if before is not None:
            self._log.remember(before.log)
        self._xids = XidWatch(self._nvml, [self._found[gpu] for gpu in self._gpus], before.xids if before else {})

    def memory(self) -> bytes:
        """What it has been told of events, for `listen`."""
        xids = self._xids.told() if self._xids else {}
        return msgspec.msgpack.encode(_Memory(log=self._log.memory(), xids=xids))

    def facts(self) -> NodeFacts:
        self.check_driver()
        version = self._nvml.call(None, "nvmlSystemGetCudaDriverVersion_v2")
        self._pulse(None, "nv-fabricmanager --version")
        fabric_manager = self._host.fabric_manager_version()
        gpus = self._identities()
        return NodeFacts(
            host=ambient.Ambient().hostname(),
            serial=self._host.serial(),
            boot_id=ambient.boot_id(),
            kernel=ambient.kernel(),
            operating_system=ambient.operating_system(),
            driver_version=self._nvml.call(None, "nvmlSystemGetDriverVersion"),
            nvml_version=self._nvml.call(None, "nvmlSystemGetNVMLVersion"),
            cuda_driver_version=f"{version // 1000}.{version % 1000 // 10}",
            fabric_manager_version=fabric_manager,
            numa_nodes=self._host.numa_nodes(),
            gpu_count_pci=len(self._host.pci_gpus()),
            gpu_count_nvml=len(gpus) + len(self._found) - len(self._gpus),  # one that is not ours counts as it did
            gpu_count_cuda=self._seen_by_cuda(),
            gpus=gpus,
            kernels=kernel_facts((gpu.compute_capability for gpu in gpus), self._pulse),
        )

    def _seen_by_cuda(self) -> int:
        """How many GPUs CUDA sees. That it sees fewer of them in MIG mode tells nothing of how many there are."""
        if self._cuda.lacking:
            return UNKNOWN_COUNT
        count = int(self._cuda.call(None, "cuDeviceGetCount"))
        mine = [gpu for gpu in self._found if gpu.handle is not None]
        if count < len(self._found) and any(telemetry.mig_is_on(self._nvml, gpu) for gpu in mine):
            return UNKNOWN_COUNT
        return count

    def _identities(self) -> tuple[GpuFacts, ...]:
        """Of all GPUs that still answer: one that was lost since is missing here, and in no other's place."""
        identities = []
        for gpu in filter(lambda gpu: gpu.handle is not None, self._found):
            with suppress(DeviceError):
                identities.append(telemetry.gpu_facts(self._nvml, self._cuda, gpu))
        return tuple(identities)

    def settings(self, gpu: int) -> Settings:
        return telemetry.settings(self._nvml, self._gpu(gpu))

    def ecc(self, gpu: int) -> EccCounters:
        return telemetry.ecc(self._nvml, self._gpu(gpu))

    def links(self, gpu: int) -> tuple[Link, ...]:
        return links.links(self._nvml, self._gpu(gpu))

    def fabric(self, gpu: int) -> Fabric:
        return telemetry.fabric(self._nvml, self._gpu(gpu))

    def pair(self, gpu: int, peer: int) -> PairStatus:
        return telemetry.pair(self._nvml, self._gpu(gpu), self._gpu(peer))

    def memory_sweep(self, gpu: int, kernel: SweepKernel, buffer_bytes: int, passes: int, seed: int) -> Transfer:
        return self._compute.memory_sweep(gpu, kernel, buffer_bytes, passes, seed)

    def memory_regions(self, gpu: int, region_bytes: int, passes: int, seed: int) -> tuple[Transfer, ...]:
        return self._compute.memory_regions(gpu, region_bytes, passes, seed)

    def host_copies(
        self,
        gpus: Sequence[int],
        direction: HostDirection,
        engine: Engine,
        bidirectional: bool,
        buffer_bytes: int,
        passes: int,
        seed: int,
    ) -> tuple[Transfer | Unavailable, ...]:
        return self._compute.host_copies(gpus, direction, engine, bidirectional, buffer_bytes, passes, seed)

    def peer_copies(
        self,
        pairs: Sequence[tuple[int, int]],
        operation: CopyOperation,
        engine: Engine,
        bidirectional: bool,
        buffer_bytes: int,
        passes: int,
        seed: int,
    ) -> tuple[Transfer | Unavailable, ...]:
        return self._compute.peer_copies(pairs, operation, engine, bidirectional, buffer_bytes, passes, seed)

    def pcie(self, gpu: int, under_load: bool) -> Pcie:
        of = self._gpu(gpu)
        if not under_load:
            return pcie(self._nvml, of, self._host.root)
        for seconds in (host_copies.BUSY_S, _BUSY_LONGER * host_copies.BUSY_S):
            with self._compute.busy(gpu, seconds) as carries:
                self.wait(_LINK_TRAINS_S)
                found = pcie(self._nvml, of, self._host.root)
                if carries() or at_full_speed(found):  # one that had run out of copies may have been slow again
                    break
        return found

    def link_traffic(self, gpu: int) -> tuple[LinkTraffic, ...]:
        return links.link_traffic(self._nvml, self._gpu(gpu))

    def xids(self, gpu: int) -> tuple[int, ...] | Unavailable:
        of = self._gpu(gpu)
        return self._xids.heard(of.index) if self._xids else Unavailable("nvmlEventSetCreate", 0, "nobody listens")

    def processes(self, gpu: int) -> tuple[Process, ...] | Unavailable:
        return compute_processes(self._nvml, self._gpu(gpu), Programs(self._host.root))

    def host(self) -> HostState:
        self._pulse(None, "host files")
        return host_state(self._host, [gpu.pci_address for gpu in self._found], self._log)

    def inlet(self) -> Reading:
        if self._closed:
            raise DeviceError("ipmitool", 0, "the device is closed")
        return bmc.inlet(self._host.root, lambda call: self._pulse(None, call))

    def integrity_begin(self, gpu: int, share: float) -> int:
        return self._compute.integrity_begin(gpu, share)

    def integrity_step(self, gpu: int, expected: Pattern | None, write: Pattern | None) -> MarchStep:
        return self._compute.integrity_step(gpu, expected, write)

    def integrity_end(self, gpu: int) -> None:
        self._compute.integrity_end(gpu)

    def gemm(self, gpu: int, precision: Precision, size: int, passes: int, seed: int) -> Gemm:
        return self._compute.gemm(gpu, precision, size, passes, seed)

    def load_begin(self, gpu: int, seed: int) -> None:
        self._compute.load_begin(gpu, seed)

    def load_end(self, gpu: int) -> LoadResult:
        return self._compute.load_end(gpu)

    def load_waves(
        self, gpus: Sequence[int], frequency_hz: float, in_phase: bool, seconds: float, seed: int
    ) -> tuple[Waves | Unavailable, ...]:
        return self._compute.load_waves(gpus, frequency_hz, in_phase, seconds, seed)

    def sensors(
        self, gpus: Sequence[int], seconds: float, interval: float
    ) -> Iterator[dict[int, Sensors | Unavailable]]:
        of = [self._gpu(gpu) for gpu in gpus]
        return sample_blocks(self._nvml, self._margins, of, self, seconds, interval, self._compute.iterations)

    def close(self) -> None:
        if self._closed:
            return
        self._compute.close()
        if self._xids:
            self._xids.close()
        with suppress(DeviceError):
            self._nvml.call(None, "nvmlShutdown")
        self._closed = True

    def _gpu(self, index: int) -> Gpu:
        call = "nvmlDeviceGetHandleByIndex"
        if self._closed:
            raise DeviceError(call, pynvml.NVML_ERROR_UNINITIALIZED, "the device is closed", index)
        if not 0 <= index < len(self._found):
            raise DeviceError(call, pynvml.NVML_ERROR_INVALID_ARGUMENT, "there is no such GPU", index)
        if self._found[index].handle is None:
            raise DeviceError(call, pynvml.NVML_ERROR_GPU_IS_LOST, "NVML_ERROR_GPU_IS_LOST", index)
        return self._found[index]
