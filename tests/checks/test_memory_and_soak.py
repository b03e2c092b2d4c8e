"""What memory_integrity, the region map and the soak say of what they see, and when a soak may end early."""

from __future__ import annotations

from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from test_checks_on_mock import CHECKS, Measured, measure

from gpuaccept.check import LoadResult, Sensors, Transfer, Unavailable, Visit, WrongWord
from gpuaccept.run.plan import parameters_of

SUBJECT = "gpu/2"


def source(check: str) -> ModuleType:
    return import_module(CHECKS[check].check.measure.__module__)


def one(found: Measured, metric: str) -> Any:
    return found.samples(metric)[SUBJECT][0]


def test_a_full_march_has_a_hundred_patterns_and_every_one_differs_from_the_one_before() -> None:
    patterns = source("memory_integrity").patterns
    for march, count in (("full", 100), ("short", 14)):
        steps = [pattern for _, pattern in patterns(march, 5)]
        assert len(steps) == count
        assert all(a != b for a, b in pairwise(steps))
    assert {p for _, p in patterns("full", 1)} != {p for _, p in patterns("full", 2)}  # other seeds, other data


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ((WrongWord(8, 0, 4, 0, 0, 1),), "transfer"),
        ((WrongWord(8, 0, 4, 4, 0, 1),), "transient"),
        ((WrongWord(8, 0, 4, 4, 8, 1),), "cell"),
        ((WrongWord(8, 2, 77, 77, 8, 1), WrongWord(1 << 30, 3, 99, 99, 8, 1)), "address"),
    ],
)
def test_wrong_words_are_told_apart(words: tuple[WrongWord, ...], kind: str) -> None:
    assert source("memory_integrity").kind_of(words) == kind


def test_integrity_says_where_and_under_which_pattern() -> None:
    alias = measure(CHECKS["memory_integrity"].check, ("hbm_address_alias",))
    assert int(one(alias, "memory_integrity.wrong_words")) > 1000
    assert "address at 25.000 GiB" in one(alias, "memory_integrity.findings")
    stuck = measure(CHECKS["memory_integrity"].check, ("hbm_stuck_bit",))
    assert one(stuck, "memory_integrity.wrong_words") == "0"
    assert int(one(stuck, "memory_integrity.dram_corrected")) > 30
    assert one(stuck, "memory_integrity.findings").startswith("most under walking one")
    assert one(stuck, "memory_integrity.coverage") == pytest.approx(97.3, abs=0.1)


def test_memory_that_can_not_be_had_is_no_pass() -> None:
    found = measure(CHECKS["memory_integrity"].check, ("memory_alloc_fails",))
    assert {(f.metric, f.subject) for f in found.failures} == {("memory_integrity.*", SUBJECT)}
    assert SUBJECT not in found.samples("memory_integrity.wrong_words")
    little = measure(CHECKS["memory_integrity"].check, share=0.5)
    assert one(little, "memory_integrity.coverage") == pytest.approx(50, abs=0.1)


def test_the_map_shows_where_memory_is_slow() -> None:
    found = measure(CHECKS["memory_bandwidth"].check, ("hbm_region_slow:first_gib=41,size_gib=3",), paths="regions")
    assert one(found, "memory_bandwidth.region_slowest_share") == pytest.approx(88, abs=2)
    assert 41 <= one(found, "memory_bandwidth.region_slowest_at") < 44
    steps = source("memory_bandwidth").MAP_STEPS
    drawn = one(found, "memory_bandwidth.region_map")
    assert [i for i, step in enumerate(drawn) if step == steps[-1]] == [41, 42, 43]
    assert len(drawn) == 174


class Disturbed:
    """A node whose one GPU reads 20 regions alike: in each map another is disturbed, and one is slow in all."""

    gpus = (0,)

    def __init__(self, slow: int | None) -> None:
        self.slow, self.maps = slow, 0

    def facts(self) -> SimpleNamespace:
        return SimpleNamespace(gpus=(SimpleNamespace(index=0, memory_total_bytes=20 << 30),))

    def memory_regions(self, gpu: int, region_bytes: int, passes: int, seed: int) -> tuple[Transfer, ...]:
        self.maps += 1
        disturbed = {self.maps: 1.3, self.slow: 1.05}
        return tuple([Transfer(int(1e6 * disturbed.get(i, 1.0)), region_bytes * passes, 0, 0) for i in range(20)])


@pytest.mark.parametrize(("slow", "share"), [(None, 100.0), (12, 95.24)])
def test_a_region_is_slow_only_where_it_is_so_each_time(slow: int | None, share: float) -> None:
    check = CHECKS["memory_bandwidth"].check
    visit = Visit(check, parameters_of(check, {"paths": "regions"}))
    check.measure(Disturbed(slow), visit)  # type: ignore[arg-type]
    samples = {column.metric: column.samples[0][0] for column in visit.columns()}
    assert not visit.failures
    assert samples["memory_bandwidth.region_slowest_share"] == share
    assert samples["memory_bandwidth.region_slowest_at"] == (slow or 0)


def test_products_of_a_precision_that_is_not_there_fail_alone() -> None:
    found = measure(CHECKS["compute"].check, device="mock:hgx-a100")
    assert {failure.metric for failure in found.failures} == {"compute.gemm_fp8"}
    assert len(found.samples("compute.gemm_bf16")) == 8


def blocks(start: float, fall_per_s: float, seconds: int) -> Sensors:
    at = tuple(map(float, range(seconds)))
    values = tuple(float(round(start - fall_per_s * t)) for t in at)
    empty: Any = (0,) * seconds
    return Sensors(at, *(values if name == "margin_k" else empty for name in Sensors._fields[1:]))


