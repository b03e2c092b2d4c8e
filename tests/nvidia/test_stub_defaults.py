"""The stub driver's defaults say where they are from, and what is said to be of a capture is what the capture shows."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

TESTS = Path(__file__).resolve().parent.parent
STUB, CAPTURES = TESTS / "stub_driver", TESTS / "data" / "nvidia_smi"
SOURCES = {"h200", "gb200", "link", "b200", "nvml.h", "published", "-"}
CAPTURED = {"h200", "gb200", "link"}
Value = int | str

WHERE: dict[str, tuple[str, str]] = {
    "name": ("product_name", "Product Name"),
    "board_part": ("", "Board Part Number"),
    "vbios": ("vbios_version", "VBIOS Version"),
    "inforom": ("", "Inforom Version/Image Version"),
    "serial_prefix": ("serial", ""),
    "chassis_serial": ("platformInfo/chassis_serial_number", ""),
    "platform.slot": ("platformInfo/slot_number", ""),
    "platform.tray": ("platformInfo/tray_index", ""),
    "platform.host": ("platformInfo/host_id", ""),
    "pci_device_id": ("", "PCI/Device Id"),
    "pci_subsystem_id": ("", "PCI/Sub System Id"),
    "memory_total_mib": ("", "FB Memory Usage/Total"),
    "memory_reserved_mib": ("fb_memory_usage/reserved", "FB Memory Usage/Reserved"),
    "temperature": ("temperature/gpu_temp", "Temperature/GPU Current Temp"),
    "margin": ("temperature/gpu_temp_tlimit", "Temperature/GPU T.Limit Temp"),
    "power_mw": ("gpu_power_readings/average_power_draw", "GPU Power Readings/Average Power Draw"),
    "power_limit_mw": ("", "GPU Power Readings/Current Power Limit"),
    "clock1": ("clocks/sm_clock", "Clocks/SM"),
    "clock2": ("clocks/mem_clock", "Clocks/Memory"),
    "max_clock1": ("", "Max Clocks/SM"),
    "max_clock2": ("", "Max Clocks/Memory"),
    "clocks_event_reasons": ("clocks_event_reasons/clocks_event_reason_gpu_idle", "Clocks Event Reasons/Idle"),
    "histogram.max": (
        "remapped_rows/row_remapper_histogram/row_remapper_histogram_max",
        "Remapped Rows/Bank Remap Availability Histogram/Max",
    ),
    "ecc": ("ecc_mode/current_ecc", "ECC Mode/Current"),
    "persistence": ("persistence_mode", "Persistence Mode"),
    "compute_mode": ("compute_mode", "Compute Mode"),
    "mig": ("mig_mode/current_mig", "MIG Mode/Current"),
    "pcie.gen": ("pci/pci_gpu_link_info/pcie_gen/current_link_gen", "PCI/GPU Link Info/PCIe Generation/Current"),
    "pcie.gen_max": ("pci/pci_gpu_link_info/pcie_gen/max_link_gen", "PCI/GPU Link Info/PCIe Generation/Max"),
    "pcie.width": ("pci/pci_gpu_link_info/link_widths/current_link_width", "PCI/GPU Link Info/Link Width/Current"),
    "pcie.width_max": ("pci/pci_gpu_link_info/link_widths/max_link_width", "PCI/GPU Link Info/Link Width/Max"),
    "fabric.state": ("", "Fabric/State"),
    "fabric.status": ("", "Fabric/Status"),
    "fabric.health": ("", "Fabric/Health/Bandwidth"),
    "fabric.summary": ("", "Fabric/Health/Summary"),
    "field74": ("clocks_event_reasons_counters/clocks_event_reasons_counters_sw_power_cap",
                "Clocks Event Reasons Counters/SW Power Capping"),
    "field82": ("temperature/memory_temp", "Temperature/Memory Current Temp"),
    "field94": ("pci/replay_counter", "PCI/Replays Since Reset"),
    "field170": ("", "GPU C2C Mode"),
    "field185": ("gpu_power_readings/average_power_draw", "GPU Power Readings/Average Power Draw"),
    "field186": ("gpu_power_readings/instant_power_draw", "GPU Power Readings/Instantaneous Power Draw"),
    "field195": ("temperature/gpu_temp_max_mem_tlimit_threshold", "Temperature/Memory Max Operating T.Limit Temp"),
    "field196": ("temperature/gpu_temp_max_gpu_tlimit_threshold", "Temperature/GPU Max Operating T.Limit Temp"),
    "field230": ("gpu_recovery_action", "GPU Recovery Action"),
    "field269": ("clocks_event_reasons_counters/clocks_event_reasons_counters_sw_therm_slowdown",
                 "Clocks Event Reasons Counters/SW Thermal Slowdown"),
    "field270": ("clocks_event_reasons_counters/clocks_event_reasons_counters_hw_therm_slowdown",
                 "Clocks Event Reasons Counters/HW Thermal Slowdown"),
    "field271": ("clocks_event_reasons_counters/clocks_event_reasons_counters_hw_power_brake",
                 "Clocks Event Reasons Counters/HW Power Braking"),
}  # fmt: skip
"""Key -> where `nvidia-smi -q -x` of the GB200 and `nvidia-smi -q` of the H200 say it; empty: not asked."""
MILLI = {"power_mw", "power_limit_mw", "field185", "field186", "field74", "field269", "field270", "field271"}
"""Shown in W and µs, told in mW and ns."""
SAYS = {"Enabled": 1, "Disabled": 0, "Active": 1, "Default": 0, "None": 0, "N/A": 0, "Completed": 3, "Success": 0}
"""NVML's numbers for words: a health that is not told (N/A) is a mask of 0."""


