"""Each check on the simulated node: healthy it yields what it declares, and every fault that it detects shows."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpuaccept.bundled import bundled
from gpuaccept.check import Check, Visit, full_name, gpu_subject
from gpuaccept.columns import pack
from gpuaccept.data import Column, Failure
from gpuaccept.device.open import DeviceSpec, check_spec, faults, open_node
from gpuaccept.errors import UsageError
from gpuaccept.run.loading import load_checks
from gpuaccept.run.plan import parameters_of, step_metrics

CHECKS = load_checks(None)
DEVICE = "mock:hgx-b200"
OTHER_DEVICES = ("mock:gb200-nvl72",)
"""Cooled by liquid, and beside a Grace: for faults that the first can't have."""
SOAK_S = 120.0
STATES = {"memory_bandwidth": "hot", "nvlink": "hot"}
AGREED = {"agreed_by": "nobody: a simulated node, 2026"}
GIVEN: dict[str, dict[str, Any]] = {"thermal_soak": {"duration_s": SOAK_S}, "power_pulse": AGREED}
OF_FAULT: dict[str, dict[str, Any]] = {
    "hbm_region_slow": {"paths": "regions"},
    "leak_slow": {"visits": 4},
    "pcie_both_ways_slow": {"state": "cold", "paths": "host_both_ways"},
}
"""Parameters under which a fault shows, the state, or visits until it does."""
STOPPING = {fault.name for fault in faults() if fault.needs_workers}
"""Faults that end or block the process: tests/acceptance runs them in workers."""
SHOWN_BY = {fault.name: fault.detects[0] for fault in faults()}
DETECTED = [(SHOWN_BY[name], name) for name in SHOWN_BY if name not in STOPPING]
"""The check that shows a fault by itself. What others see of it in a whole run is in checks/matrix.json."""


class Measured:
    """What visits to a check left: columns, failures, and the samples of every series."""

    def __init__(self) -> None:
        self.columns: list[Column] = []
        self.failures: list[Failure] = []
        self.series: dict[tuple[str, str], list[float]] = {}
        self.times: dict[str, list[float]] = {}

    def samples(self, metric: str) -> dict[str, list[Any]]:
        """Subject -> samples of all visits."""
        out: dict[str, list[Any]] = {}
        for column in self.columns:
            if column.metric == metric:
                for subject, samples in zip(column.subjects, column.samples, strict=True):
                    out.setdefault(subject, []).extend(samples)
        return out


def device_of(fault: str) -> str:
    """The first device that can have the fault."""
    for device in (DEVICE, *OTHER_DEVICES):
        with suppress(UsageError):
            check_spec(DeviceSpec(device=device, faults=(fault,)))
            return device
    raise AssertionError(f"no device that is tried here can have {fault}")


