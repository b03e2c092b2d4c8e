"""What a named fault of the simulator is, and what judging a run with it must lead to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from gpuaccept.data import Action, Cause, Result
from gpuaccept.errors import UsageError

FaultValue = float | int | str
FaultValues = Mapping[str, FaultValue]
PULSES = "power_pulse"
"""The check that runs only where the plan says who agreed."""


@dataclass(frozen=True)
class FaultKey:
    """A key of a fault: `NAME:key=value`. `gpu`, `peer` and `link` name parts; other numbers have bounds.

    `words` are all texts that it may have, as the driver has them; empty where any will do.
    """

    name: str
    default: FaultValue
    summary: str
    minimum: float = 0.0
    maximum: float = 1e9
    words: tuple[str, ...] = ()


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
    def needs_agreement(self) -> bool:
        """Whether only pulses of load show it, which no plan makes unless somebody agreed to them."""
        return self.detects[0] == PULSES

    @property
    def defaults(self) -> dict[str, FaultValue]:
        """Every key with its default."""
        return {key.name: key.default for key in self.keys}


_LIST = "`gpuaccept checks matrix` lists all faults and their keys"


def check_text(text: str, catalogue: Iterable[Fault]) -> None:
    """Raise UsageError, in one sentence, where `NAME[:key=value,…]` names no fault or gives its keys wrongly.

    Whether a value is one that the simulated hardware can have is for its model to say.
    """
    name, _, rest = text.partition(":")
    known = {fault.name: fault for fault in catalogue}
    if not name:
        raise UsageError(f"--fault {text!r} names no fault", _LIST)
    if name not in known:
        raise UsageError(f"unknown fault {name!r}{_near(name, known)}", _LIST)
    keys = {key.name: key for key in known[name].keys}
    seen: set[str] = set()
    for pair in rest.split(",") if rest else ():
        key, equals, value = pair.partition("=")
        listed = f"its keys: {', '.join(keys) or 'none'}"
        if key not in keys:
            raise UsageError(f"fault {name}: unknown key {key!r}{_near(key, keys)}", listed)
        if not equals or not value:
            raise UsageError(f"fault {name}: {key} has no value", f"write {key}=VALUE; {listed}")
        if key in seen:
            raise UsageError(f"fault {name}: {key} is given twice", "for a second part give --fault a second time")
        seen.add(key)
        words = keys[key].words
        if words and value not in words:
            raise UsageError(f"fault {name}: {key}={value} is not one of {', '.join(words)}{_near(value, words)}")


def _near(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), 1, 0.4)
    return f": did you mean {near[0]}?" if near else ""
