"""The files of the simulator: hardware models (complete physics) and scenarios (deviations from a model)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Positive = Annotated[float, Meta(gt=0.0)]
NotNegative = Annotated[float, Meta(ge=0.0)]
Count = Annotated[int, Meta(ge=0)]
Text = Annotated[str, Meta(min_length=1, max_length=80)]
Duration = Annotated[str, Meta(pattern=r"^[0-9]+(\.[0-9]+)?(ms|s|m|h)$")]
"""A number and its unit, for example `90s`, `2.5m`, `1h`."""
LinkCounter = Literal[
    "recovery", "recovery_failed", "effective_errors", "symbol_errors", "packet_errors", "crc_errors", "replay_errors"
]


class Room(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of these files."""


class NodeModel(Room, frozen=True, kw_only=True):
    """Software of the node, as its calls report it."""

    driver_version: Text
    fabric_manager_version: Text
    nvml_version: Text
    cuda_driver_version: Text
    kernel: Text
    operating_system: Text
    numa_nodes: Annotated[int, Meta(ge=1)]


class GpuModel(Room, frozen=True, kw_only=True):
    """Identity of the GPUs; `pci_bus_ids` and `module_ids` in PCI order.

    A bus id has two hexadecimal digits, and eight of the domain before them where that is not 0: `00000008:01`.
    """

    name: Text
    pci_device_id: Annotated[str, Meta(pattern=r"^[0-9A-F]{4}$")]
    pci_subsystem_id: Annotated[str, Meta(pattern=r"^[0-9A-F]{4}$")]
    pci_bus_ids: tuple[Annotated[str, Meta(pattern=r"^([0-9A-F]{8}:)?[0-9A-F]{2}$")], ...]
    module_ids: tuple[Count, ...]
    board_part_number: Text
    vbios: Text
    inforom_image: Text
    serial_prefix: Text
    memory_total_mib: Annotated[int, Meta(gt=0)]
    sm_count: Annotated[int, Meta(gt=0)]
    compute_capability: Text


class ClockModel(Room, frozen=True, kw_only=True):
    """Clocks in MHz. `load_mhz` is the SM clock of the soak load at the power limit.

    Dynamic power follows the clock to the power `power_exponent`. Leakage takes `load_percent_per_kelvin` from the
    clock where the power limit holds; where something else holds the clock, it adds the same to the power. When a load
    begins, the clock climbs from idle with the time constant `ramp_s`.
    """

    sm_max_mhz: Positive
    sm_idle_mhz: Positive
    sm_minimum_mhz: Positive
    memory_mhz: Positive
    load_mhz: Positive
    power_exponent: Annotated[float, Meta(ge=1.0, le=3.0)]
    load_percent_per_kelvin: float
    ramp_s: Positive = 0.3


class MemoryModel(Room, frozen=True, kw_only=True):
    """Device memory: GB/s of each sweep kernel at `reference_c`, and what heat takes from it."""

    read: Positive
    write: Positive
    copy: Positive
    triad: Positive
    local_copy_ce: Positive
    peak: Positive
    reference_c: float
    percent_per_kelvin: float
    slow_above_c: float
    slow_percent: float
    slower_above_c: float
    slower_percent: float
    sm_clock_knee_mhz: Positive


class HostModel(Room, frozen=True, kw_only=True):
    """Copies between host and GPU, GB/s: by copy engine, by SM kernel, and what limits them together.

    What has a default is judgement, for models that do not state it; SM kernels are then as fast as copy engines. The
    two `…_bidirectional` are what each direction has left while the other one runs. `memory_per_numa_node` is what the
    memory of one socket gives to all its GPUs in one direction (300 to 500 GB/s of DDR5), and `far_percent` what is
    lost where the memory belongs to the other socket.
    """

    host_to_device: Positive
    device_to_host: Positive
    host_to_device_bidirectional: Positive
    device_to_host_bidirectional: Positive
    host_to_device_sm: Positive | None = None
    device_to_host_sm: Positive | None = None
    memory_per_numa_node: Positive = 400.0
    far_percent: Annotated[float, Meta(gt=-100.0, le=0.0)] = -20.0


