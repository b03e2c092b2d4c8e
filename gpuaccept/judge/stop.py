"""The finding of a run that was stopped: one for all that it left undone, since there is one thing to do about it."""

from __future__ import annotations

from datetime import datetime

from gpuaccept.data import Evidence, Finding
from gpuaccept.judge.advice import again
from gpuaccept.judge.parts import part
from gpuaccept.judge.subjects import NODE
from gpuaccept.judge.wording import duration, with_unit

STEPS = "run.steps"
"""Stands for metric and limit: no check measures how far a run came, and no profile has to ask that it ends."""


def stopped(evidence: Evidence, undone: tuple[str, ...]) -> Finding:
    """How far the run came, and to run again. `undone` are the limits that it left without a verdict."""
    planned = {(s.check, s.state, s.visit, s.look) for s in evidence.plan.steps if not s.skip}
    completed = {(r.check, r.state, r.visit, r.look) for r in evidence.steps if r.outcome == "completed"}
    made = len(planned & completed)
    seconds = _lasted(evidence)
    after = f" after {duration(seconds)}" if seconds >= 1 else ""
    steps = f"{made} of {with_unit(len(planned), 'steps')} {'was' if made == 1 else 'were'} made"
    why = evidence.incomplete_reason or "its end is missing"
    longer = "with a later deadline, or none" if "deadline" in why else "and let it come to its end"
    return Finding(
        result="error",
        part=part(evidence, NODE),
        title=f"The run was stopped{after}: {steps}",
        metric=STEPS,
        limit=STEPS,
        value=float(made),
        unit="steps",
        requirement=f"= {with_unit(len(planned), 'steps')}",
        reason=f"{why}: {steps}"[:400],
        cause="tool",
        action="measure again",
        advice=(
            "What was not reached says nothing of the node: no part has to be looked at for it.",
            f"Run {again(evidence.plan)}, {longer}.",
        ),
        also=undone,
    )


def _lasted(evidence: Evidence) -> float:
    """Seconds from start to end; by its steps where no end was written down."""
    try:
        ended, started = map(datetime.fromisoformat, (evidence.ended_at, evidence.started_at))
        seconds = (ended - started).total_seconds()
    except (ValueError, TypeError):  # a record can hold any text, and a time without a zone
        seconds = 0.0
    return seconds if seconds > 0 else max((run.ended_s for run in evidence.steps), default=0.0)
