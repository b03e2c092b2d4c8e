"""Properties of the judge that hold for any evidence."""

from __future__ import annotations

import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st
from judge_evidence import (
    COPY,
    COUNT,
    LIMITS,
    LINK_STATE,
    MARGIN,
    PAIR,
    PENDING,
    POWER,
    RECOVERY,
    edit,
    evidence,
    limit,
    lose,
    scale,
)
from msgspec.structs import replace

from gpuaccept.data import Evidence, Judgement, Limit
from gpuaccept.judge import judge, look

GPUS, LINKS = 4, 2
SMALL = [replace(one, equals=float(GPUS)) if one.metric == COUNT else one for one in LIMITS]
RANK = {"fail": 0, "inconclusive": 1, "pass": 2}
gpu_subjects = st.integers(0, GPUS - 1).map(lambda i: f"gpu/{i}")
quick = settings(max_examples=60)


def verdicts(judgement: Judgement) -> dict[tuple[str, str], str]:
    """Every verdict that is not a pass."""
    return {(one.limit, v.subject): v.result for one in judgement.judged for v in one.missed}


Fault = Callable[[Evidence], Evidence]
last_link = f"gpu/{GPUS - 1}/link/1"
FAULTS: dict[str, Fault] = {
    "healthy": lambda e: e,
    "slow": lambda e: scale(e, COPY, "gpu/1", 0.9),
    "near the floor": lambda e: scale(e, COPY, "gpu/1", 5905 / 6290),
    "straggler": lambda e: scale(e, COPY, "gpu/1", 0.97),
    "slow pair": lambda e: scale(e, PAIR, "gpu/0>gpu/2", 0.9),
    "link down": lambda e: edit(e, LINK_STATE, lambda s, x, c: ("inactive",) if s == last_link else x),
    "reset": lambda e: edit(e, RECOVERY, lambda s, x, c: ("0",) if s == last_link and c.at_s > 600 else x),
    "pending": lambda e: edit(e, PENDING, lambda s, x, c: ("1",) if s == "gpu/2" else x),
    "hot": lambda e: edit(e, MARGIN, lambda s, x, c: (3.0,) if s == "gpu/0" else x),
    "weak load": lambda e: edit(e, POWER, lambda s, x, c: (700.0,) if s == "gpu/0" else x),
    "lost early": lambda e: lose(e, 2, 3),
    "lost late": lambda e: lose(e, 2, 11),
    "one sample short": lambda e: edit(e, COPY, lambda s, x, c: x[1:] if s == "gpu/1" and c.at_s < 200 else x),
    "incomplete": lambda e: replace(e, complete=False),
}
faulty = st.builds(
    lambda names, seed, looks: _build(tuple(names), seed, looks),
    st.lists(st.sampled_from(sorted(FAULTS)), min_size=1, max_size=3),
    st.integers(0, 40),
    st.integers(1, 2),
)


def _build(names: tuple[str, ...], seed: int, looks: int) -> Evidence:
    found = evidence(gpus=GPUS, links=LINKS, limits=SMALL, seed=seed, looks=looks)
    for name in names:
        found = FAULTS[name](found)
    return found


@quick
@given(found=faulty, subject=gpu_subjects, factors=st.tuples(st.floats(0.8, 1.2), st.floats(0.8, 1.2)))
def test_a_better_value_never_gets_a_worse_verdict(found: Evidence, subject: str, factors: tuple[float, float]) -> None:
    results = [
        verdicts(judge(scale(found, COPY, subject, factor))).get(("copy-floor", subject), "pass")
        for factor in sorted(factors)
    ]
    if "error" not in results:
        assert RANK[results[0]] <= RANK[results[1]]


@quick
@given(found=faulty, floors=st.tuples(st.floats(5000, 7000), st.floats(5000, 7000)))
def test_a_harder_limit_never_gives_a_better_verdict(found: Evidence, floors: tuple[float, float]) -> None:
    def with_floor(value: float) -> dict[tuple[str, str], str]:
        of = found.profile.cohorts[0]
        limits = tuple(replace(one, minimum=value) if one.id == "copy-floor" else one for one in of.limits)
        return verdicts(judge(replace(found, profile=replace(found.profile, cohorts=(replace(of, limits=limits),)))))

    easy, hard = (with_floor(value) for value in sorted(floors))
    for i in range(GPUS):
        before, after = (one.get(("copy-floor", f"gpu/{i}"), "pass") for one in (easy, hard))
        if before != "error":
            assert RANK[after] <= RANK[before]


