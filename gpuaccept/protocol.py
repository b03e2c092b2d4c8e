"""The device protocol: what NVML, CUDA and the host return, and the calls that a check makes through it.

Only times, bytes, counters, codes and texts: never a rate, never a verdict. No check can tell a real GPU from a
simulated one by it. Checks import all of it from `gpuaccept.check`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, Protocol

from gpuaccept.data import NodeFacts

# --- what a device returns -----------------------------------------------------------------------------------------


class Unavailable(NamedTuple):
    """A value that could not be read: "not supported" and "not in this driver" both mean not measured."""

    call: str
    code: int
    reason: str


Reading = int | float | str | Unavailable

Engine = Literal["ce", "sm"]
SweepKernel = Literal["read", "write", "copy", "triad", "local_copy_ce"]
CopyOperation = Literal["read", "write"]
HostDirection = Literal["host_to_device", "device_to_host"]
Precision = Literal["fp64", "tf32", "fp16", "bf16", "fp8", "int8"]
PatternKind = Literal["solid", "address", "random"]


class Transfer(NamedTuple):
    """One timed transfer. `elapsed_ns` is GPU event time between the first and the last byte, launches excluded.

    `bytes_read` and `bytes_written` are the bytes asked for in that time, of both ends. `wrong_words` counts the 32-bit
    words that differ from the expected pattern in the whole destination, checked after the timed span.
    """

    elapsed_ns: int
    bytes_read: int
    bytes_written: int
    wrong_words: int


class Settings(NamedTuple):
    """Modes and limits of one GPU (NVML). Power in mW, clocks in MHz, modes as NVML's words in lower case.

    `inforom` is valid | readable | corrupt: its checksums are right; its image can be read where the driver does not
    check them; or the driver says that it is corrupt.
    """

    ecc_mode: Reading
    ecc_mode_pending: Reading
    mig_mode: Reading
    mig_mode_pending: Reading
    persistence_mode: Reading
    compute_mode: Reading
    cc_mode: Reading
    power_limit_enforced_mw: Reading
    sm_clock_max_mhz: Reading
    memory_clock_max_mhz: Reading
    recovery_action: Reading
    inforom: Reading


class EccCounters(NamedTuple):
    """ECC and row-remapping state of one GPU: counters as integers, flags as 0 or 1.

    `remap_banks_*` say how many banks of memory have all, many, some, few and none of their spare rows left.
    """

    dram_corrected_volatile: Reading
    dram_uncorrected_volatile: Reading
    sram_corrected_volatile: Reading
    sram_uncorrected_volatile: Reading
    dram_corrected_aggregate: Reading
    dram_uncorrected_aggregate: Reading
    sram_corrected_aggregate: Reading
    sram_uncorrected_aggregate: Reading
    sram_threshold_exceeded: Reading
    remapped_rows_correctable: Reading
    remapped_rows_uncorrectable: Reading
    row_remapping_pending: Reading
    row_remapping_failure: Reading
    remap_banks_max: Reading
    remap_banks_high: Reading
    remap_banks_partial: Reading
    remap_banks_low: Reading
    remap_banks_none: Reading
    channel_repair_pending: Reading
    tpc_repair_pending: Reading


class Link(NamedTuple):
    """One NVLink of one GPU. `state` is off | on | sleep; `raw_rate_mbps` is MB/s of signalling, 53125 on NVLink 5.

    Counters that a generation lacks are Unavailable: NVLink 4 has crc and replay, NVLink 5 has the effective ones, the
    symbols and `packet_errors`: packets that came wrong or were thrown away, of whatever kind; one of two kinds counts
    twice.
    """

    number: int
    state: Reading
    version: Reading
    remote_type: Reading
    remote_pci_id: Reading
    raw_rate_mbps: Reading
    recovery: Reading
    recovery_failed: Reading
    effective_errors: Reading
    symbol_errors: Reading
    packet_errors: Reading
    crc_errors: Reading
    replay_errors: Reading


class Fabric(NamedTuple):
    """Fabric registration: state (not supported | not started | in progress | completed), status, unhealthy flags.

    `health` is `healthy`, or the comma-separated names of the flags of the health mask that are set.
    """

    state: Reading
    status: Reading
    health: Reading


class PairStatus(NamedTuple):
    """P2P status of an ordered pair (NVML's words, `ok` where it works) and its nearest common ancestor."""

    p2p_read: Reading
    p2p_write: Reading
    common_ancestor: Reading


class Sensors(NamedTuple):
    """A block of sensor samples of one GPU, columns of equal length; a column that can't be read is Unavailable.

    Times in seconds of the node's clock; power W; temperatures °C, margin K to slowdown; clocks MHz; the four
    event-reason counters are ns since driver load; energy mJ; iterations completed by the load (0 without).
    """

    at_s: tuple[float, ...]
    power_w: tuple[float, ...] | Unavailable
    temperature_c: tuple[float, ...] | Unavailable
    memory_temperature_c: tuple[float, ...] | Unavailable
    margin_k: tuple[float, ...] | Unavailable
    sm_clock_mhz: tuple[float, ...] | Unavailable
    memory_clock_mhz: tuple[float, ...] | Unavailable
    event_reasons: tuple[int, ...] | Unavailable
    sw_power_cap_ns: tuple[int, ...] | Unavailable
    sw_thermal_ns: tuple[int, ...] | Unavailable
    hw_thermal_ns: tuple[int, ...] | Unavailable
    hw_power_brake_ns: tuple[int, ...] | Unavailable
    energy_mj: tuple[int, ...] | Unavailable
    iterations: tuple[int, ...]


class LoadResult(NamedTuple):
    """What a soak load did: iterations of the kernel, how many results differ bit for bit, and which kernel ran.

    `digest` is of the result that every iteration should give (hex), the same on every GPU of a model; `odd_sms` are
    the SMs that gave another one, None where this load can't tell SMs apart. What an odd SM gave is a mismatch too, or
    shows in the digest: nothing may rest on `odd_sms` alone. On `idle_sms` no part of the load ever ran: nothing is
    known of them.
    """

    iterations: int
    mismatches: int
    implementation: str
    digest: str = ""
    odd_sms: tuple[int, ...] | None = ()
    idle_sms: tuple[int, ...] = ()


class Waves(NamedTuple):
    """What square waves of load did on one GPU: bursts of the kernel, how many of them the host began more than a tenth
    of a period late, results that differ bit for bit, and which kernel ran."""

    bursts: int
    late: int
    mismatches: int
    implementation: str


NO_C2C = Unavailable("nvmlDeviceGetFieldValues 170", 3, "not supported by this GPU")


class Pcie(NamedTuple):
    """PCIe link of one GPU. Generation and width as NVML has them; the maxima are what GPU and slot can do together.

    `replays` is NVML's replay counter; the three AER totals are the kernel's, of both ends of the GPU's link, since
    boot. A GPU beside a Grace has C2C to its host as well: how many links, how many of them active, and their errors.
    """

    generation: Reading
    generation_max: Reading
    width: Reading
    width_max: Reading
    replays: Reading
    aer_correctable: Reading
    aer_nonfatal: Reading
    aer_fatal: Reading
    c2c_links: Reading = NO_C2C
    c2c_links_active: Reading = NO_C2C
    c2c_errors: Reading = NO_C2C


class LinkTraffic(NamedTuple):
    """Data bytes that one NVLink has carried in its life, without protocol overhead."""

    number: int
    transmitted_bytes: Reading
    received_bytes: Reading


class Process(NamedTuple):
    """A compute process of somebody else on a GPU. The name is empty where this user may not read it."""

    pid: int
    name: str
    memory_bytes: Reading


class Pattern(NamedTuple):
    """Contents of memory: `solid` repeats `value` as a 32-bit word; `address` is the word's own index xor `value`;
    `random` is a hash of index and `value`."""

    kind: PatternKind
    value: int


class WrongWord(NamedTuple):
    """A 32-bit word that was not as expected: its byte offset in the memory under test, what was there at first, and
    read once more; how many of 8 later tests of its 2 MiB found it wrong again; the SM that read it."""

    offset_bytes: int
    expected: int
    got: int
    read_again: int
    wrong_again: int
    sm: int


class MarchStep(NamedTuple):
    """One sweep over the memory under test. `wrong_words` counts all; `first` lists at most 64 of them."""

    elapsed_ns: int
    bytes_read: int
    bytes_written: int
    wrong_words: int
    first: tuple[WrongWord, ...] = ()


class Gemm(NamedTuple):
    """Timed matrix products: 2 m n k operations each. Small integers as operands make every result exact:
    `wrong_elements` of the whole product differ from the right integer. `implementation` says which library or kernel
    and version ran."""

    elapsed_ns: int
    operations: int
    wrong_elements: int
    implementation: str


class KernelEvent(NamedTuple):
    """One XID or SXid of the kernel log: seconds since boot, `xid` | `sxid`, its number, the device, the text.

    `severity` is `fatal` | `non-fatal`, or empty where the driver does not say it. An SXid's `switch` is the kernel's
    name of it (`nvswitch3`). `link` is -1 where no single link is named.
    """

    at_s: float
    kind: str
    number: int
    pci_address: str
    text: str
    severity: str = ""
    switch: str = ""
    link: int = -1


class Port(NamedTuple):
    """One port of a network card: state as the kernel names it (active | init | down …), rate in Gb/s."""

    name: str
    pci_address: str
    state: Reading
    rate_gbps: Reading
    pcie_width: Reading
    firmware: Reading
    numa_node: Reading
    symbol_errors: Reading
    link_downed: Reading


class HostState(NamedTuple):
    """The machine around the GPUs. Lists are serial numbers (or names where there are none) of what is plugged in.

    `iommu` is off | passthrough | translated; `acs_redirect` counts the PCIe bridges above GPUs that force peer traffic
    through the root; `governor` is the frequency governor that all CPUs share, or `mixed`; `numa_balancing` is 0 or 1;
    `gpu_numa_nodes` maps each GPU's index to its NUMA node; `telemetry_readers` are other programs that read the GPUs.
    """

    kernel_events: tuple[KernelEvent, ...] | Unavailable
    ports: tuple[Port, ...] | Unavailable
    nvme: tuple[str, ...] | Unavailable
    dimms: tuple[str, ...] | Unavailable
    power_supplies: tuple[str, ...] | Unavailable
    iommu: Reading
    acs_redirect: Reading
    governor: Reading
    numa_balancing: Reading
    peermem: Reading
    fabric_manager: Reading
    gpu_numa_nodes: tuple[int, ...] | Unavailable
    telemetry_readers: tuple[str, ...] | Unavailable


Pulse = Callable[[int | None, str], None]
"""Called by a device before each driver call: (GPU, or None for the node; name of the call). It is the heartbeat."""


class Node(Protocol):
    """The GPUs of one machine, or those of them that this process is to use. Every method may raise DeviceError."""

    @property
    def gpus(self) -> tuple[int, ...]:
        """Indices (PCI order) that this process measures."""

    def now(self) -> float:
        """Seconds of a monotonic clock: the machine's, or the simulation's."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""

    def facts(self) -> NodeFacts:
        """Read the whole node's identity anew."""

    def settings(self, gpu: int) -> Settings: ...

    def ecc(self, gpu: int) -> EccCounters: ...

    def links(self, gpu: int) -> tuple[Link, ...]:
        """All NVLinks that the GPU has, up or down."""

    def fabric(self, gpu: int) -> Fabric: ...

    def pair(self, gpu: int, peer: int) -> PairStatus: ...

    def memory_sweep(self, gpu: int, kernel: SweepKernel, buffer_bytes: int, passes: int, seed: int) -> Transfer:
        """Stream `passes` times over buffers of `buffer_bytes`; a new pattern from `seed`; verified afterwards.

        Counts one way as the kernel moves it: read n, write n, copy n + n, triad 2n + n. `local_copy_ce` is the copy
        engine's device-to-device copy, n + n.
        """

    def memory_regions(self, gpu: int, region_bytes: int, passes: int, seed: int) -> tuple[Transfer, ...]:
        """Read as much of the memory as can be had, region by region, each timed by itself and verified."""

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
        """Copies of all `gpus` at the same time, between pinned memory of each GPU's own NUMA node and the GPU.

        Bidirectional runs the opposite direction too, longer, as interference: only `direction` is timed and counted.
        One GPU's failure is its own.
        """

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
        """Copies of all `pairs` (gpu, peer) at the same time. `read`: gpu pulls from peer; `write`: gpu pushes to peer.

        Bidirectional runs the opposite direction too and counts the bytes of both. One pair's failure is its own.
        """

    def pcie(self, gpu: int, under_load: bool) -> Pcie:
        """PCIe state and counters; `under_load` reads them while a copy to the GPU runs: an idle link may be slow."""

    def link_traffic(self, gpu: int) -> tuple[LinkTraffic, ...]:
        """Bytes that each NVLink of a GPU has carried: proof of the path that a copy took."""

    def xids(self, gpu: int) -> tuple[int, ...] | Unavailable:
        """XIDs that NVML reported of this GPU since this process opened the device, oldest first."""

    def processes(self, gpu: int) -> tuple[Process, ...] | Unavailable:
        """Compute processes of others on a GPU: this run's own are left out."""

    def host(self) -> HostState:
        """The machine around the GPUs."""

    def inlet(self) -> Reading:
        """Temperature of the air that the node draws in, °C, as its BMC tells it; Unavailable with the reason."""

    def integrity_begin(self, gpu: int, share: float) -> int:
        """Take `share` of all memory of a GPU (or what can be had of it) for testing: bytes taken."""

    def integrity_step(self, gpu: int, expected: Pattern | None, write: Pattern | None) -> MarchStep:
        """One march element over the memory taken: each word is read and compared with `expected`, then overwritten.

        Without `expected` it only writes, without `write` it only reads.
        """

    def integrity_end(self, gpu: int) -> None:
        """Give the memory back."""

    def gemm(self, gpu: int, precision: Precision, size: int, passes: int, seed: int) -> Gemm:
        """`passes` products of square matrices of `size`, accumulated as the precision's usual kernel does."""

    def load_begin(self, gpu: int, seed: int) -> None:
        """Start the soak load (tensor and memory) on a GPU and return; it runs while `sensors` or `wait` run."""

    def load_end(self, gpu: int) -> LoadResult: ...

    def load_waves(
        self, gpus: Sequence[int], frequency_hz: float, in_phase: bool, seconds: float, seed: int
    ) -> tuple[Waves | Unavailable, ...]:
        """Square waves of the soak load on all `gpus` for `seconds`: half of each period under load, half of it idle.

        In phase all GPUs begin each period together; otherwise each begins it a part of the period after the one before
        it, so that about half of them are under load at any time. One GPU's failure is its own.
        """

    def sensors(
        self, gpus: Sequence[int], seconds: float, interval: float
    ) -> Iterator[dict[int, Sensors | Unavailable]]:
        """Sample for `seconds`, every `interval`, in blocks: each yields every GPU's samples since the last block.

        The first sample is taken at once and the last after `seconds`: 601 samples in 600 s at 1 s.
        """

    def close(self) -> None:
        """Free everything that this process holds."""
