"""Hand-made declarations of every metric, and small profiles to break."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gpuaccept.data import MetricDeclaration

# metric, subject, kind, unit, better, cold and hot
_METRICS = """
inventory.gpu_count_pci node counted GPUs
inventory.gpu_count_nvml node counted GPUs
inventory.gpu_count_cuda node counted GPUs
inventory.driver_version node read -
inventory.fabric_manager_version node read -
inventory.fabric_manager_matches_driver node counted -
inventory.model gpu read -
inventory.pci_device_id gpu read -
inventory.pci_subsystem_id gpu read -
inventory.serial gpu read -
inventory.uuid gpu read -
inventory.board_part_number gpu read -
inventory.vbios gpu read -
inventory.inforom_image gpu read -
inventory.inforom gpu read -
inventory.module_id gpu counted -
inventory.memory_total gpu read MiB
inventory.sm_count gpu counted SMs
inventory.ecc_mode gpu read -
inventory.ecc_mode_pending gpu read -
inventory.mig_mode gpu read -
inventory.mig_mode_pending gpu read -
inventory.persistence_mode gpu read -
inventory.compute_mode gpu read -
inventory.cc_mode gpu read -
inventory.power_limit_enforced gpu read W
inventory.sm_clock_max gpu read MHz
inventory.memory_clock_max gpu read MHz
inventory.recovery_action gpu read -
ecc.dram_corrected_aggregate gpu counted errors
ecc.dram_uncorrected_aggregate gpu counted errors
ecc.sram_corrected_aggregate gpu counted errors
ecc.sram_uncorrected_aggregate gpu counted errors
ecc.dram_uncorrected_new gpu difference errors
ecc.sram_uncorrected_new gpu difference errors
ecc.dram_corrected_new gpu rate errors/h
ecc.sram_corrected_new gpu rate errors/h
ecc.sram_threshold_exceeded gpu counted -
ecc.row_remapping_pending gpu counted -
ecc.row_remapping_failure gpu counted -
ecc.channel_repair_pending gpu counted -
ecc.tpc_repair_pending gpu counted -
ecc.remapped_rows_correctable gpu counted rows
ecc.remapped_rows_uncorrectable gpu counted rows
ecc.remap_banks_none gpu counted banks
ecc.remap_banks_low gpu counted banks
memory_bandwidth.read_sm gpu sampled GB/s higher state
memory_bandwidth.write_sm gpu sampled GB/s higher state
memory_bandwidth.copy_sm gpu sampled GB/s higher state
memory_bandwidth.triad_sm gpu sampled GB/s higher state
memory_bandwidth.device_local_copy gpu sampled GB/s higher state
memory_bandwidth.host_to_device_memcpy_ce gpu sampled GB/s higher state
memory_bandwidth.device_to_host_memcpy_ce gpu sampled GB/s higher state
memory_bandwidth.wrong_words gpu counted words lower state
memory_bandwidth.host_wrong_words gpu counted words lower state
nvlink.links_active gpu counted links
nvlink.state link read -
nvlink.raw_rate link read GB/s
nvlink.version link read -
nvlink.remote_type link read -
nvlink.fabric_state gpu read -
nvlink.fabric_status gpu read -
nvlink.fabric_health gpu read -
nvlink.p2p_read pair read -
nvlink.p2p_write pair read -
nvlink.common_ancestor pair read -
nvlink.recovery link counted events
nvlink.recovery_new link difference events
nvlink.recovery_failed_new link difference events
nvlink.effective_errors_new link difference events
nvlink.symbol_errors_new link difference events
nvlink.packet_errors_new link difference events
nvlink.crc_errors_new link difference events
nvlink.replay_errors_new link difference events
nvlink.device_to_device_memcpy_read_ce pair sampled GB/s higher state
nvlink.device_to_device_memcpy_write_ce pair sampled GB/s higher state
nvlink.device_to_device_bidirectional_memcpy_read_ce pair sampled GB/s higher state
nvlink.device_to_device_bidirectional_memcpy_write_ce pair sampled GB/s higher state
nvlink.device_to_device_memcpy_read_sm pair sampled GB/s higher state
nvlink.device_to_device_memcpy_write_sm pair sampled GB/s higher state
nvlink.wrong_words pair counted words lower state
thermal_soak.power_mean gpu read W neither mean
thermal_soak.temperature_max gpu read °C lower maximum
thermal_soak.memory_temperature_max gpu read °C lower maximum
thermal_soak.margin_min gpu read K higher minimum
thermal_soak.sm_clock_mean gpu read MHz neither mean
thermal_soak.sw_power_cap_share gpu read % neither share
thermal_soak.sw_thermal_share gpu read % lower share
thermal_soak.hw_thermal_share gpu read % lower share
thermal_soak.hw_power_brake_share gpu read % lower share
thermal_soak.energy gpu read J neither difference
thermal_soak.throughput_ratio gpu read - higher ratio_of_thirds
thermal_soak.unexplained_clock_share gpu read - lower mean
thermal_soak.duration gpu read s neither duration
thermal_soak.largest_gap gpu read s neither largest_gap
thermal_soak.mismatches gpu counted results
thermal_soak.load_implementation gpu read -
"""


def declared() -> dict[str, MetricDeclaration]:
    """All metrics by complete name."""
    out = {}
    for line in _METRICS.split("\n"):
        if line:
            name, subject, kind, unit, better, extra = [*line.split(), "neither", ""][:6]
            for state in ("_cold", "_hot") if extra == "state" else ("",):
                out[name + state] = MetricDeclaration(
                    name=name + state,
                    unit="" if unit == "-" else unit,
                    kind=kind,  # type: ignore[arg-type]
                    better=better,  # type: ignore[arg-type]
                    subject=subject,  # type: ignore[arg-type]
                    description=name,
                    series=name if extra not in ("", "state") else "",
                    reduction=extra if extra not in ("", "state") else None,  # type: ignore[arg-type]
                )
    return out


class NoParameters(msgspec.Struct, frozen=True):
    """Of inventory and ecc."""


class Bandwidth(msgspec.Struct, frozen=True):
    """Of memory_bandwidth."""

    paths: str = "device"
    repeats: Annotated[int, Meta(ge=1, le=50)] = 5


class Links(msgspec.Struct, frozen=True):
    """Of nvlink."""

    states: bool = True
    copies: bool = True


class Soak(msgspec.Struct, frozen=True):
    """Of thermal_soak."""

    duration_s: Annotated[float, Meta(gt=0, le=172800)] = 600.0


PARAMETERS: dict[str, type[msgspec.Struct]] = {
    "inventory": NoParameters,
    "ecc": NoParameters,
    "memory_bandwidth": Bandwidth,
    "nvlink": Links,
    "thermal_soak": Soak,
}

LIMIT = """
  - id: copy.floor
    metric: memory_bandwidth.copy_sm_hot
    minimum: 5975
    unit: GB/s
    cause: hardware
    action: replace
    source: assumption
    reference: 0.95 x 6290
"""

HARDWARE = """\
kind: hardware
name: small
version: "1"
title: A small profile
description: one check, one limit
pci_device_ids: ["2901"]
gpus: 8
links_per_gpu: 18
cooling: air
slots: {"1": SXM 1}
metrics:
  memory_bandwidth.copy_sm_hot:
    typical: 6290
    ceiling: 7672
    visit: {sigma_percent: 0.15, degrees_of_freedom: 100, source: assumption, reference: declared}
    gpu: {sigma_percent: 0.25, degrees_of_freedom: 100, source: assumption, reference: declared}
limits:%s
plans:
  acceptance:
    purpose: three hot visits
    acceptance: true
    steps:
      - {check: memory_bandwidth, state: hot}
      - {check: memory_bandwidth, state: hot, parameters: {paths: device}}
      - {check: memory_bandwidth, state: hot}
""" % LIMIT.rstrip("\n")  # noqa: UP031  (braces stay readable)


def write(folder: Path, name: str, text: str) -> str:
    """Write a file, and return its path as a user would type it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return str(path)
