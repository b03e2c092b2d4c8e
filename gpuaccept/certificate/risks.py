"""How often each limit on a measured figure is wrong, and the smallest loss that it sees."""

from __future__ import annotations

import math

from msgspec import Struct

from gpuaccept.certificate.lookup import Lookup
from gpuaccept.certificate.numbers import NARROW, number
from gpuaccept.judge import requirement, risk

NEGLIGIBLE = 1e-12
"""Below it the tails of no real distribution are known: shown as such."""


class Row(Struct, frozen=True):
    """One limit on a figure with uncertainty."""

    metric: str
    requirement: str
    uncertainty: str
    loss: str
    false_accept: str
    false_reject: str


def rows(look: Lookup) -> tuple[Row, ...]:
    """Every judged limit of which the profile declares enough to tell."""
    out = []
    for judged in look.judgement.judged:
        limit = look.limits.get(judged.limit)
        found = risk(limit, look.cohort) if limit is not None and look.cohort is not None else None
        if limit is None or found is None:
            continue
        out.append(
            Row(
                metric=limit.metric,
                requirement=requirement(limit),
                uncertainty=f"{number(found.uncertainty_percent, 2)}{NARROW}%",
                loss=f"{number(found.smallest_loss_percent, 1)}{NARROW}%",
                false_accept="–" if limit.max_deviation is not None else probability(found.false_accept),
                false_reject=probability(found.false_reject),
            )
        )
    return tuple(out)


def probability(value: float) -> str:
    """One significant digit and a power of ten: `2 · 10⁻⁶`."""
    if value < NEGLIGIBLE:
        return "< 10⁻¹²"
    if value >= 0.1:
        return number(value, 1)
    exponent = math.floor(math.log10(value))
    digit = round(value / 10**exponent)
    digit, exponent = (1, exponent + 1) if digit == 10 else (digit, exponent)
    return f"{digit} · 10⁻{str(-exponent).translate(_RAISED)}"


_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