class PcieModel(Room, frozen=True, kw_only=True):
    """PCIe link of each GPU. An idle link goes down to `generation_idle`; the maximum is as NVML says it."""

    generation: Annotated[int, Meta(ge=1, le=7)] = 5
    generation_max: Annotated[int, Meta(ge=1, le=7)] = 5
    generation_idle: Annotated[int, Meta(ge=1, le=7)] = 1
    width: Annotated[int, Meta(ge=1, le=16)] = 16
    replays_per_hour: NotNegative = 0.2
    c2c_links: Count = 0
    """Links to the memory of a Grace beside the GPU: host copies go through them."""


class ServerModel(Room, frozen=True, kw_only=True):
    """The machine around the GPUs: what is plugged in and how it is set up. The defaults are judgement."""

    ports: Count = 8
    port_rate_gbps: Positive = 400.0
    port_firmware: Text = "28.43.2566"
    nvme: Count = 8
    dimms: Count = 32
    power_supplies: Count = 6
    iommu: Text = "passthrough"
    governor: Text = "performance"
    peermem: Text = "loaded"
    uptime_s: NotNegative = 3600.0


class NvlinkModel(Room, frozen=True, kw_only=True):
    """NVLink: links of each GPU, counters that this generation has, and GB/s of a pair over all links.

    A GPU without links (`links: 0`) has peers over PCIe: the rates are then those of PCIe, where `p2p` is `ok`.
    """

    links: Annotated[int, Meta(ge=0, le=36)]
    version: Text
    remote_type: Text
    switches: Count
    switch_ids_readable: bool = True
    """Whether NVML tells which switch a link ends at; on NVLink 5 it tells one id that is no device's."""
    raw_rate_mbps: Count
    p2p: Text = "ok"
    """P2P status of every pair, in NVML's words."""
    fabric: Literal["completed", "not supported"] = "completed"
    """Fabric registration: NVML has it from Hopper on, and only where there is a switch."""
    counters: tuple[LinkCounter, ...]
    read_ce: Positive
    write_ce: Positive
    bidirectional_read_ce: Positive
    bidirectional_write_ce: Positive
    read_sm: Positive
    write_sm: Positive
    bidirectional_read_sm: Positive
    bidirectional_write_sm: Positive


class PowerModel(Room, frozen=True, kw_only=True):
    """Power in W; the shares are of the enforced limit, and of time for `cap_time_share`.

    A reading is the mean of the `averaged_s` before it, of which the sensor looks at `sampled_share`: what the load
    draws differs by `ripple_w` (standard deviation) from one tenth of a second to the next, so a sensor that looks
    away scatters more.
    """

    limit_w: Positive
    minimum_limit_w: Positive
    idle_w: Positive
    static_w: Positive
    capped_share: Positive
    peak_share: Positive
    cap_time_share: Annotated[float, Meta(ge=0.0, le=1.0)]
    sampled_share: Annotated[float, Meta(gt=0.0, le=1.0)] = 1.0
    averaged_s: Annotated[float, Meta(ge=0.1, le=10.0)] = 1.0
    ripple_w: NotNegative = 0.0


class Stage(Room, frozen=True, kw_only=True):
    """One stage of the thermal path (Foster form): T rises by R P with time constant tau."""

    resistance_k_per_kw: Positive
    time_constant_s: Positive


class ThermalModel(Room, frozen=True, kw_only=True):
    """From power to temperature, °C and K."""

    inlet_c: float
    inlet_wander_k: NotNegative
    stages: tuple[Stage, Stage, Stage]
    odd_module_percent: float
    memory_rise_percent: Positive
    flow_exponent: NotNegative
    maximum_c: float
    slowdown_margin_k: float
    margin_readable: bool = True
    """Whether NVML tells the margin to slowdown (from Ada on), or thresholds in °C to work it out from (Ampere)."""


class LoadModel(Room, frozen=True, kw_only=True):
    """The soak kernel: its name, its iterations a second at `clock.load_mhz`, and whether it can tell SMs apart."""

    implementation: Text
    iterations_per_s: Positive
    tells_sms: bool = True


class GemmModel(Room, frozen=True, kw_only=True):
    """Matrix products by the usual library, dense, TFLOP/s (int8: TOP/s) under the power limit; 0: not supported."""

    implementation: Text
    fp64: NotNegative
    tf32: NotNegative
    fp16: NotNegative
    bf16: NotNegative
    fp8: NotNegative
    int8: NotNegative


