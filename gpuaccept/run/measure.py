"""All steps of a plan and, where they do not decide, further looks at what could not be decided."""

from __future__ import annotations

from gpuaccept.data import Cohort
from gpuaccept.judge import judge, look
from gpuaccept.run.journal import More
from gpuaccept.run.plan import further_steps
from gpuaccept.run.session import Session


def measure(session: Session, cohort: Cohort | None) -> None:
    """Measure what the journal's plan still lacks; every step ends up in the journal."""
    evidence, _ = session.journal.fold(summaries=False)
    session.run(evidence.plan.steps[session.number :])
    if cohort is not None:
        _look_again(
            session, cohort.looks, cohort.visits, 1 + max((step.look for step in evidence.plan.steps), default=1)
        )


def _look_again(session: Session, looks: int, visits: int, first: int) -> None:
    """Until all is decided, or the profile's looks are used up."""
    for number in range(first, looks + 1):
        if session.ended:
            return
        evidence, _ = session.journal.fold(summaries=False)
        again = look(evidence, judge(evidence))
        steps = further_steps(evidence.plan, again, number, visits)
        if not steps:
            return
        session.observer.looking_again(number, ", ".join(f"{check} {state}".strip() for check, state in again.checks))
        session.journal.append(More(steps=steps))
        session.run(steps)