@pytest.mark.parametrize(
    ("start", "fall_per_s", "seconds", "steady"),
    [
        (30.0, 0.0, 300, True),
        (30.0, 0.0, 100, False),  # too early, however it looks
        (30.0, 0.05, 300, False),  # 15 K in 300 s: 600 s more of that are too much
        (10.0, 0.0, 300, False),  # too near to the need
    ],
)
def test_a_soak_may_end_only_where_the_margin_can_not_fall_too_far(
    start: float, fall_per_s: float, seconds: int, steady: bool
) -> None:
    module = source("thermal_soak")
    margin = module._Margin()
    margin.add(blocks(start, fall_per_s, seconds))
    assert margin.steady(module.Settings(end_early=True)) is steady


def test_a_soak_that_may_end_early_does_and_its_margin_would_have_stayed() -> None:
    early = measure(CHECKS["thermal_soak"].check, duration_s=1800.0, end_early=True)
    whole = measure(CHECKS["thermal_soak"].check, duration_s=1800.0)
    key = ("thermal_soak.margin", SUBJECT)
    assert len(early.series[key]) < 0.6 * len(whole.series[key])
    assert min(whole.series[key]) > 10
    bad = measure(CHECKS["thermal_soak"].check, ("thermal_interface_bad",), duration_s=1800.0, end_early=True)
    assert len(bad.series[key]) == len(whole.series[key])


def test_a_load_that_can_not_tell_sms_apart_says_so_and_counts_none_of_them(tmp_path: Path) -> None:
    file = tmp_path / "library.yaml"
    file.write_text("kind: model\nextends: hgx-b200\nload: {tells_sms: false}\n")
    found = measure(CHECKS["thermal_soak"].check, device=f"mock:{file}", duration_s=30.0)
    assert {(f.metric, f.reason) for f in found.failures} == {
        (f"thermal_soak.{name}", "this load can't tell which SM computed what")
        for name in ("odd_sms", "odd_sm_numbers")
    }
    assert len(found.failures) == 16 and not found.samples("thermal_soak.odd_sms")
    assert len(found.samples("thermal_soak.mismatches")) == len(found.samples("thermal_soak.digest")) == 8


@pytest.mark.parametrize(
    ("odd", "shown"),
    [
        ((), Unavailable("load result", 0, "no part of the load ran on SM 3, 7")),
        ((5,), 1),
    ],
    ids=["none is odd", "another is odd"],
)
def test_an_sm_on_which_the_load_never_ran_is_not_counted_as_a_good_one(
    odd: tuple[int, ...], shown: int | Unavailable
) -> None:
    result = LoadResult(10, len(odd), "soak", "00", odd, (3, 7))
    assert source("thermal_soak")._odd_sms(result)[0] == shown


@pytest.mark.parametrize("seconds", [60.0, 300.0])
def test_thermal_resistance_is_that_of_the_end_of_the_soak(seconds: float) -> None:
    found = measure(CHECKS["thermal_soak"].check, duration_s=seconds)
    window = int(min(120.0, seconds / 2)) + 1  # samples a second, both ends
    for gpu, (shown,) in found.samples("thermal_soak.thermal_resistance").items():
        heat, power = (found.series[f"thermal_soak.{name}", gpu][-window:] for name in ("temperature", "power"))
        (inlet,) = found.samples("thermal_soak.inlet_temperature")[gpu]
        rise = sum(heat) / window - inlet
        assert shown == pytest.approx(rise / (sum(power) / window) * 1000, abs=1.0)  # the inlet may change by 1 K
    assert len(found.samples("thermal_soak.thermal_resistance")) == 8


def test_bad_paste_shows_as_resistance_of_its_own_gpu() -> None:
    whole = measure(CHECKS["thermal_soak"].check, duration_s=300.0)
    bad = measure(CHECKS["thermal_soak"].check, ("thermal_interface_bad:gpu=2",), duration_s=300.0)
    name = "thermal_soak.thermal_resistance"
    assert one(bad, name) > 1.3 * one(whole, name)
    assert bad.samples(name)["gpu/0"] == whole.samples(name)["gpu/0"]


def test_without_an_inlet_resistance_is_not_measured_and_says_why(tmp_path: Path) -> None:
    file = tmp_path / "blind.yaml"
    file.write_text("hardware: hgx-b200\nset:\n  - {target: node, parameter: bmc.inlet_c, value: unavailable}\n")
    found = measure(CHECKS["thermal_soak"].check, device=f"mock:{file}", duration_s=30.0)
    assert {(f.metric, f.reason) for f in found.failures} == {
        (f"thermal_soak.{name}", "the BMC shows no sensor of the inlet")
        for name in ("inlet_temperature", "thermal_resistance")
    }
    assert len(found.samples("thermal_soak.mismatches")) == 8


def test_an_inlet_that_is_lost_during_the_soak_leaves_no_figure() -> None:
    module = source("thermal_soak")
    lost = Unavailable("ipmitool", 110, "the BMC did not answer")
    assert module._middle(24.0, 25.0) == 24.5
    assert module._middle(24.0, lost) == lost
    heat = module._Heat()
    heat.add(0, Sensors(tuple(map(float, range(60))), *[(50.0,) * 60] * 13))
    assert heat.resistance(0, lost) == lost
    assert heat.resistance(0, 25.0) == 500.0
    assert isinstance(heat.resistance(0, 50.0), Unavailable)  # no warmer than the inlet
