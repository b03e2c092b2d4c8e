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
        found = self._measured.get(declared.name)
        if found is None:
            expected, repetitive = self.scope.expected(declared), declared.kind != "sampled"
            found = Measured(self.columns.get(declared.name, ()), expected, repetitive)
            self._measured[declared.name] = found
        return found

    def sampled(self, declared: MetricDeclaration) -> Sampled:
        """Medians of a sampled metric."""
        found = self._sampled.get(declared.name)
        if found is None:
            cohort, measured = self.scope.cohort, self.measured(declared)
            found = Sampled(measured, cohort.metrics.get(declared.name), cohort.visits, cohort.coverage_factor)
            self._sampled[declared.name] = found
        return found

    def changes(self, declared: MetricDeclaration) -> Changes:
        """By how much each counter of a metric changed."""
        found = self._changes.get(declared.name)
        if found is None:
            boots = [boot.at_s for boot in self.scope.evidence.boots or ()]
            found = self._changes[declared.name] = changes(self.measured(declared), declared.kind, boots)
        return found


def by_metric(scope: Scope) -> Tables:
    """Sort the evidence's columns by metric."""
    columns: dict[str, list[Column]] = {}
    for column in scope.evidence.columns:
        columns.setdefault(column.metric, []).append(column)
    return Tables(scope, columns)
