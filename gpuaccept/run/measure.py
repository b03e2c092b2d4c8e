"""All steps of a plan and, where they do not decide, further looks at what could not be decided."""

from __future__ import annotations

import msgspec

from gpuaccept.data import Cohort, Judgement
from gpuaccept.judge import judge, look
from gpuaccept.run.journal import More
from gpuaccept.run.plan import further_steps
from gpuaccept.run.session import Session


def measure(session: Session, cohort: Cohort | None) -> Judgement | None:
    """Measure what the journal's plan still lacks; every step ends up in the journal.

    Given back is the judgement of it all, where the last question was whether to look again.
    """
    evidence, _ = session.journal.fold(summaries=False)
    session.run(evidence.plan.steps[session.number :])
    if cohort is None:
        return None
    first = 1 + max((step.look for step in evidence.plan.steps), default=1)
    return _look_again(session, cohort.looks, cohort.visits, first)


def _look_again(session: Session, looks: int, visits: int, first: int) -> Judgement | None:
    """Until all is decided, or the profile's looks are used up."""
    for number in range(first, looks + 1):
        if session.ended:
            return None
        evidence, _ = session.journal.fold(summaries=False)
        # as it will be judged if this was all
        judgement = judge(msgspec.structs.replace(evidence, complete=True, incomplete_reason=""))
        again = look(evidence, judgement)
        steps = further_steps(evidence.plan, again, number, visits)
        if not steps:
            return judgement
        session.observer.looking_again(number, ", ".join(f"{check} {state}".strip() for check, state in again.checks))
        session.journal.append(More(steps=steps))
        session.run(steps)
    return None
