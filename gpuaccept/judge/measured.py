"""The samples of one metric, visit by visit, whatever order and pieces the evidence holds them in."""

from __future__ import annotations

from collections.abc import Sequence, Set
from functools import cached_property
from itertools import chain
from operator import attrgetter, lt

from gpuaccept.data import Column, Scalar
from gpuaccept.judge.subjects import order

Key = tuple[float, int, int]
"""(at_s, look, visit): what tells visits apart, and orders them."""
Samples = tuple[Scalar, ...]
_key = attrgetter("at_s", "look", "visit")


class Measured:
    """All complete visits of a metric. A visit with fewer samples than the fullest one is not complete."""

    def __init__(self, columns: Sequence[Column], expected: tuple[str, ...], repetitive: bool = True) -> None:
        """`repetitive`: most samples are the same, as states and counters are, and figures of speed are not."""
        self._columns, self._keys = columns, tuple(map(_key, columns))
        apart = _rise(self._keys)
        if not apart:
            self._columns = sorted(columns, key=_key)
            self._keys = tuple(map(_key, self._columns))
            apart = _rise(self._keys)
        self._rows: dict[str, dict[Key, Samples]] | None = None
        self._distinct: Set[Samples] = frozenset()
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
    def _visits(self) -> dict[str, tuple[Samples, ...]]:
        """Subject -> samples of each visit."""
        if self._rows is not None:
            return {subject: tuple(self._rows.get(subject, {}).values()) for subject in self.subjects}
        return dict(zip(self.subjects, zip(*[column.samples for column in self._columns], strict=True), strict=True))

    @cached_property
    def looks(self) -> int:
        """The number of the last look that has a visit."""
        return max([key[1] for key in self._keys], default=0)

    def keys(self, subject: str) -> tuple[Key, ...]:
        """The complete visits of a subject, in order of time."""
        return self._keys if self._rows is None else tuple(self._rows.get(subject, ()))

    def visits(self, subject: str) -> Sequence[Samples]:
        """Samples of each complete visit of a subject, in order of time."""
        return self._visits[subject]

    def distinct(self) -> Set[Samples]:
        """Every different tuple of samples that any visit holds, for repetitive metrics that are `even`."""
        return self._distinct

    def columns(self) -> Sequence[Column]:
        """Columns in order of time."""
        return self._columns

    def _is_even(self, expected: tuple[str, ...], repetitive: bool) -> bool:
        columns, count = self._columns, len(expected)
        if not count or not columns or [column.subjects for column in columns] != [expected] * len(columns):
            return False
        rows = [column.samples for column in columns]
        one = rows[0][:1]
        # comparing is quicker than hashing, and most states and counters are the same everywhere
        if repetitive and rows == [one * count] * len(rows):
            self._distinct = frozenset(one)
            return bool(one) and bool(one[0])
        if set(map(len, rows)) != {count}:
            return False
        if repetitive:
            self._distinct = frozenset().union(*rows)
        sizes = set(map(len, self._distinct if repetitive else chain.from_iterable(rows)))
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


def _rise(keys: tuple[Key, ...]) -> bool:
    """Whether visits are in order, and each is there once: as runs write them."""
    return all(map(lt, keys, keys[1:]))
