"""In this process or in workers: the same run gives the same signed bytes."""

from __future__ import annotations

import pytest

from gpuaccept.acceptance import Request, run_node
from gpuaccept.ambient import Fixed
from gpuaccept.device.open import DeviceSpec
from gpuaccept.profile.load import load_profile


@pytest.mark.parametrize("faults", [(), ("straggler",), ("gpu_missing",)], ids=str)
def test_a_run_in_process_gives_the_workers_bytes(faults: tuple[str, ...]) -> None:
    spec = DeviceSpec(device="mock:hgx-b200", seed=3, faults=faults)
    here, there = (
        run_node(
            Request(profile=load_profile("de-industrial-ai-cloud"), spec=spec, plan="node", in_process=in_process),
            Fixed(),
        )
        for in_process in (True, False)
    )

    assert here.envelope == there.envelope
    assert here.page == there.page
    assert here.series == there.series
