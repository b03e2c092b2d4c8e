"""What verdicts show of a limit: the judged value of each subject, and the subject that was nearest to the limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from msgspec import Struct

from gpuaccept.data import Limit, MetricDeclaration, Scalar
from gpuaccept.judge.estimate import Sampled
from gpuaccept.judge.measured import Measured
from gpuaccept.judge.outcome import Value
from gpuaccept.judge.readings import as_shown


class Nothing:
    """Nothing was measured."""

    def value(self, subject: str) -> Value:
        return None, None

    def worst(self, subjects: tuple[str, ...]) -> str | None:
        return None


class Same(Struct, frozen=True):
    """All subjects show one and the same."""

    one: Value

    def value(self, subject: str) -> Value:
        return self.one

    def worst(self, subjects: tuple[str, ...]) -> str | None:
        return subjects[0]


class Medians(Struct, frozen=True):
    """The median of each subject, with U where the limit is put to it with a guard band."""

    limit: Limit
    declared: MetricDeclaration
    sampled: Sampled

    def value(self, subject: str) -> Value:
        visits = self.sampled.visits(subject)
        if not visits:
            return None, None
        y, guard = self.sampled.middles[subject], self.sampled.guard(len(visits))
        return y, guard * abs(y) if guard is not None and not self.limit.max_deviation else None

    def worst(self, subjects: tuple[str, ...]) -> str | None:
        return _nearest(self.limit, self.declared, subjects, self.sampled.middles.__getitem__)


class Readings(Struct, frozen=True):
    """The reading of each subject that is nearest to the limit."""

    limit: Limit
    declared: MetricDeclaration
    measured: Measured

    def value(self, subject: str) -> Value:
        visits = self.measured.visits(subject)
        samples = visits[0] if len(visits) == 1 else [*chain.from_iterable(visits)]
        return (as_shown(self.declared.kind, worst_sample(self.limit, samples)) if samples else None), None

    def worst(self, subjects: tuple[str, ...]) -> str | None:
        return _nearest(self.limit, self.declared, subjects, self._amount)

    def _amount(self, subject: str) -> float:
        found = self.value(subject)[0]
        return float(found) if isinstance(found, float | int) else 0.0


class Changed(Struct, frozen=True):
    """The change of each subject's counter."""

    limit: Limit
    declared: MetricDeclaration
    changes: Mapping[str, float]

    def value(self, subject: str) -> Value:
        return self.changes.get(subject), None

    def worst(self, subjects: tuple[str, ...]) -> str | None:
        return _nearest(self.limit, self.declared, subjects, self.changes.__getitem__)


def worst_sample(limit: Limit, samples: Sequence[Scalar]) -> Scalar:
    """The sample that is nearest to the limit's minimum or maximum, or beyond it the farthest; else the first."""
    if len(samples) == 1 or (limit.minimum is None and limit.maximum is None):
        return samples[0]
    try:
        return (min if limit.minimum is not None else max)(samples, key=float)
    except ValueError:
        return samples[0]


def _nearest(
    limit: Limit, declared: MetricDeclaration, subjects: tuple[str, ...], amount: Callable[[str], float]
) -> str:
    if limit.minimum is None and limit.maximum is None and limit.max_deviation is None:
        return subjects[0]
    highest = limit.maximum is not None or (limit.max_deviation is not None and declared.better == "lower")
    return (max if highest else min)(subjects, key=amount)
