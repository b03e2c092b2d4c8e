"""Planned against measured, for GPUs, links, pairs, steps, seconds of soak and requirements."""

from __future__ import annotations

from gpuaccept.data import Coverage, SubjectKind
from gpuaccept.judge.outcome import Outcome
from gpuaccept.judge.scope import Scope
from gpuaccept.judge.subjects import expected
from gpuaccept.judge.tables import Tables

_KINDS: tuple[tuple[SubjectKind, str, str], ...] = (
    ("gpu", "GPUs", "GPUs"),
    ("link", "NVLinks", "links"),
    ("pair", "GPU pairs", "pairs"),
)
_NOT_MEASURED = ("error", "skipped")
DURATION = "thermal_soak.duration"
WHOLE = 0.99
"""A soak counts from its first sample to its last, which is up to a period of each segment less than its load."""


def coverage(scope: Scope, data: Tables, outcomes: list[Outcome]) -> tuple[Coverage, ...]:
    """One entry for each kind of thing that the plan meant to measure.

    A GPU, link or pair counts as measured where every required limit on its kind was put to samples of it.
    """
    required = [outcome for outcome in outcomes if outcome.limit.effect == "require"]
    kinds = {outcome.declared.subject for outcome in required if outcome.declared is not None}
    missed = [outcome for outcome in required if outcome.misses]
    out = []
    for kind, what, unit in _KINDS:
        if kind in kinds:
            on_it = [o for o in missed if o.declared is not None and o.declared.subject == kind]
            lost = {s for o in on_it for s, miss in o.misses.items() if miss.result in _NOT_MEASURED}
            planned = expected(kind, scope.gpus, scope.cohort.links_per_gpu)
            out.append(_entry(what, unit, len(planned), len(planned) - len(lost.intersection(planned))))
    steps = scope.evidence.plan.steps
    done = {(r.check, r.state, r.visit, r.look) for r in scope.evidence.steps if r.outcome == "completed"}
    made = sum((s.check, s.state, s.visit, s.look) in done for s in steps)
    out.append(_entry("steps of the plan", "steps", len(steps), made))
    if soak := sum(float(s.parameters["duration_s"]) for s in steps if "duration_s" in s.parameters and s.look == 1):
        soaked = [min(soak, seconds) for seconds in _soaked(scope, data)]
        out.append(_entry("GPUs with the whole soak", "GPUs", scope.gpus, sum(s >= WHOLE * soak for s in soaked)))
        out.append(_entry("shortest soak of a GPU", "s", soak, min(soaked, default=0.0)))
    verdicts = sum(len(outcome.subjects) for outcome in required)
    open_ones = sum(miss.result in _NOT_MEASURED for outcome in missed for miss in outcome.misses.values())
    out.append(_entry("requirements", "verdicts", verdicts, verdicts - open_ones))
    return tuple(out)


def _soaked(scope: Scope, data: Tables) -> list[float]:
    """Seconds of soak of each GPU."""
    declared = scope.declared.get(DURATION)
    if declared is None:
        return []
    measured = data.of(declared).measured
    return [
        sum(value for samples in measured.visits(subject) for value in samples if isinstance(value, float))
        for subject in scope.expected(declared)
    ]


def _entry(what: str, unit: str, planned: float, measured: float) -> Coverage:
    return Coverage(what=what, unit=unit, planned=float(planned), measured=float(measured))
