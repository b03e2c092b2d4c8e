"""The simulated node: the device protocol over the model, its deviations and a virtual clock.

Its state is a function of scenario, seed and virtual time, and of the calls of this process: the load that runs, and
how often a quantity was visited. A node opened with a later start time therefore goes on with the same faults and
counters of errors; what it measures scatters anew, and its GPUs have cooled down to idle (replacing a worker is taken
to last that long).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gpuaccept.check import (
    CopyOperation,
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
from gpuaccept.data import NodeFacts
from gpuaccept.device.mock import pcie, registers, surroundings
from gpuaccept.device.mock.copies import Paths
from gpuaccept.device.mock.ecc import Ecc, with_corrected
from gpuaccept.device.mock.identity import load_digest, node_facts
from gpuaccept.device.mock.integrity import Memory, allocate
from gpuaccept.device.mock.machine import CALL_S, Machine, Wave, hang, made
from gpuaccept.device.mock.pcie import Uplinks
from gpuaccept.device.mock.peers import STANDSTILL_GB_PER_S, Peers
from gpuaccept.device.mock.products import Products, bad_sm, wrong_results
from gpuaccept.device.mock.traffic import Traffic
from gpuaccept.device.mock.waves import load_waves
from gpuaccept.device.mock.world import World
from gpuaccept.errors import DeviceError

if TYPE_CHECKING:
    from gpuaccept.device.mock.sensors import SensorBank

BLOCK = 60
"""Sensor samples in a block."""
AHEAD = 20 * BLOCK
"""Sensor samples that may be calculated at once."""
BUFFERS = {"read": 1, "write": 1, "copy": 2, "triad": 3, "local_copy_ce": 2}
"""Buffers that a sweep allocates."""
SHARES: dict[str, tuple[int, int]] = {"read": (1, 0), "write": (0, 1), "copy": (1, 1), "triad": (2, 1)}
"""Buffers that one pass reads and writes; the copy engine's copy is 1 and 1, and its rate counts them once."""
PCIE_LOAD_S = 0.02
"""Virtual time of the copy that keeps a link busy while it is read, s [judgement]."""
_NOT_YET = "not simulated by this version"


