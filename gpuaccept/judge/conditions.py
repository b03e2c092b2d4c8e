"""Limits of effect `valid`: where one is missed, what it conditions does not count, neither as pass nor as fail."""

from __future__ import annotations

from collections.abc import Iterator

from gpuaccept.judge.outcome import Condition, Miss, Outcome, not_measured
from gpuaccept.judge.scope import Scope, in_plan
from gpuaccept.judge.subjects import NODE, pattern, related


def apply_conditions(scope: Scope, outcomes: list[Outcome]) -> None:
    """What a missed `valid` limit conditions is inconclusive on the same parts. Conditions do not chain."""
    for conditions in list(_missed(scope, outcomes)):
        limit = conditions[0].limit
        patterns = [pattern(glob) for glob in limit.valid_for]
        for outcome in outcomes:
            if outcome.limit is limit or not any(p.fullmatch(outcome.limit.metric) for p in patterns):
                continue
            for subject in outcome.subjects:
                before = outcome.misses.get(subject)
                if before is not None and before.result != "fail":
                    continue
                condition = next((one for one in conditions if related(subject, one.miss.subject)), None)
                if condition is not None:
                    value, u = (before.value, before.uncertainty) if before else outcome.shows.value(subject)
                    outcome.misses[subject] = Miss(
                        subject,
                        "inconclusive",
                        value,
                        u,
                        f"does not count: {_unmet(condition)}",
                        "condition",
                        condition=condition,
                        missed=before is not None,
                    )


def _missed(scope: Scope, outcomes: list[Outcome]) -> Iterator[list[Condition]]:
    """Verdicts of each condition that is no pass: what was measured and not met first, since it says the most."""
    own = [outcome for outcome in outcomes if outcome.limit.effect == "valid" and outcome.misses]
    for measured in (True, False):
        for outcome in own:
            if misses := [miss for miss in outcome.misses.values() if (miss.why == "limit") is measured]:
                yield [Condition(outcome.limit, miss) for miss in misses]
    for limit in scope.cohort.limits:
        if limit.effect == "valid" and not in_plan(scope, limit):
            reason = f"plan {scope.evidence.plan.name} does not measure {limit.metric}"
            yield [Condition(limit, not_measured(NODE, reason, why="not planned"))]


def _unmet(condition: Condition) -> str:
    limit, miss = condition
    undecided = miss.why in ("guard", "scatter", "fresh look")
    said = "is not met" if miss.why == "limit" else "could not be decided" if undecided else "was not measured"
    return f"{limit.id} {said} ({miss.reason})"
