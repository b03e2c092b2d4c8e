"""The samples of one metric, visit by visit, whatever order and pieces the evidence holds them in."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from operator import attrgetter, lt

from gpuaccept.data import Column, Scalar
from gpuaccept.judge.subjects import order

Key = tuple[float, int, int]
"""(at_s, look, visit): what tells visits apart, and orders them."""
Samples = tuple[Scalar, ...]
_key, _at_s = attrgetter("at_s", "look", "visit"), attrgetter("at_s")


class Measured:
    """All complete visits of a metric. A visit with fewer samples than the fullest one is not complete."""

    def __init__(self, columns: Sequence[Column], expected: tuple[str, ...], repetitive: bool = True) -> None:
        """`repetitive`: most samples are the same, as states and counters are, and figures of speed are not."""
        times = list(map(_at_s, columns))
        in_order = all(map(lt, times, times[1:]))  # as runs write them
        self._columns = columns if in_order else sorted(columns, key=_key)
        self._rows: dict[str, dict[Key, Samples]] | None = None
        self._distinct: set[Samples] = set()
        apart = in_order or len(set(self._keys)) == len(columns)
        self.even = apart and self._is_even(expected, repetitive)
        """Every visit holds exactly the expected subjects, all with the same number of samples: the usual case."""
        self.subjects = expected
        self.most = len(self._columns)
        self.fewest = self.most
        """Complete visits of the subject that has most, and of the one that has fewest."""
        if not self.even:
            self._rows = self._sort_out()
            self.subjects += tuple(sorted(self._rows.keys() - set(expected), key=order))
            counts = [len(self._rows.get(subject, ())) for subject in self.subjects]
            self.most, self.fewest = max(counts, default=0), min(counts, default=0)

    @cached_property
    def _keys(self) -> tuple[Key, ...]:
        return tuple(map(_key, self._columns))

    @cached_property
    def _visits(self) -> dict[str, tuple[Samples, ...]]:
        """Subject -> samples of each visit."""
        if self._rows is not None:
            return {subject: tuple(self._rows.get(subject, {}).values()) for subject in self.subjects}
        return dict(zip(self.subjects, zip(*[column.samples for column in self._columns], strict=True), strict=True))

    @cached_property
    def looks(self) -> int:
        """The number of the last look that has a visit."""
        return max([column.look for column in self._columns], default=0)

    def keys(self, subject: str) -> tuple[Key, ...]:
        """The complete visits of a subject, in order of time."""
        return self._keys if self._rows is None else tuple(self._rows.get(subject, ()))

    def visits(self, subject: str) -> Sequence[Samples]:
        """Samples of each complete visit of a subject, in order of time."""
        return self._visits[subject]

    def distinct(self) -> set[Samples]:
        """Every different tuple of samples that any visit holds, for repetitive metrics that are `even`."""
        return self._distinct

    def columns(self) -> Sequence[Column]:
        """Columns in order of time."""
        return self._columns

    def _is_even(self, expected: tuple[str, ...], repetitive: bool) -> bool:
        count = len(expected)
        sizes: set[int] = set()
        distinct: set[Samples] = set()
        for column in self._columns:
            rows = column.samples
            if len(rows) != count or (column.subjects is not expected and column.subjects != expected):
                return False
            if not repetitive:
                sizes.update(map(len, rows))
            elif rows and rows.count(rows[0]) == count:  # quicker than to hash them all
                distinct.add(rows[0])
            else:
                distinct.update(rows)
        self._distinct = distinct
        sizes.update(map(len, distinct))
        return len(sizes) == 1 and 0 not in sizes

    def _sort_out(self) -> dict[str, dict[Key, Samples]]:
        rows: dict[str, dict[Key, Samples]] = {}
        for key, column in zip(self._keys, self._columns, strict=True):
            for subject, samples in zip(column.subjects, column.samples, strict=False):
                if samples:
                    visits = rows.setdefault(subject, {})
                    visits[key] = (*visits.get(key, ()), *samples)
        full = max((len(samples) for visits in rows.values() for samples in visits.values()), default=0)
        return {
            subject: {key: samples for key, samples in visits.items() if len(samples) == full}
            for subject, visits in rows.items()
        }