@quick
@given(found=faulty, seed=st.integers(0, 1000))
def test_the_order_of_columns_and_subjects_means_nothing(found: Evidence, seed: int) -> None:
    noise = random.Random(seed)
    columns = []
    for column in found.columns:
        rows = list(zip(column.subjects, column.samples, strict=True))
        noise.shuffle(rows)
        columns.append(replace(column, subjects=tuple(s for s, _ in rows), samples=tuple(x for _, x in rows)))
    noise.shuffle(columns)
    shuffled = replace(found, columns=tuple(columns))
    assert judge(shuffled) == judge(found)


@quick
@given(found=faulty, seed=st.integers(0, 1000))
def test_a_visit_in_pieces_is_the_same_visit(found: Evidence, seed: int) -> None:
    noise = random.Random(seed)
    columns = []
    for column in found.columns:
        cut = noise.randrange(len(column.subjects) + 1)
        for part in (slice(0, cut), slice(cut, None)):
            if column.subjects[part]:
                columns.append(replace(column, subjects=column.subjects[part], samples=column.samples[part]))
    assert judge(replace(found, columns=tuple(columns))) == judge(found)


@quick
@given(found=faulty, metric=st.sampled_from(sorted({one.metric for one in SMALL if one.effect != "observe"})))
def test_without_samples_nothing_passes(found: Evidence, metric: str) -> None:
    judgement = judge(replace(found, columns=tuple(c for c in found.columns if c.metric != metric)))
    assert all(one.passed == 0 for one in judgement.judged if one.metric == metric)
    assert judgement.decision != "accepted"


@quick
@given(
    found=faulty,
    extra=st.lists(
        st.builds(
            lambda metric, value, upper: limit(
                f"seen-{metric}-{value}-{upper}",
                metric,
                effect="observe",
                **({"maximum": value} if upper else {"minimum": value}),
            ),
            st.sampled_from([COPY, PAIR, PENDING, MARGIN, COUNT, RECOVERY]),
            st.floats(0, 1e4),
            st.booleans(),
        ),
        max_size=4,
    ),
)
def test_observed_limits_never_change_the_decision(found: Evidence, extra: list[Limit]) -> None:
    of = found.profile.cohorts[0]
    more = replace(found, profile=replace(found.profile, cohorts=(replace(of, limits=(*extra, *of.limits)),)))
    before, after = judge(found), judge(more)
    assert (before.decision, before.findings) == (after.decision, after.findings)
    assert look(found, before) == look(more, after)


@settings(max_examples=200)
@given(found=faulty, data=st.data())
def test_removing_evidence_never_turns_error_or_inconclusive_into_pass(found: Evidence, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["column", "failure", "visit", "sample", "subject"]))
    fewer = remove(found, kind, data)
    before, after = judge(found), judge(fewer)
    if before.decision == "not decided":
        assert after.decision != "accepted"
    now = verdicts(after)
    for (name, subject), result in verdicts(before).items():
        # the node's median may move when another GPU is no longer measured: then that GPU's own verdict is no pass
        if result in ("error", "inconclusive") and name != "copy-node":
            assert now.get((name, subject), "pass") != "pass"


def remove(found: Evidence, kind: str, data: st.DataObject) -> Evidence:
    pick = data.draw(st.integers(0, len(found.columns) - 1))
    column = found.columns[pick]
    if kind == "failure":
        failing = [i for i, run in enumerate(found.steps) if run.failures]
        if not failing:
            return found
        at = data.draw(st.sampled_from(failing))
        return replace(found, steps=tuple(replace(r, failures=()) if i == at else r for i, r in enumerate(found.steps)))
    if kind == "visit":
        run = data.draw(st.sampled_from(found.steps))
        return replace(
            found,
            steps=tuple(r for r in found.steps if r is not run),
            columns=tuple(c for c in found.columns if not run.started_s <= c.at_s <= run.ended_s),
        )
    if kind == "column":
        return replace(found, columns=tuple(c for c in found.columns if c is not column))
    row = data.draw(st.integers(0, len(column.subjects) - 1))
    if kind == "subject":
        smaller = replace(
            column,
            subjects=column.subjects[:row] + column.subjects[row + 1 :],
            samples=column.samples[:row] + column.samples[row + 1 :],
        )
    else:
        at = data.draw(st.integers(0, len(column.samples[row]) - 1))
        kept = column.samples[row][:at] + column.samples[row][at + 1 :]
        smaller = replace(column, samples=(*column.samples[:row], kept, *column.samples[row + 1 :]))
    return replace(found, columns=tuple(smaller if c is column else c for c in found.columns))