class MockNode(Machine):
    """`gpuaccept.check.Node`, simulated."""

    def __init__(
        self,
        world: World,
        seed: int,
        gpus: tuple[int, ...] | None,
        pulse: Pulse,
        start_s: float = 0.0,
        real_time: bool = False,
    ) -> None:
        super().__init__(world, seed, gpus, pulse, start_s, real_time)
        self._paths = Paths(self)
        self._memory = Memory(self, self._paths)
        self._products = Products(self)
        self._wrong_before: dict[int, int] = {}
        self._ecc: dict[int, Ecc] = {}
        self._facts: dict[frozenset[int], NodeFacts] = {}
        self._traffic = Traffic(world)
        self._peers = Peers(self, self._paths, self._traffic)
        self._bank: SensorBank | None = None

    # --- identity and registers -------------------------------------------------------------------------------

    def facts(self) -> NodeFacts:
        """Read the whole node's identity anew."""
        self.pulse(None, "facts")
        lost = frozenset(place for place in self.places if self.guarded and self.flag("gpu.lost", place))
        facts = self._facts.get(lost)
        if facts is None:  # identities stay what they are: a deviation of them holds for the whole run
            facts = self._facts[lost] = node_facts(self.world, self.seed, self.places, lost, self.holds)
        return facts

    def settings(self, gpu: int) -> Settings:
        """Modes and limits of one GPU."""
        place = self.place(gpu, "settings", "nvmlDeviceGetEccMode")
        return registers.settings(self.world, place, self.time_s, self.holds)

    def ecc(self, gpu: int) -> EccCounters:
        """ECC and row-remapping state of one GPU."""
        place = self.place(gpu, "ecc", "nvmlDeviceGetMemoryErrorCounter")
        registers_ = self._ecc.get(place)
        if registers_ is None:
            registers_ = self._ecc[place] = Ecc(self.world, self.seed, place)
        counters = registers_.read(self.time_s, self.holds)
        if corrected := self._memory.corrected(place):
            counters = with_corrected(counters, corrected)
        self.pass_time(CALL_S)  # two readings are never at one time: a rate is judged between them
        return counters

    def links(self, gpu: int) -> tuple[Link, ...]:
        """All NVLinks of one GPU."""
        place = self.place(gpu, "links", "nvmlDeviceGetNvLinkState")
        return registers.links(self.world, place, self.time_s, self.holds)

    def fabric(self, gpu: int) -> Fabric:
        """Fabric registration of one GPU."""
        place = self.place(gpu, "fabric", "nvmlDeviceGetGpuFabricInfoV")
        return registers.fabric(self.world, place, self.time_s, self.holds)

    def pair(self, gpu: int, peer: int) -> PairStatus:
        """P2P status of an ordered pair."""
        place = self.place(gpu, "pair", "nvmlDeviceGetP2PStatus")
        other = self.place(peer, "pair", "nvmlDeviceGetP2PStatus")
        return registers.pair(self.world, place, other, self.time_s, self.holds)

    # --- copies -----------------------------------------------------------------------------------------------

    def memory_sweep(self, gpu: int, kernel: SweepKernel, buffer_bytes: int, passes: int, seed: int) -> Transfer:
        """Stream over device memory."""
        place = self.place(gpu, "memory_sweep")
        if kernel not in BUFFERS:
            raise DeviceError("cuModuleGetFunction", 500, "CUDA_ERROR_NOT_FOUND", gpu)
        allocate(self, gpu, place, buffer_bytes * BUFFERS[kernel], passes)
        moved = buffer_bytes * passes
        rate = _moving(self._paths.sweep(place, kernel), gpu)
        if kernel == "local_copy_ce":
            reads, writes, counted = moved, moved, moved
        else:
            read, write = SHARES[kernel]
            reads, writes = read * moved, write * moved
            counted = reads + writes
        elapsed = int(counted / rate) or 1
        self.pass_time(CALL_S + elapsed * 1e-9 + buffer_bytes / rate * 1e-9)
        wrong = 0 if not self.world.names else int(self.number("memory.wrong_words", place, 0.0, self.time_s))
        return made(Transfer, (elapsed, reads, writes, wrong))

    def memory_regions(self, gpu: int, region_bytes: int, passes: int, seed: int) -> tuple[Transfer, ...]:
        """Read the memory region by region."""
        return self._memory.regions(gpu, region_bytes, passes, seed)

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
        """Copies between pinned host memory and GPUs, at the same time: those of one NUMA node share its memory."""
        moved, longest, now = buffer_bytes * passes, 0, self.time_s
        found: list[Unavailable | tuple[int, int, float]] = []
        demand: dict[int, float] = {}
        uplinks = Uplinks(self.world, now, self.holds)
        for gpu in gpus:
            try:
                place = self.place(gpu, "host_copies")
                allocate(self, gpu, place, buffer_bytes, passes)
                rate = _moving(self._paths.host(place, direction, engine, bidirectional), gpu)
            except DeviceError as error:
                found.append(Unavailable(error.call, error.code, error.name))
                continue
            memory = surroundings.numa_node(self.world, place, now, self.holds)
            demand[memory] = demand.get(memory, 0.0) + rate
            uplinks.add(place, rate)
            found.append((place, memory, rate))
        out: list[Transfer | Unavailable] = []
        for one in found:
            if isinstance(one, Unavailable):
                out.append(one)
                continue
            place, memory, rate = one
            share = min(1.0, self._host_memory() / demand[memory], uplinks.share(place))
            elapsed = int(moved / (rate * share)) or 1
            longest = max(longest, elapsed)
            wrong = 0 if not self.world.names else int(self.number("host.wrong_words", place, 0.0, now))
            out.append(Transfer(elapsed, moved, moved, wrong))
        self.pass_time(CALL_S + longest * 1e-9)
        return tuple(out)

    def _host_memory(self) -> float:
        """GB/s of the memory of one NUMA node: modules that are missing are missing evenly."""
        whole = self.model.server.dimms
        share = self.world.value("host.dimms", "node", float(whole), 0.0, self.holds) / whole if whole else 1.0
        return max(1e-3, self.model.host.memory_per_numa_node * share)

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
        """Copies of all pairs at the same time."""
        return self._peers.copies(tuple(pairs), operation, engine, bidirectional, buffer_bytes, passes)

    # --- links and surroundings ---------------------------------------------------------------------------------

    def pcie(self, gpu: int, under_load: bool) -> Pcie:
        """PCIe state and counters of one GPU; the copy under which the link is read takes its time."""
        place = self.place(gpu, "pcie", "nvmlDeviceGetCurrPcieLinkGeneration")
        busy = under_load or self.bodies[place].loaded
        state = pcie.state(self.world, self.seed, place, self.time_s, self.holds, busy)
        self.pass_time(CALL_S + (PCIE_LOAD_S if under_load else 0.0))
        return state

    def link_traffic(self, gpu: int) -> tuple[LinkTraffic, ...]:
        """Bytes that each NVLink has carried."""
        place = self.place(gpu, "link_traffic", "nvmlDeviceGetFieldValues")
        return self._traffic.read(place, self.time_s, self.holds)

    def xids(self, gpu: int) -> tuple[int, ...] | Unavailable:
        """XIDs of one GPU since this process began: a GPU that is lost was told of before."""
        if gpu not in self.gpus:
            self.place(gpu, "xids", "nvmlEventSetWait")
        self.pulse(gpu, "xids")
        return surroundings.xids(self.world, self.places[gpu], self.start, self.time_s)

    def processes(self, gpu: int) -> tuple[Process, ...] | Unavailable:
        """Compute processes of others."""
        place = self.place(gpu, "processes", "nvmlDeviceGetComputeRunningProcesses")
        return surroundings.processes(self.world, place, self.time_s, self.holds)

    def host(self) -> HostState:
        """The machine around the GPUs."""
        self.pulse(None, "host")
        return surroundings.host_state(self.world, self.seed, self.places, self.time_s, self.holds)

    def inlet(self) -> Reading:
        """What the BMC shows of the inlet: one sensor for all GPUs."""
        if self.closed:
            raise DeviceError("ipmitool", 0, "the device is closed")
        self.pulse(None, surroundings.ASK_INLET)
        return surroundings.inlet(self.world, [self.bodies[place] for place in self.places], self.time_s, self.holds)

    # --- load and sensors -------------------------------------------------------------------------------------

    def integrity_begin(self, gpu: int, share: float) -> int:
        """Take memory for testing."""
        return self._memory.begin(gpu, share)

    def integrity_step(self, gpu: int, expected: Pattern | None, write: Pattern | None) -> MarchStep:
        """One march element."""
        return self._memory.step(gpu, expected, write)

    def integrity_end(self, gpu: int) -> None:
        """Give the memory back."""
        self._memory.end(gpu)

    def gemm(self, gpu: int, precision: Precision, size: int, passes: int, seed: int) -> Gemm:
        """Matrix products."""
        return self._products.gemm(gpu, precision, size, passes)

    def load_begin(self, gpu: int, seed: int) -> None:
        """Start the soak load on a GPU."""
        place = self.place(gpu, "load_begin")
        body = self.bodies[place]
        if body.loaded:
            raise DeviceError("cuLaunchKernel", 400, "CUDA_ERROR_INVALID_HANDLE", gpu)
        body.forget()
        body.begin(self.time_s)
        self._wrong_before[place] = wrong_results(self, place)

    def load_end(self, gpu: int) -> LoadResult:
        """Stop the load and compare its results."""
        place = self.place(gpu, "load_end")
        body = self.bodies[place]
        if not body.loaded:
            raise DeviceError("cuStreamSynchronize", 400, "CUDA_ERROR_INVALID_HANDLE", gpu)
        body.forget()
        wrong = wrong_results(self, place) - self._wrong_before[place]
        iterations = int(body.finish(self.time_s))
        sm = bad_sm(self, place)
        always = sm is not None and self.flag("sm.always_wrong", place)
        digest = load_digest(self.model, -1 if sm is None or not always else sm)
        odd = None if not self.model.load.tells_sms else (sm,) if sm is not None and (always or wrong) else ()
        return LoadResult(iterations, wrong, self.model.load.implementation, digest, odd)

    def load_waves(
        self, gpus: Sequence[int], frequency_hz: float, in_phase: bool, seconds: float, seed: int
    ) -> tuple[Waves | Unavailable, ...]:
        """Square waves of load."""
        return load_waves(self, gpus, Wave(frequency_hz, in_phase), seconds)

    def sensors(
        self, gpus: Sequence[int], seconds: float, interval: float
    ) -> Iterator[dict[int, Sensors | Unavailable]]:
        """Sample in blocks of 60 (in real time, of a second)."""
        if interval <= 0 or seconds < 0:
            raise DeviceError("nvmlDeviceGetFieldValues", 2, "NVML_ERROR_INVALID_ARGUMENT")
        for gpu in gpus:
            if gpu not in self.gpus:
                self.place(gpu, "sensors", "nvmlDeviceGetFieldValues")
        begin = self.time_s
        count = int(seconds / interval + 1e-9) + 1
        block = max(1, min(BLOCK, round(1.0 / interval))) if self.real_time else BLOCK
        return self._blocks(gpus, begin, interval, count, block)

    def _blocks(
        self, gpus: Sequence[int], begin: float, interval: float, count: int, block: int
    ) -> Iterator[dict[int, Sensors | Unavailable]]:
        for chunk in range(0, count, AHEAD):
            times = [round(begin + i * interval, 6) for i in range(chunk, min(chunk + AHEAD, count))]
            for first in range(0, len(times), block):
                at, further = times[first : first + block], times[first + block :]
                for gpu in gpus:
                    self.pulse(gpu, "sensors")
                self.pass_time(max(0.0, at[-1] - self.time_s))
                yield self._read(gpus, at, further)

    def _read(self, gpus: Sequence[int], at: list[float], further: list[float]) -> dict[int, Sensors | Unavailable]:
        if self.closed:
            raise DeviceError("nvmlDeviceGetFieldValues", 1, "NVML_ERROR_UNINITIALIZED")
        out: dict[int, Sensors | Unavailable] = {}
        ends: dict[int, int] = {}
        for gpu in gpus:
            ends[gpu] = registers.answering(self.world, self.places[gpu], at, self.holds) if self.guarded else len(at)
            if self.guarded:
                self.maybe_crash()
            if self.guarded and self.flag("call.hang", self.places[gpu]):
                self.pulse(gpu, "sensors")
                hang()
        if self._bank is None:
            from gpuaccept.device.mock.sensors import SensorBank

            self._bank = SensorBank(self.bodies, self.world)
        for length in set(ends.values()):
            group = [gpu for gpu in gpus if ends[gpu] == length]
            if not length:
                out |= {g: Unavailable("nvmlDeviceGetFieldValues", 15, "NVML_ERROR_GPU_IS_LOST") for g in group}
                continue
            places = [self.places[gpu] for gpu in group]
            known = further if not self.guarded else []
            read = self._bank.read(places, at[:length], known, self._memory_clock, self.holds)
            out |= dict(zip(group, read, strict=True))
        for body in self.bodies:
            body.forget()
        return out

    def _memory_clock(self, place: int) -> float:
        return self.number("clock.memory_mhz", place, self.model.clock.memory_mhz, self.time_s)

    def close(self) -> None:
        """Stop loads; calls after this fail."""
        if not self.closed:
            for body in self.bodies:
                if body.loaded:
                    body.finish(self.time_s)
            self.closed, self._bank = True, None
            # what was drawn and found is freed now, not when the collector finds that nobody else knows this node
            for part in (self._paths, self._peers, self._products, self._memory):
                part.forget()


def _moving(rate: float, gpu: int) -> float:
    """The rate, where anything moves at all."""
    if rate < STANDSTILL_GB_PER_S:
        raise DeviceError("cuEventSynchronize", 702, "CUDA_ERROR_LAUNCH_TIMEOUT", gpu)
    return rate
