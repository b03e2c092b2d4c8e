"""Every physical parameter of a simulated node that a scenario may set, with its subject and its type."""

from __future__ import annotations

from typing import Literal, NamedTuple

SubjectKind = Literal["node", "gpu", "link", "pair", "port"]
ValueType = Literal["number", "text", "flag", "sensor"]


class Parameter(NamedTuple):
    """`fixed` parameters hold for the whole run. `sensor` ones change a reading: as numbers, or `unavailable`."""

    kind: SubjectKind
    type: ValueType
    summary: str
    fixed: bool = False


def _gpu(type_: ValueType, summary: str, fixed: bool = False) -> Parameter:
    return Parameter("gpu", type_, summary, fixed)


PARAMETERS: dict[str, Parameter] = {
    "driver.version": Parameter("node", "text", "driver version that NVML reports", True),
    "fabric_manager.version": Parameter(
        "node", "text", "fabric manager version; `unknown` where it can't be asked", True
    ),
    "driver.reload": _gpu("flag", "the driver lets go of the GPU at `from`: counters that are volatile begin anew"),
    "tool.crash": Parameter("node", "flag", "the first process that measures dies"),
    # identity
    "gpu.present": _gpu("flag", "whether the GPU is on the bus when the node boots", True),
    "gpu.lost": _gpu(
        "flag", "fallen off the bus: NVML says lost, CUDA launches fail; for good, whatever `when` says later"
    ),
    "gpu.name": _gpu("text", "product name", True),
    "gpu.uuid": _gpu("text", "UUID", True),
    "gpu.serial": _gpu("text", "serial number", True),
    "gpu.board_part_number": _gpu("text", "board part number", True),
    "gpu.vbios": _gpu("text", "VBIOS version", True),
    "gpu.inforom_image": _gpu("text", "InfoROM image version", True),
    "gpu.inforom_corrupt": _gpu("flag", "InfoROM unreadable: no image version, serial and part number", True),
    "gpu.module_id": _gpu("number", "module id (socket on the baseboard)", True),
    "pci.device_id": _gpu("text", "PCI device id, four hexadecimal digits", True),
    "pci.subsystem_id": _gpu("text", "PCI subsystem id, four hexadecimal digits", True),
    "sm.count": _gpu("number", "streaming multiprocessors", True),
    "memory.total_mib": _gpu("number", "memory that NVML reports, MiB", True),
    "gpu.spread": _gpu("number", "how far the GPU is from a typical one: 1 as its seed says, 0 exactly typical", True),
    # modes
    "ecc.mode": _gpu("text", "ECC mode now"),
    "ecc.mode_pending": _gpu("text", "ECC mode after the next reset"),
    "mig.mode": _gpu("text", "MIG mode now"),
    "mig.mode_pending": _gpu("text", "MIG mode after the next reset"),
    "persistence.mode": _gpu("text", "persistence mode"),
    "compute.mode": _gpu("text", "compute mode"),
    "cc.mode": _gpu("text", "confidential computing mode"),
    "recovery.action": _gpu("text", "recovery action that the driver asks for"),
    # power, clocks, cooling
    "power.limit_w": _gpu("number", "enforced power limit, W"),
    "power.idle_w": _gpu("number", "power without load, W"),
    "power.brake_share": _gpu("number", "part of the time that the external power brake is asserted, 0 to 1"),
    "clock.sm_max_mhz": _gpu("number", "highest SM clock that NVML reports, MHz"),
    "clock.sm_lock_mhz": _gpu("number", "SM clock that a lock keeps below, MHz; no event reason shows it"),
    "clock.memory_mhz": _gpu("number", "memory clock, MHz"),
    "thermal.resistance": _gpu("number", "thermal resistance, as a share of the model's"),
    "thermal.flow": _gpu("number", "flow of the coolant (air or liquid), as a share of the model's"),
    "thermal.inlet_c": _gpu("number", "temperature of the coolant at the GPU's inlet, °C"),
    "thermal.memory_rise": _gpu("number", "rise of the memory's temperature, as a share of the model's"),
    "load.rate": _gpu("number", "iterations of the soak load, as a share of the model's"),
    "load.mismatches_per_hour": _gpu("number", "results of soak load and matrix products that differ now and then"),
    "sm.wrong": _gpu("number", "the SM that computes wrongly: in its mismatches, or always"),
    "sm.always_wrong": _gpu("flag", "the SM of `sm.wrong` is wrong in every result, and in the same way"),
    # memory and copies
    "memory.allocation_fails": _gpu("flag", "every allocation is refused as out of memory"),
    "memory.wrong_words": _gpu("number", "wrong words in each sweep"),
    "memory.fault_gib": _gpu("number", "where in the memory under test the next two begin, GiB"),
    "memory.stuck_bits": _gpu("number", "words with a bit stuck at 1, one after the other"),
    "memory.alias_gib": _gpu("number", "GiB that another address range answers for, which follows them"),
    "l2.flips_per_terabyte": _gpu("number", "bits that flip between L2 and SM, for each 10^12 bytes of march steps"),
    "hbm.region_first_gib": _gpu("number", "where the slow region begins, GiB"),
    "hbm.region_gib": _gpu("number", "size of the slow region, GiB"),
    "hbm.region_rate": _gpu("number", "rate of the slow region, as a share of the rest"),
    "hbm.bandwidth": _gpu("number", "all memory rates, as a share of the model's"),
    "hbm.read": _gpu("number", "read kernel, GB/s"),
    "hbm.write": _gpu("number", "write kernel, GB/s"),
    "hbm.copy": _gpu("number", "copy kernel, GB/s read and written"),
    "hbm.triad": _gpu("number", "triad kernel, GB/s read and written"),
    "hbm.local_copy_ce": _gpu("number", "copy engine within the GPU, GB/s one way"),
    "host.bandwidth": _gpu("number", "both host copies, as a share of the model's"),
    "host.host_to_device": _gpu("number", "host to GPU, GB/s"),
    "host.device_to_host": _gpu("number", "GPU to host, GB/s"),
    "host.both_ways": _gpu("number", "both host copies while both run, as a share of the model's"),
    "host.wrong_words": _gpu("number", "wrong words in each host copy"),
    # PCIe
    "pcie.generation": _gpu("number", "PCIe generation under load; the rates of host copies follow it"),
    "pcie.width": _gpu("number", "PCIe lanes that are trained; the rates of host copies follow it"),
    "pcie.uplink": _gpu(
        "number", "number of the up-link to the host that GPUs of this number share; 0: none is shared"
    ),
    "pcie.uplink_rate": _gpu("number", "what that up-link carries in each direction, GB/s"),
    "pcie.replays": _gpu("number", "PCIe replays before the run"),
    "pcie.replay_bits": _gpu("number", "width of the counter of PCIe replays: it begins anew when it is full"),
    "pcie.replay_stops": _gpu("flag", "that counter stands still when it is full"),
    "pcie.replays_per_hour": _gpu("number", "rate of PCIe replays"),
    "pcie.aer_correctable_per_hour": _gpu("number", "rate of corrected PCIe errors"),
    "pcie.aer_nonfatal_new": _gpu("number", "uncorrected PCIe errors that were not fatal, so far in the run"),
    "pcie.aer_fatal_new": _gpu("number", "fatal PCIe errors so far in the run"),
    "c2c.links_active": _gpu("number", "C2C links to the host that are active; the rates of host copies follow it"),
    "c2c.errors_per_hour": _gpu("number", "rate of C2C errors"),
    # the machine around the GPUs
    "gpu.numa_node": _gpu("number", "NUMA node that the firmware gives the GPU, -1 for none: there its copies go"),
    "gpu.xid": _gpu("number", "number of an XID that the driver logs for the GPU at `from`"),
    "gpu.other_processes": _gpu("number", "compute processes of others"),
    "host.iommu": Parameter("node", "text", "IOMMU: off, passthrough or translated"),
    "host.acs_redirect": Parameter("node", "number", "PCIe bridges above GPUs that redirect peer traffic"),
    "host.governor": Parameter("node", "text", "frequency governor of all CPUs, or `mixed`"),
    "host.numa_balancing": Parameter("node", "number", "automatic NUMA balancing, 0 or 1"),
    "host.peermem": Parameter("node", "text", "module for RDMA to GPU memory: loaded or not loaded"),
    "host.fabric_manager": Parameter("node", "text", "service of the fabric manager: active, inactive or failed"),
    "host.nvme": Parameter("node", "number", "NVMe drives that are found", True),
    "host.dimms": Parameter("node", "number", "memory modules that are found", True),
    "host.power_supplies": Parameter("node", "number", "power supplies that are found", True),
    "host.telemetry_readers": Parameter("node", "number", "other programs that read the GPUs"),
    "host.sxid": Parameter("node", "number", "number of a fatal SXid of link 30 of the first switch, logged at `from`"),
    "host.sxid_nonfatal": Parameter(
        "node", "number", "number of a non-fatal SXid of link 30 of the first switch, logged at `from`"
    ),
    "port.state": Parameter("port", "text", "state of the network port, for example active or down"),
    "port.rate_gbps": Parameter("port", "number", "rate of the network port, Gb/s"),
    "port.symbol_errors_per_hour": Parameter("port", "number", "rate of symbol errors of the network port"),
    "port.link_downed": Parameter("port", "number", "times that the network port lost its link"),
    "call.hang": _gpu("flag", "every call on this GPU blocks for ever"),
    "cuda.not_ready": _gpu("flag", "CUDA calls fail: system not ready (802)"),
    # ECC and repair
    "ecc.dram_corrected": _gpu("number", "corrected DRAM errors before the run"),
    "ecc.dram_uncorrected": _gpu("number", "uncorrected DRAM errors before the run"),
    "ecc.sram_corrected": _gpu("number", "corrected SRAM errors before the run"),
    "ecc.sram_uncorrected": _gpu("number", "uncorrected SRAM errors before the run"),
    "ecc.dram_corrected_new": _gpu("number", "corrected DRAM errors so far in the run"),
    "ecc.dram_uncorrected_new": _gpu("number", "uncorrected DRAM errors so far in the run"),
    "ecc.sram_corrected_new": _gpu("number", "corrected SRAM errors so far in the run"),
    "ecc.sram_uncorrected_new": _gpu("number", "uncorrected SRAM errors so far in the run"),
    "ecc.dram_corrected_per_hour": _gpu("number", "rate of corrected DRAM errors"),
    "ecc.dram_uncorrected_per_hour": _gpu("number", "rate of uncorrected DRAM errors"),
    "ecc.sram_corrected_per_hour": _gpu("number", "rate of corrected SRAM errors"),
    "ecc.sram_uncorrected_per_hour": _gpu("number", "rate of uncorrected SRAM errors"),
    "ecc.sram_threshold_exceeded": _gpu("flag", "SRAM error threshold exceeded"),
    "remap.rows_correctable": _gpu("number", "rows remapped for correctable errors"),
    "remap.rows_uncorrectable": _gpu("number", "rows remapped for uncorrectable errors"),
    "remap.pending": _gpu("flag", "a row remapping waits for a reset"),
    "remap.failure": _gpu("flag", "a row remapping failed"),
    "remap.banks_none": _gpu("number", "banks without spare rows"),
    "remap.banks_low": _gpu("number", "banks with few spare rows"),
    "remap.banks_partial": _gpu("number", "banks with some of their spare rows"),
    "remap.banks_high": _gpu("number", "banks with many of their spare rows; as a rule, one for each remapped row"),
    "repair.channel_pending": _gpu("flag", "a channel repair waits for a reset"),
    "repair.tpc_pending": _gpu("flag", "a TPC repair waits for a reset"),
    # fabric and links
    "fabric.state": _gpu("text", "fabric registration state"),
    "fabric.status": _gpu("text", "fabric registration status"),
    "fabric.health": _gpu("text", "fabric health flags that are set, or `healthy`"),
    "link.state": Parameter("link", "text", "on, off or sleep"),
    "link.bandwidth": Parameter("link", "number", "what the link carries, as a share of the model's"),
    "link.transmit": Parameter(
        "link", "number", "what the link carries away from its GPU, as a share of its bandwidth"
    ),
    "link.receive": Parameter("link", "number", "what the link carries to its GPU, as a share of its bandwidth"),
    "link.crowded": Parameter(
        "link", "number", "what the switch carries at this link while all GPUs copy to all, as a share of its bandwidth"
    ),
    "link.version": Parameter("link", "text", "NVLink version"),
    "link.remote_type": Parameter("link", "text", "what NVML sees at the other end: switch or gpu"),
    "link.remote_pci_id": Parameter("link", "text", "PCI id at the other end"),
    "link.raw_rate_mbps": Parameter("link", "number", "signalling rate, MB/s"),
    "link.recovery": Parameter("link", "number", "link recoveries before the run"),
    "link.recovery_per_hour": Parameter("link", "number", "rate of link recoveries"),
    "link.recovery_failed_per_hour": Parameter("link", "number", "rate of failed recoveries"),
    "link.effective_errors_per_hour": Parameter("link", "number", "rate of errors after correction (NVLink 5)"),
    "link.symbol_errors_per_hour": Parameter("link", "number", "rate of symbol errors (NVLink 5)"),
    "link.packet_errors_per_hour": Parameter("link", "number", "rate of wrong or discarded packets (NVLink 5)"),
    "link.crc_errors_per_hour": Parameter("link", "number", "rate of CRC errors (NVLink 4)"),
    "link.replay_errors_per_hour": Parameter("link", "number", "rate of replays (NVLink 4)"),
    "pair.p2p_read": Parameter("pair", "text", "P2P read status"),
    "pair.p2p_write": Parameter("pair", "text", "P2P write status"),
    "pair.common_ancestor": Parameter("pair", "text", "nearest common ancestor"),
    "pair.bandwidth": Parameter("pair", "number", "copies of the first GPU of the pair, as a share of the model's"),
    "pair.over_pcie": Parameter("pair", "flag", "copies of the pair take PCIe, not NVLink, and no status says so"),
    "pair.wrong_words": Parameter("pair", "number", "wrong words in each copy"),
    # sensors: what is read, not what is
    "bmc.inlet_c": Parameter("node", "sensor", "inlet temperature that the BMC shows, °C"),
    "sensor.power_w": _gpu("sensor", "power reading, W"),
    "sensor.temperature_c": _gpu("sensor", "GPU temperature reading, °C"),
    "sensor.memory_temperature_c": _gpu("sensor", "memory temperature reading, °C"),
    "sensor.margin_k": _gpu("sensor", "margin reading, K"),
    "sensor.sm_clock_mhz": _gpu("sensor", "SM clock reading, MHz"),
    "sensor.memory_clock_mhz": _gpu("sensor", "memory clock reading, MHz"),
    "sensor.event_reasons": _gpu("sensor", "clock event reasons, a bit mask"),
    "sensor.sw_power_cap_ns": _gpu("sensor", "power cap counter, ns"),
    "sensor.sw_thermal_ns": _gpu("sensor", "software thermal counter, ns"),
    "sensor.hw_thermal_ns": _gpu("sensor", "hardware thermal counter, ns"),
    "sensor.hw_power_brake_ns": _gpu("sensor", "power brake counter, ns"),
    "sensor.energy_mj": _gpu("sensor", "energy counter, mJ"),
}
