"""Each check file, unchanged, on each kind of device: no check can tell which one it has."""

from __future__ import annotations

import pytest

from gpuaccept.check import Node, SeriesBlock
from gpuaccept.data import PlannedStep
from gpuaccept.run.loading import load_checks
from gpuaccept.run.perform import perform

CHECKS = load_checks()
STEPS = {
    "inventory": PlannedStep(check="inventory", visit=1),
    "ecc": PlannedStep(check="ecc", visit=1),
    "memory_bandwidth device": PlannedStep(
        check="memory_bandwidth",
        state="hot",
        visit=1,
        parameters={"buffer_mib": 1, "passes": 1, "repeats": 3, "warm_up_passes": 0},
    ),
    "memory_bandwidth host": PlannedStep(
        check="memory_bandwidth",
        state="cold",
        visit=1,
        parameters={"paths": "host", "host_buffer_mib": 1, "repeats": 3},
    ),
    "host_bandwidth": PlannedStep(check="host_bandwidth", visit=1, parameters={"buffer_mib": 1, "passes": 2}),
    "nvlink": PlannedStep(
        check="nvlink", state="hot", visit=1, parameters={"buffer_mib": 1, "passes": 1, "repeats": 3}
    ),
    "pcie": PlannedStep(check="pcie", visit=1),
    "host": PlannedStep(check="host", visit=1),
    "memory_integrity": PlannedStep(check="memory_integrity", visit=1, parameters={"share": 0.05, "march": "short"}),
    "compute": PlannedStep(
        check="compute", visit=1, parameters={"precisions": "bf16", "size": 256, "passes": 1, "repeats": 3}
    ),
    "power_pulse": PlannedStep(
        check="power_pulse",
        visit=1,
        parameters={"agreed_by": "nobody: no real supply, 2026", "seconds": 0.02, "slowest_hz": 100.0},
    ),
    "thermal_soak": PlannedStep(check="thermal_soak", visit=1, parameters={"duration_s": 1.0, "interval_s": 0.5}),
}


def test_every_check_that_comes_with_gpuaccept_is_tried_here() -> None:
    assert {step.check for step in STEPS.values()} == set(CHECKS)


@pytest.mark.parametrize("name", STEPS)
def test_a_check_measures_all_that_it_declares_or_says_why_not(node: Node, name: str) -> None:
    step = STEPS[name]
    loaded = CHECKS[step.check]
    blocks: list[SeriesBlock] = []
    done = perform(node, loaded, step, 17, node.now(), blocks.append)
    declared = {metric.name for metric in loaded.declarations}
    measured = {column.metric for column in done.columns}
    assert measured <= declared
    assert all(column.subjects and all(column.samples) for column in done.columns)
    assert all(failure.reason and failure.call for failure in done.failures)
    assert measured or blocks or done.failures
    if name == "ecc":
        assert {f"ecc.remap_banks_{bucket}" for bucket in ("max", "high", "partial", "low", "none")} <= measured
    if name == "nvlink":
        (ends,) = (column for column in done.columns if column.metric == "nvlink.remote_ids")
        links = [sum(int(end.split()[0]) for end in str(text).split(", ")) for (text,) in ends.samples]
        assert links == [len(node.links(gpu)) for gpu in node.gpus]
    if name not in ("nvlink", "thermal_soak", "pcie", "host", "compute"):  # what every device measures
        # Pending repairs begin with Blackwell.
        assert not [failure for failure in done.failures if "repair_pending" not in failure.metric]
