"""The evidence by metric: samples, medians and changes, each worked out once for all limits of a metric."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gpuaccept.data import Column, MetricDeclaration
from gpuaccept.judge.changes import Changes, changes
from gpuaccept.judge.estimate import Sampled
from gpuaccept.judge.measured import Measured
from gpuaccept.judge.scope import Scope


class Tables(Struct):
    """Samples by metric, sorted out once for all limits of a metric."""

    scope: Scope
    columns: Mapping[str, list[Column]]
    _measured: dict[str, Measured] = {}
    _sampled: dict[str, Sampled] = {}
    _changes: dict[str, Changes] = {}

    def measured(self, declared: MetricDeclaration) -> Measured:
        """All visits of a metric."""
        name = declared.name
        if name not in self._measured:
            expected, repetitive = self.scope.expected(declared), declared.kind != "sampled"
            self._measured[name] = Measured(self.columns.get(name, ()), expected, repetitive)
        return self._measured[name]

    def sampled(self, declared: MetricDeclaration) -> Sampled:
        """Medians of a sampled metric."""
        name = declared.name
        if name not in self._sampled:
            cohort = self.scope.cohort
            self._sampled[name] = Sampled(
                self.measured(declared), cohort.metrics.get(name), cohort.visits, cohort.coverage_factor
            )
        return self._sampled[name]

    def changes(self, declared: MetricDeclaration) -> Changes:
        """By how much each counter of a metric changed."""
        name = declared.name
        if name not in self._changes:
            boots = [boot.at_s for boot in self.scope.evidence.boots or ()]
            self._changes[name] = changes(self.measured(declared), declared.kind, boots)
        return self._changes[name]


def by_metric(scope: Scope) -> Tables:
    """Sort the evidence's columns by metric."""
    columns: dict[str, list[Column]] = {}
    for column in scope.evidence.columns:
        columns.setdefault(column.metric, []).append(column)
    return Tables(scope, columns)
