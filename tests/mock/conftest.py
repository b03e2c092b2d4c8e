"""Nodes of the simulator for its own tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from mock_raw import MakeNode

from gpuaccept.device.mock.node import MockNode
from gpuaccept.device.open import DeviceSpec, open_node


@pytest.fixture
def make_node(tmp_path: Path) -> MakeNode:
    """`make_node(seed=1, faults=(…), scenario="yaml text", start_s=0.0, model="hgx-b200")`."""

    def make(
        seed: int = 1,
        faults: tuple[str, ...] = (),
        scenario: str = "",
        start_s: float = 0.0,
        model: str = "hgx-b200",
        gpus: tuple[int, ...] | None = None,
    ) -> MockNode:
        device = f"mock:{model}"
        if scenario:
            path = tmp_path / f"scenario{abs(hash(scenario))}.yaml"
            path.write_text(f"hardware: {model}\n{scenario}", encoding="utf-8")
            device = f"mock:{path}"
        spec = DeviceSpec(device=device, seed=seed, faults=faults)
        node = open_node(spec, gpus, lambda gpu, call: None, start_s)
        assert isinstance(node, MockNode)
        return node

    return make
