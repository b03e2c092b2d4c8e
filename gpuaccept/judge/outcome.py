"""What one limit comes to: its subjects, and everything that is no pass. Passes make no objects."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from msgspec import Struct

from gpuaccept.data import Failure, Limit, MetricDeclaration, Result, Scalar

Why = Literal[
    "limit", "guard", "scatter", "fresh look", "condition", "not measured", "skipped", "not planned", "stopped"
]
"""What stands between a verdict and a pass."""

GRAVITY: dict[Result, int] = {"fail": 0, "error": 1, "inconclusive": 2, "skipped": 3, "pass": 4}
"""The gravest first."""


Value = tuple[Scalar | None, float | None]
"""A judged value and its expanded uncertainty, in the metric's unit."""


class Shown(Protocol):
    """What was judged on each subject."""

    def value(self, subject: str) -> Value:
        """The judged value and U; None for what is not there."""

    def worst(self, subjects: tuple[str, ...]) -> str | None:
        """Of subjects that all passed, the nearest to the limit; the first where nearness has no meaning."""


class Miss(NamedTuple):
    """One verdict that is no pass."""

    subject: str
    result: Result
    value: Scalar | None
    uncertainty: float | None
    reason: str
    why: Why
    failure: Failure | None = None
    condition: Condition | None = None
    """What keeps the verdict from counting."""
    missed: bool = False
    """The value is beyond the limit all the same: it only does not count."""

    middle: float | None = None
    """The node's median, where the value was compared with it."""

    @property
    def root(self) -> Miss:
        """What there is to act on: the condition's own verdict where there is one, else this."""
        return self.condition.miss if self.condition else self


class Condition(NamedTuple):
    """A `valid` limit that is no pass, and its own verdict: missed is something else than not measured."""

    limit: Limit
    miss: Miss


class Outcome(Struct):
    """One limit judged on all its subjects."""

    limit: Limit
    declared: MetricDeclaration | None
    subjects: tuple[str, ...]
    misses: dict[str, Miss]
    shows: Shown


def not_measured(subject: str, reason: str, failure: Failure | None = None, why: Why = "not measured") -> Miss:
    """A measurement that is asked for and is not there."""
    return Miss(subject, "skipped" if why == "skipped" else "error", None, None, reason, why, failure)