class EccModel(Room, frozen=True, kw_only=True):
    """Corrected errors of healthy parts: how many GPUs show any, and how often those do (log-normal)."""

    banks: Count
    """Banks of memory that the row remapper counts; on a new part all of them have all their spare rows."""
    remap_banks: Count
    remap_readable: bool = True
    """Whether NVML reads row remapping."""
    sram_threshold_readable: bool = True
    """Whether NVML reads the SRAM error threshold."""
    repair_readable: bool = True
    """Whether NVML reads pending channel and TPC repairs: on Blackwell with HBM."""
    share_with_corrected: Annotated[float, Meta(ge=0.0, le=1.0)]
    corrected_per_hour_median: NotNegative
    corrected_per_hour_log_sigma: NotNegative


class Spread(Room, frozen=True, kw_only=True):
    """Standard deviations at four levels: repeat and visit (Student t, 4 degrees of freedom), GPU and node (normal).

    `gpu` of copies is as seen in one visit, so it holds that visit's scatter. Of the soak, `visit` is normal too.
    `correlation` is that of neighbouring repeats of one visit of copies (AR(1)); 0 draws each by itself.
    """

    repeat: NotNegative
    visit: NotNegative
    gpu: NotNegative
    node: NotNegative
    correlation: Annotated[float, Meta(ge=0.0, le=0.99)] = 0.0
    tails: Literal["t3", "t4", "normal"] = "t4"
    """How copies and matrix products scatter by repeat and visit: Student t (3 or 4 degrees of freedom) or normal."""


class NoiseModel(Room, frozen=True, kw_only=True):
    """Noise by quantity: percent of the value; the last four in W, W, MHz and K."""

    hbm: Spread
    host: Spread
    nvlink_ce: Spread
    nvlink_sm: Spread
    iterations: Spread
    thermal_resistance: Spread
    power_w: Spread
    idle_power_w: Spread
    sm_clock_mhz: Spread
    temperature_k: Spread
    slow_repeat_share: Annotated[float, Meta(ge=0.0, le=1.0)]
    timer: NotNegative = 0.02
    """How wrong the timer of a GPU runs, percent of the time, normal: no repetition shows it. 100 ppm of the clock, and
    what is not known of it [judgement]."""


class HardwareModel(Room, frozen=True, kw_only=True):
    """A complete node model, one file: profiles/scenarios/hgx-b200.yaml is the example."""

    kind: Literal["model"]
    name: Text
    description: Text
    cooling: Literal["air", "liquid"]
    node: NodeModel
    gpu: GpuModel
    clock: ClockModel
    memory: MemoryModel
    host: HostModel
    pcie: PcieModel = PcieModel()
    server: ServerModel = ServerModel()
    nvlink: NvlinkModel
    power: PowerModel
    thermal: ThermalModel
    load: LoadModel
    gemm: GemmModel | None = None
    ecc: EccModel
    noise: NoiseModel

    @property
    def gpus(self) -> int:
        """How many GPUs the node has."""
        return len(self.gpu.pci_bus_ids)


class When(Room, frozen=True, kw_only=True, omit_defaults=True):
    """Conditions; all that are given must hold. Temperatures in °C of the target's own GPU (of any, for the node)."""

    temperature_above: float | None = None
    memory_temperature_above: float | None = None
    gpus_active_above: int | None = None
    """More than this many GPUs run the soak load."""
    pulses: Literal["any", "in phase", "out of phase"] | None = None
    """Square waves of load run."""
    pulses_above_hz: float | None = None
    pulses_below_hz: float | None = None


class Deviation(Room, frozen=True, kw_only=True, omit_defaults=True, rename={"from_": "from"}):
    """One parameter of some subjects that differs from the model: exactly one of factor, value and add."""

    target: Annotated[str, Meta(min_length=1, max_length=80)]
    parameter: Annotated[str, Meta(min_length=1, max_length=60)]
    factor: float | None = None
    value: float | int | bool | str | None = None
    add: float | None = None
    from_: Duration = "0s"
    until: Duration | None = None
    when: When | None = None


class Scenario(Room, frozen=True, kw_only=True, omit_defaults=True):
    """A hardware model with deviations and named faults."""

    hardware: Annotated[str, Meta(min_length=1, max_length=200)]
    description: str = ""
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    set: tuple[Deviation, ...] = ()
    faults: tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...] = ()


def seconds(duration: str) -> float:
    """Seconds of a duration with unit, for example `1.5m` is 90."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        if duration.endswith(unit):
            return float(duration[: -len(unit)]) * factor
    raise ValueError(duration)
