"""Limits of effect `valid`: where one is missed, what it conditions does not count, neither as pass nor as fail."""

from __future__ import annotations

from gpuaccept.data import Limit
from gpuaccept.judge.outcome import Miss, Outcome
from gpuaccept.judge.scope import Scope, in_plan
from gpuaccept.judge.subjects import NODE, pattern, related


def apply_conditions(scope: Scope, outcomes: list[Outcome]) -> None:
    """What a missed `valid` limit conditions is inconclusive on the same parts. Conditions do not chain."""
    missed: list[tuple[Limit, tuple[str, ...]]] = [
        (outcome.limit, tuple(outcome.misses))
        for outcome in outcomes
        if outcome.limit.effect == "valid" and outcome.misses
    ]
    missed += [
        (limit, (NODE,)) for limit in scope.cohort.limits if limit.effect == "valid" and not in_plan(scope, limit)
    ]
    for condition, where in missed:
        patterns = [pattern(glob) for glob in condition.valid_for]
        for outcome in outcomes:
            if outcome.limit is condition or not any(p.fullmatch(outcome.limit.metric) for p in patterns):
                continue
            for subject in outcome.subjects:
                before = outcome.misses.get(subject)
                if before is not None and before.result != "fail":
                    continue
                if any(related(subject, other) for other in where):
                    value, u = (before.value, before.uncertainty) if before else outcome.shows.value(subject)
                    reason = f"does not count: {condition.id} is not met"
                    outcome.misses[subject] = Miss(
                        subject, "inconclusive", value, u, reason, "condition", condition=condition
                    )
