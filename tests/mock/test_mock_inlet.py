"""The inlet temperature that the simulated BMC shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpuaccept.check import Node, Unavailable
from gpuaccept.device.open import DeviceSpec, open_node


def opened(folder: Path, line: str, hardware: str = "hgx-b200") -> Node:
    file = folder / "scenario.yaml"
    file.write_text(f"hardware: {hardware}\nset:\n  - {line}\n")
    return open_node(DeviceSpec(device=f"mock:{file}", seed=3), None, lambda gpu, call: None)


@pytest.mark.parametrize(
    ("line", "low", "high"),
    [
        ("{target: gpu/*, parameter: thermal.inlet_c, value: 40}", 36, 44),
        ("{target: gpu/3, parameter: thermal.inlet_c, value: 60}", 21, 29),  # the sensor sits at the node's front
        ("{target: node, parameter: bmc.inlet_c, value: 33.4}", 33, 33),
    ],
)
def test_the_bmc_shows_the_air_in_whole_degrees(tmp_path: Path, line: str, low: float, high: float) -> None:
    shown = opened(tmp_path, line).inlet()
    assert isinstance(shown, float) and shown == round(shown)
    assert low <= shown <= high


def test_the_inlet_wanders_with_the_hall() -> None:
    node = open_node(DeviceSpec(device="mock:hgx-b200", seed=3), None, lambda gpu, call: None)
    shown = set()
    for _ in range(12):
        shown.add(node.inlet())
        node.wait(1800)
    assert len(shown) > 1 and all(isinstance(one, float) and 20 <= one <= 30 for one in shown)


@pytest.mark.parametrize(
    ("line", "hardware", "said"),
    [
        ("{target: node, parameter: bmc.inlet_c, value: unavailable}", "hgx-b200", "no sensor of the inlet"),
        ("{target: node, parameter: bmc.inlet_c, value: 30}", "gb200-nvl72", "no sensor for the coolant"),
    ],
)
def test_a_bmc_may_have_no_such_sensor(tmp_path: Path, line: str, hardware: str, said: str) -> None:
    found = opened(tmp_path, line, hardware).inlet()
    assert isinstance(found, Unavailable) and said in found.reason
