"""The evidence by metric: samples, medians and changes, each worked out once for all limits of a metric."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from gpuaccept.data import Column, MetricDeclaration
from gpuaccept.judge.changes import Changes, changes
from gpuaccept.judge.estimate import Sampled
from gpuaccept.judge.measured import Measured
from gpuaccept.judge.scope import Scope


class Table:
    """All that was measured of one metric."""

    def __init__(self, scope: Scope, declared: MetricDeclaration, columns: Sequence[Column]) -> None:
        name = declared.name
        self._scope = scope
        self.declared = declared
        self.facts = scope.cohort.metrics.get(name)
        self.measured = Measured(columns, scope.expected(declared), repetitive=declared.kind != "sampled")
        self.needed = scope.needed(declared, self.measured.most)
        """Visits that a subject needs."""
        failed = declared.reduction is not None and scope.fails(name)
        self.whole = self.measured.even and self.measured.most >= self.needed and not failed
        """No subject lacks anything: the usual case."""

    @cached_property
    def sampled(self) -> Sampled:
        """Medians of a sampled metric."""
        cohort = self._scope.cohort
        return Sampled(self.measured, self.facts, cohort.visits, cohort.coverage_factor)

    @cached_property
    def changes(self) -> Changes:
        """By how much each counter of a metric changed."""
        boots = [boot.at_s for boot in self._scope.evidence.boots or ()]
        return changes(self.measured, self.declared.kind, boots)


class Tables:
    """The tables of all metrics, each made when it is first asked for."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._tables: dict[str, Table] = {}
        self.columns: dict[str, list[Column]] = {}
        """By metric."""
        for column in scope.evidence.columns:
            self.columns.setdefault(column.metric, []).append(column)

    def of(self, declared: MetricDeclaration) -> Table:
        """The table of a metric."""
        found = self._tables.get(declared.name)
        if found is None:
            found = Table(self._scope, declared, self.columns.get(declared.name, ()))
            self._tables[declared.name] = found
        return found
