"""Heat in the same slot of other nodes: what is proposed for each slot, and whom it flags."""

from __future__ import annotations

from pathlib import Path

import msgspec
import profile_records as records
import pytest

from gpuaccept.data import Column, Evidence, Limit
from gpuaccept.judge import judge
from gpuaccept.learn import Good, Learned, learn
from gpuaccept.learn.propose import applied
from gpuaccept.learn.slots import METRICS
from gpuaccept.profile.lint import lint
from gpuaccept.profile.load import LoadedProfile, load_profile
from gpuaccept.run.loading import declarations, load_checks

CHECKS = load_checks()
DECLARED = declarations(CHECKS)
RESISTANCE, TEMPERATURE = METRICS
BASE = load_profile("hgx-b200")
NODES = range(1, 21)


@pytest.fixture(scope="module")
def evidence() -> dict[int, Evidence]:
    """Twenty nodes, of which only what matters here was measured."""
    return {seed: records.real(records.measured(seed, plan="heat", profile=records.heat())) for seed in NODES}


def good(evidence: dict[int, Evidence]) -> list[Good]:
    return [Good(f"{seed}", "autumn" if seed % 2 else "spring", one) for seed, one in evidence.items()]


def without(evidence: Evidence, metric: str) -> Evidence:
    return msgspec.structs.replace(evidence, columns=tuple(c for c in evidence.columns if c.metric != metric))


def scaled(evidence: Evidence, metric: str, factor: float, gpus: tuple[int, ...] = tuple(range(8))) -> Evidence:
    def change(column: Column) -> Column:
        if column.metric != metric:
            return column
        rows = (tuple(float(v) * (factor if i in gpus else 1) for v in row) for i, row in enumerate(column.samples))
        return msgspec.structs.replace(column, samples=tuple(rows))

    return msgspec.structs.replace(evidence, columns=tuple(map(change, evidence.columns)))


def learned_from(evidence: dict[int, Evidence], slot_share: float = 0.999) -> Learned:
    return learn(BASE.profile, good(evidence), DECLARED, 0.999999, 0.95, slot_share)


@pytest.fixture(scope="module")
def found(evidence: dict[int, Evidence]) -> Learned:
    return learned_from(evidence, 0.99)


def of_slots(found: Learned, metric: str = RESISTANCE) -> dict[str, Limit]:
    return {limit.subjects: limit for limit in found.limits if limit.metric == metric}


def flagged(evidence: Evidence, found: Learned, metric: str = RESISTANCE) -> dict[str, str]:
    """Subject -> verdict, of what the slots' limits do not pass."""
    profile = applied(BASE.profile, found)
    (cohort,) = profile.cohorts
    cohort = msgspec.structs.replace(cohort, plans=evidence.profile.cohorts[0].plans)
    plan = msgspec.structs.replace(evidence.plan, cohort=cohort.name)
    profile = msgspec.structs.replace(profile, cohorts=(cohort,))
    ids = {limit.id for limit in of_slots(found, metric).values()}
    judged = judge(msgspec.structs.replace(evidence, profile=profile, plan=plan)).judged
    return {miss.subject: miss.result for one in judged if one.limit in ids for miss in one.missed}


def test_each_slot_gets_a_limit_that_only_observes(found: Learned) -> None:
    limits = of_slots(found)
    assert sorted(limits) == [f"gpu/{gpu}" for gpu in range(8)]
    assert {limit.effect for limit in limits.values()} == {"observe"}
    assert {limit.id for limit in limits.values()} == {f"learned.thermal_resistance.module-{m}" for m in range(1, 9)}
    assert "slot SXM" in limits["gpu/0"].reference and "20 good nodes of 2 lots" in limits["gpu/0"].reference
    assert not of_slots(found, TEMPERATURE)
    parameters = {name: one.check.parameters for name, one in CHECKS.items()}
    assert lint(LoadedProfile(applied(BASE.profile, found), BASE.layers, {}), DECLARED, parameters) == ()


def test_odd_slots_are_warmer_and_their_limits_allow_for_it(evidence: dict[int, Evidence]) -> None:
    found = learned_from(evidence)
    modules = {f"gpu/{gpu.index}": gpu.module_id or 0 for gpu in evidence[1].node.gpus}
    limits = of_slots(found)
    odd = [limit.maximum or 0.0 for subject, limit in limits.items() if modules[subject] % 2]
    even = [limit.maximum or 0.0 for subject, limit in limits.items() if not modules[subject] % 2]
    assert sum(odd) / 4 - sum(even) / 4 == pytest.approx(3.5, abs=1.7)  # K/kW at 1 kW: 11 % of 31.5 K
    for seed in (*NODES, *range(301, 307)):
        node = evidence[seed] if seed in evidence else records.measured(seed, plan="heat", profile=records.heat())
        assert flagged(node, found) == {}, seed


