"""What a named fault of the simulator is, and what judging a run with it must lead to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from gpuaccept.data import Action, Cause, Result

FaultValue = float | int | str
FaultValues = Mapping[str, FaultValue]


@dataclass(frozen=True)
class FaultKey:
    """A key of a fault: `NAME:key=value`. `gpu`, `peer` and `link` name parts; other numbers have bounds."""

    name: str
    default: FaultValue
    summary: str
    minimum: float = 0.0
    maximum: float = 1e9


@dataclass(frozen=True)
class Fault:
    """A short-hand for deviations, and what judging a run with it must conclude.

    `severity_key` is the key that grows with the severity, where there is one: larger is always worse. `detects` is
    the check and metric (with state) that shows it. `victim(values)` is the subject at fault: a GPU by its place on
    the board, a link, a pair, or the node. `applies_to` are the models that can have it; empty for all. `limit` is the
    kind of limit that shows it, where others on its metric can't: two parts that changed places are still different.
    """

    name: str
    summary: str
    keys: tuple[FaultKey, ...]
    severity_key: str | None
    detects: tuple[str, str]
    verdict: Result
    cause: Cause
    action: Action
    victim: Callable[[FaultValues], str]
    applies_to: tuple[str, ...] = ()
    limit: Literal["", "equals"] = ""
    needs_workers: bool = False
    """Whether it stops or ends the process that measures: nothing to simulate without one."""

    @property
    def defaults(self) -> dict[str, FaultValue]:
        """Every key with its default."""
        return {key.name: key.default for key in self.keys}