class Default(NamedTuple):
    """One default of the table, and the sources of its two columns."""

    key: str
    b200: Value
    h200: Value
    source: str
    h200_source: str


def table() -> list[Default]:
    """Every line of nvml_defaults.h that holds defaults."""
    out = []
    for line in (STUB / "nvml_defaults.h").read_text(encoding="utf-8").splitlines():
        entries = re.findall(r'\{"([\w.]+)", ([^,{}]+), ([^,{}]+)\}', line)
        if entries:
            tag = re.search(r"/\* \[([\w.-]+)\].*?(?:; h200 \[([\w.-]+)\])?(?:;[^[\]]*)? \*/", line)
            assert tag, f"without a source: {line}"
            out += [Default(key, _c(b200), _c(h200), tag[1], tag[2] or "h200") for key, b200, h200 in entries]
    return out


def _c(text: str) -> Value:
    """A C constant: a string, or shifted numbers with their suffix."""
    if text.startswith('"'):
        return str(ast.literal_eval(text))
    first, *shift = (int(part.strip().rstrip("L"), 0) for part in text.split("<<"))
    return first << shift[0] if shift else first


def gb200(key: str) -> str:
    """What the GB200's XML shows."""
    root = ElementTree.parse(CAPTURES / "qx_gb200_excerpt.xml").getroot()
    if key == "cuda_version":
        return str(root.findtext("cuda_version"))
    shown = root.findtext(f"gpu/{WHERE[key][0]}")
    assert shown is not None, key
    return shown


def h200(key: str) -> str:
    """What the H200's text shows."""
    path: list[str] = []
    for line in (CAPTURES / "q_h200_idle_excerpt.txt").read_text(encoding="utf-8").splitlines():
        name, colon, shown = line.partition(" : ")
        depth = (len(name) - len(name.lstrip())) // 4
        path[max(depth - 1, 0) :] = [name.strip()]
        if colon and "/".join(path) == WHERE[key][1]:
            return shown.strip()
    raise AssertionError(key)


def link(model: str, key: str) -> Value:
    """What `nvidia-smi nvlink -s` shows of its first GPU."""
    name = {"b200": "nvlink_s_gb200_53gb_elided.txt", "h200": "nvlink_s_h200_18_links.txt"}[model]
    first = (CAPTURES / name).read_text(encoding="utf-8").split("GPU 1:")[0]
    speeds = re.findall(r"Link \d+: ([\d.]+) GB/s", first)
    assert len(set(speeds)) == 1
    return {"field91": len(speeds), "field164": int(float(speeds[0]) * 1000), "field165": 1}[key]


def number(key: str, shown: str, default: Value) -> Value:
    """What is shown, as NVML would tell it; as text where the default is one."""
    if isinstance(default, str):
        return shown[: len(default)] if key == "serial_prefix" else shown
    if key == "field170":
        return {"Disabled": -1}[shown]
    if key == "cuda_version":
        major, minor = shown.split(".")
        return 1000 * int(major) + 10 * int(minor)
    if shown in SAYS:
        return SAYS[shown]
    if shown.startswith("0x"):
        return int(shown, 16)
    value = re.match(r"-?[\d.]+", shown)
    assert value, shown
    return round(float(value[0]) * (1000 if key in MILLI else 1))


@pytest.mark.parametrize("default", table(), ids=lambda default: default.key)
def test_a_default_is_what_its_capture_shows(default: Default) -> None:
    assert {default.source, default.h200_source} <= SOURCES
    for model, value, source in (
        ("b200", default.b200, default.source),
        ("h200", default.h200, default.h200_source),
    ):
        if default.key in ("field91", "field164", "field165"):
            assert value == link(model, default.key)
        elif source in CAPTURED:
            shown = gb200(default.key) if source == "gb200" else h200(default.key)
            assert value == number(default.key, shown, value), f"{model}: {shown}"


def test_no_value_of_a_healthy_gpu_stands_outside_of_the_table() -> None:
    """In the stub itself a default is 0 (no error, not set) or 1 (a link is up)."""
    code = (STUB / "nvml_stub.c").read_text(encoding="utf-8")
    assert re.findall(r'(?:keyed|num)\(\w+(?:\(\w+\))?, (?:[2-9]|\d{2,}|\d+ <<)[^"]*"[^"]*"', code) == []
    assert re.findall(r"static const \w+ \w+\[\] = \{", code) == []
    assert re.findall(r'"[0-9A-F]{8}:[0-9A-F]{2}:', code) == []