def measure(
    check: Check,
    faulty: tuple[str, ...] = (),
    visits: int = 1,
    device: str = DEVICE,
    state: str | None = None,
    **parameters: Any,
) -> Measured:
    """Visit a check; between visits ten minutes pass."""
    out = Measured()
    node = open_node(DeviceSpec(device=device, seed=5, faults=faulty), None, lambda gpu, call: None)

    def keep(block: dict[tuple[str, str], tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
        for key, (at, values) in block.items():
            out.series.setdefault(key, []).extend(values)
            out.times.setdefault(key[1], []).extend(at)

    for number in range(1, visits + 1):
        visit = Visit(
            check=check,
            parameters=parameters_of(check, {**GIVEN.get(check.name, {}), **parameters}),
            state=STATES.get(check.name, "") if state is None else state,
            visit=number,
            seed=number,
            on_series=keep,
            clock=node.now,
        )
        check.measure(node, visit)
        out.columns += visit.columns()
        out.failures += visit.failures
        node.wait(600.0)
    node.close()
    return out


def variants() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in CHECKS:
        yield name, {}
    yield from (("memory_bandwidth", {"paths": paths}) for paths in ("host", "host_both_ways", "host_sm"))
    yield "nvlink", {"copies": False}


@pytest.mark.parametrize(("name", "parameters"), list(variants()))
def test_a_healthy_node_yields_exactly_the_declared_metrics(name: str, parameters: dict[str, Any]) -> None:
    check = CHECKS[name].check
    found = measure(check, **parameters)
    state = STATES.get(name, "")
    planned = set(step_metrics(check, parameters_of(check, {**GIVEN.get(name, {}), **parameters}), state))
    derived = {full_name(name, metric, state) for metric in check.metrics if metric.reduction}
    unsupported = {failure.metric for failure in found.failures}
    assert {column.metric for column in found.columns} == planned - derived - unsupported
    assert unsupported <= {
        "nvlink.crc_errors_new", "nvlink.replay_errors_new",  # NVLink 5 has other counters
        "pcie.c2c_links_inactive", "pcie.c2c_errors_new",  # there is no Grace
    }  # fmt: skip
    assert {failure.subject for failure in found.failures} <= {"node"}  # said once, not for each of 144 links


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_every_subject_is_there_once_and_in_order(name: str) -> None:
    from gpuaccept.judge.subjects import expected

    kinds = {full_name(name, m, STATES.get(name, "")): m.subject for m in CHECKS[name].check.metrics}
    for column in measure(CHECKS[name].check).columns:
        assert column.subjects == expected(kinds[column.metric], 8, 18), column.metric


@pytest.mark.parametrize(("name", "fault"), DETECTED)
def test_every_fault_that_a_check_detects_moves_what_it_measures(name: str, fault: str) -> None:
    check = CHECKS[name].check
    given = {"visits": 2, "device": device_of(fault), **OF_FAULT.get(fault, {})}
    healthy, faulty = measure(check, **given), measure(check, (fault,), **given)
    truth = next(one for one in faults() if one.name == fault)
    assert fault in check.detects
    state = given.get("state", STATES.get(name, ""))
    metric = next((m for m in check.metrics if full_name(name, m, state) == f"{name}.{truth.detects[1]}"), None)
    assert metric is not None, f"{fault} is seen by {truth.detects}, which {name} does not declare"
    if truth.verdict == "error":
        assert faulty.failures and not healthy.failures
        assert {failure.subject for failure in faulty.failures} == {truth.victim(truth.defaults)}
    elif metric.reduction:
        key = (f"{name}.{metric.series}", gpu_subject(2))
        assert faulty.series[key] != healthy.series[key]
    else:
        before, after = healthy.samples(f"{name}.{truth.detects[1]}"), faulty.samples(f"{name}.{truth.detects[1]}")
        assert before != after


def test_a_soak_has_a_sample_every_second_of_every_gpu_and_no_unexplained_clock() -> None:
    found = measure(CHECKS["thermal_soak"].check)
    names = {name for name, _ in CHECKS["thermal_soak"].check.series}
    assert {series for series, _ in found.series} == {f"thermal_soak.{name}" for name in names}
    assert all(len(values) == SOAK_S + 1 for values in found.series.values())
    settled = found.series["thermal_soak.unexplained_clock", "gpu/0"][30:]
    assert not any(settled)


def test_a_locked_clock_is_unexplained_on_its_gpu_alone() -> None:
    found = measure(CHECKS["thermal_soak"].check, ("clock_capped:gpu=3",))
    shares = {
        subject: sum(values[30:]) / len(values[30:])
        for (series, subject), values in found.series.items()
        if series == "thermal_soak.unexplained_clock"
    }
    assert shares["gpu/3"] > 0.9
    assert max(share for subject, share in shares.items() if subject != "gpu/3") == 0.0


def test_a_lost_gpu_is_one_failure_and_the_others_soak_on() -> None:
    found = measure(CHECKS["thermal_soak"].check, ("gpu_fallen_off_bus:gpu=3,at_s=60",))
    assert [(f.metric, f.subject, f.code) for f in found.failures] == [("thermal_soak.*", "gpu/3", 15)]
    assert len(found.samples("thermal_soak.mismatches")) == 7
    assert len(found.series["thermal_soak.power", "gpu/2"]) == SOAK_S + 1


def test_a_pair_without_access_is_its_own_failure() -> None:
    found = measure(CHECKS["nvlink"].check, ("p2p_disabled:gpu=2,peer=5",))
    rates = found.samples("nvlink.device_to_device_memcpy_read_ce_hot")
    assert len(rates) == 54
    dead = {f.subject for f in found.failures if f.metric == "nvlink.device_to_device_memcpy_read_ce_hot"}
    assert dead == {"gpu/2>gpu/5", "gpu/5>gpu/2"}


def test_banks_that_lost_spare_rows_are_recorded_in_all_five_buckets() -> None:
    found = measure(CHECKS["ecc"].check, ("row_remap_pending:gpu=3",))
    counts = {name: found.samples(f"ecc.remap_banks_{name}") for name in ("max", "high", "partial", "low", "none")}
    assert [counts[name]["gpu/3"] for name in counts] == [["3967"], ["1"], ["0"], ["0"], ["0"]]
    assert [counts[name]["gpu/2"] for name in counts] == [["3968"], ["0"], ["0"], ["0"], ["0"]]


def test_a_link_that_ends_at_another_switch_sets_its_gpu_apart(tmp_path: Path) -> None:
    check = CHECKS["nvlink"].check
    healthy = measure(check, device="mock:hgx-h200", copies=False).samples("nvlink.remote_ids")
    path = tmp_path / "scenario.yaml"
    ends = "set: [{target: gpu/2/link/0, parameter: link.remote_pci_id, value: '00000000:06:00.0'}]"
    path.write_text(f"hardware: hgx-h200\n{ends}\n")
    faulty = measure(check, device=f"mock:{path}", copies=False).samples("nvlink.remote_ids")
    assert set(map(tuple, healthy.values())) == {
        ("5 00000000:05:00.0, 4 00000000:06:00.0, 5 00000000:07:00.0, 4 00000000:08:00.0",)
    }
    assert faulty.pop("gpu/2") == ["4 00000000:05:00.0, 5 00000000:06:00.0, 5 00000000:07:00.0, 4 00000000:08:00.0"]
    assert all(ends == healthy[subject] for subject, ends in faulty.items())


@pytest.mark.parametrize("device", ["hgx-a100", "hgx-h200", "hgx-b200", "l40s"])
def test_where_all_links_end_is_written_once_and_takes_little_room_where_it_is_not(device: str) -> None:
    columns = measure(CHECKS["nvlink"].check, device=f"mock:{device}", copies=False).columns
    (ends,) = pack(column for column in columns if column.metric == "nvlink.remote_ids")
    assert (ends.subjects, len(ends.samples)) == (("gpu/0..7",), 1)
    assert len(msgspec.json.encode(ends)) < 300
    assert 8 * len(msgspec.json.encode(ends.samples)) < 1000  # each GPU another


@pytest.mark.parametrize("gpus", [2, 3, 4, 7, 8])
def test_rounds_meet_every_ordered_pair_once_and_never_share_a_gpu(gpus: int) -> None:
    from importlib import import_module

    rounds = import_module(CHECKS["nvlink"].check.measure.__module__).rounds
    found = rounds(tuple(range(gpus)))
    pairs = [pair for group in found for pair in group]
    assert sorted(pairs) == [(a, b) for a in range(gpus) for b in range(gpus) if a != b]
    assert all(len({gpu for pair in group for gpu in pair}) == 2 * len(group) for group in found)
    if gpus == 8:
        assert len(found) == 14


def test_bandwidth_counts_bytes_as_the_docstring_says() -> None:
    found = measure(CHECKS["memory_bandwidth"].check)
    middle = {
        name: sorted(found.samples(f"memory_bandwidth.{name}_hot")["gpu/0"])[2]
        for name in ("read_sm", "copy_sm", "device_local_copy")
    }
    assert middle["read_sm"] == pytest.approx(7100, rel=0.03)
    assert middle["copy_sm"] == pytest.approx(6290, rel=0.03)
    assert middle["device_local_copy"] == pytest.approx(3149, rel=0.03)


def test_an_hgx_h100_counts_crc_errors_where_an_hgx_b200_cannot() -> None:
    node = open_node(DeviceSpec(device="mock:hgx-h100"), None, lambda gpu, call: None)
    check = CHECKS["nvlink"].check
    visit = Visit(check=check, parameters=parameters_of(check, {"copies": False}), clock=node.now)
    check.measure(node, visit)
    assert "nvlink.crc_errors_new" in {column.metric for column in visit.columns()}


def test_a_check_file_imports_nothing_but_the_public_api_and_the_standard_library() -> None:
    for path in sorted(bundled("checks").glob("*.py")):
        tree = ast.parse(path.read_text())
        modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        modules |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
        assert {m for m in modules if m.partition(".")[0] not in sys.stdlib_module_names} == {"gpuaccept.check"}, path