def test_a_gpu_with_a_third_more_resistance_is_flagged_and_its_neighbours_are_not(
    found: Learned, tmp_path: Path
) -> None:
    file = tmp_path / "pumpout.yaml"
    file.write_text(
        "hardware: hgx-b200\nset:\n"
        "  - {target: gpu/5, parameter: thermal.resistance, factor: 1.3}\n"
        "  - {target: gpu/5, parameter: gpu.spread, value: 0}\n"
    )
    node = records.measured(303, str(file), "heat", records.heat())
    assert flagged(node, found) == {"gpu/5": "fail"}


def test_the_limit_depends_on_the_number_of_nodes_and_the_share(evidence: dict[int, Evidence]) -> None:
    many = {seed + 100 * copy: one for copy in range(3) for seed, one in evidence.items()}
    wide, narrow = of_slots(learned_from(evidence)), of_slots(learned_from(many))
    assert all((narrow[s].maximum or 0) < (wide[s].maximum or 0) for s in wide)
    wider = of_slots(learned_from(evidence, 0.99999))
    assert all((wide[s].maximum or 0) < (wider[s].maximum or 0) for s in wide)


def test_without_an_inlet_the_temperature_in_the_same_slot_is_compared(evidence: dict[int, Evidence]) -> None:
    blind = {seed: without(one, RESISTANCE) if seed == 7 else one for seed, one in evidence.items()}
    found = learned_from(blind)
    limits = of_slots(found, TEMPERATURE)
    assert len(limits) == 8 and not of_slots(found)
    assert all(55 < (limit.maximum or 0) < 90 and limit.unit == "°C" for limit in limits.values())
    hot = scaled(evidence[3], TEMPERATURE, 1.4, (2,))
    assert flagged(hot, found, TEMPERATURE) == {"gpu/2": "fail"}


def test_a_lot_that_is_warmer_is_named_instead_of_limits(evidence: dict[int, Evidence]) -> None:
    warm = {seed: scaled(one, RESISTANCE, 1.5) if seed % 2 else one for seed, one in evidence.items()}
    found = learned_from(warm)
    assert not of_slots(found)
    reasons = [one.reason for one in found.outcomes if one.metric.startswith(RESISTANCE)]
    assert len(reasons) == 8 and all(reason.startswith("lot autumn differs") for reason in reasons)


def test_a_limit_that_is_there_never_gets_looser(evidence: dict[int, Evidence], found: Learned) -> None:
    again = learn(applied(BASE.profile, found), good(evidence), DECLARED, 0.999999, 0.95, 0.999)
    kept = [one for one in again.outcomes if one.metric.startswith(RESISTANCE)]
    assert {one.result for one in kept} == {"kept"} and not of_slots(again)
    tighter = learn(applied(BASE.profile, again), good(evidence), DECLARED, 0.999999, 0.95, 0.98)
    assert {one.result for one in tighter.outcomes if one.metric == RESISTANCE} == {"raised"}


def test_a_gpu_number_that_means_another_slot_is_not_compared(evidence: dict[int, Evidence], found: Learned) -> None:
    def swapped(one: Evidence) -> Evidence:
        modules = {0: one.node.gpus[1].module_id, 1: one.node.gpus[0].module_id}
        gpus = tuple(msgspec.structs.replace(g, module_id=modules.get(g.index, g.module_id)) for g in one.node.gpus)
        columns = tuple(
            msgspec.structs.replace(c, samples=(c.samples[1], c.samples[0], *c.samples[2:]))
            if c.metric == "inventory.module_id"
            else c
            for c in one.columns
        )
        return msgspec.structs.replace(one, node=msgspec.structs.replace(one.node, gpus=gpus), columns=columns)

    assert flagged(swapped(evidence[2]), found) == {"gpu/0": "inconclusive", "gpu/1": "inconclusive"}
    mixed = learned_from({**evidence, 4: swapped(evidence[4])})
    assert not of_slots(mixed)
    assert any("means no one slot here" in one.reason for one in mixed.outcomes)
