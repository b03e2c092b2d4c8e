"""What differs from the model: deviations checked against the model, and the value of any parameter at any time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from fnmatch import fnmatchcase
from math import inf, isfinite
from typing import NamedTuple, TypeVar

from gpuaccept.check import gpu_subject, link_subject, pair_subject
from gpuaccept.device.mock.model import Deviation, HardwareModel, When, seconds
from gpuaccept.device.mock.parameters import PARAMETERS, SubjectKind
from gpuaccept.errors import Problem

MAY_BE_NEGATIVE = frozenset({"thermal.inlet_c", "gpu.numa_node"})
"""Numbers that an `add` or `value` may bring below zero; all others stop there."""
LASTING = frozenset({"gpu.lost"})
"""What stays once its conditions held, though they hold no more: a GPU that has cooled down is still off the bus."""
V = TypeVar("V", float, int, str, bool)
Holds = Callable[[When, str], bool]
"""Whether conditions hold for a subject now."""


class Change(NamedTuple):
    """One deviation as it applies to one subject: between two times, under conditions."""

    start: float
    until: float
    operation: str
    operand: float | int | str | bool
    when: When | None
    parameter: str


def subjects(kind: SubjectKind, model: HardwareModel) -> tuple[str, ...]:
    """All subjects of a kind, GPUs by their place on the board as it left the factory."""
    gpus = range(model.gpus)
    if kind == "gpu":
        return tuple(map(gpu_subject, gpus))
    if kind == "link":
        return tuple(link_subject(gpu, link) for gpu in gpus for link in range(model.nvlink.links))
    if kind == "pair":
        return tuple(pair_subject(gpu, peer) for gpu in gpus for peer in gpus if gpu != peer)
    if kind == "port":
        return tuple(map(port_subject, range(model.server.ports)))
    return ("node",)


def port_subject(port: int) -> str:
    """`host/nic/mlx5_3`."""
    return f"host/nic/mlx5_{port}"


def problems(deviations: Iterable[Deviation], model: HardwareModel, file: str, where: str = "set") -> list[Problem]:
    """Everything about deviations that the model does not have, or that can't be meant."""
    found: list[Problem] = []
    for index, deviation in enumerate(deviations):
        text = _problem(deviation, model)
        if text:
            found.append(Problem(file, 0, 0, f"{where}[{index}]", text))
    return found


def _problem(deviation: Deviation, model: HardwareModel) -> str:
    parameter = PARAMETERS.get(deviation.parameter)
    if parameter is None:
        near = get_close_matches(deviation.parameter, PARAMETERS, 1, 0.5)
        return f"unknown parameter {deviation.parameter!r}" + (f", did you mean {near[0]}?" if near else "")
    given = [name for name in ("factor", "value", "add") if getattr(deviation, name) is not None]
    if len(given) != 1:
        return f"give exactly one of factor, value and add ({', '.join(given) or 'none'} given)"
    value = deviation.value
    number = isinstance(value, float | int) and not isinstance(value, bool)
    if parameter.type in ("text", "flag"):
        wanted = str if parameter.type == "text" else bool
        if not isinstance(value, wanted):
            return f"{deviation.parameter} takes a value, {'a text' if wanted is str else 'true or false'}"
    elif value is not None and not number and not (parameter.type == "sensor" and value == "unavailable"):
        return f"{deviation.parameter} takes a number" + (", or `unavailable`" if parameter.type == "sensor" else "")
    if not any(fnmatchcase(subject, deviation.target) for subject in subjects(parameter.kind, model)):
        return (
            f"target {deviation.target!r} matches no {parameter.kind} of {model.name}, which has GPUs 0 to "
            f"{model.gpus - 1} with {model.nvlink.links} links each; {deviation.parameter} is of a {parameter.kind}"
        )
    if any(isinstance(number, float) and not isfinite(number) for number in (deviation.factor, value, deviation.add)):
        return f"{deviation.parameter} takes a finite number"
    start = seconds(deviation.from_)
    if deviation.until is not None and seconds(deviation.until) <= start:
        return f"until {deviation.until} is not after from {deviation.from_}"
    if parameter.fixed and (start > 0 or deviation.until is not None or deviation.when is not None):
        return f"{deviation.parameter} holds for the whole run: leave out from, until and when"
    return ""


class World:
    """The parameters of one node over time. Values are those of the model unless a deviation touches them."""

    def __init__(self, model: HardwareModel, deviations: Iterable[Deviation]) -> None:
        self.model = model
        self.touched: dict[tuple[str, str], list[Change]] = {}
        times = set()
        for deviation in deviations:
            change = _change(deviation)
            times |= {change.start, change.until}
            for subject in subjects(PARAMETERS[deviation.parameter].kind, model):
                if fnmatchcase(subject, deviation.target):
                    self.touched.setdefault((deviation.parameter, subject), []).append(change)
        self.times = tuple(sorted(times - {0.0, inf}))
        self.conditional = any(change.when for changes in self.touched.values() for change in changes)
        self.names = frozenset(name for name, _ in self.touched)
        self._stayed: set[tuple[Change, str]] = set()
        """Changes of `LASTING` parameters whose conditions have held, in this process."""
        self._accrued = {
            key: 0.0
            for key, changes in self.touched.items()
            if key[0].endswith("_per_hour") and any(change.when for change in changes)
        }

    def next_change(self, t: float) -> float:
        """The first time after `t` at which an unconditional deviation begins or ends; infinity where none does."""
        return next((at for at in self.times if at > t), inf)

    def value(self, parameter: str, subject: str, base: V, t: float, holds: Holds) -> V:
        """The parameter of a subject at `t`; `base` is the healthy value."""
        changes = self.touched.get((parameter, subject)) if parameter in self.names else None
        if changes is None:
            return base
        out: float | int | str | bool = base
        for change in changes:
            if change.start <= t < change.until and (change.when is None or self._hold(change, subject, holds)):
                out = _apply(out, change)
        if isinstance(out, float | int) and not isinstance(out, bool) and parameter not in MAY_BE_NEGATIVE:
            out = max(0, out) if PARAMETERS[parameter].type == "number" else out
        return out  # type: ignore[return-value]

    def _hold(self, change: Change, subject: str, holds: Holds) -> bool:
        """Whether the conditions of a change hold, or have held where that is enough."""
        assert change.when is not None
        held = (change, subject) in self._stayed or holds(change.when, subject)
        if held and change.parameter in LASTING:
            self._stayed.add((change, subject))
        return held

    def integral(self, parameter: str, subject: str, base: float, t: float, holds: Holds) -> float:
        """The integral of a parameter from 0 to `t`, exact between its events.

        Where it depends on conditions it is what `accrue` collected: of this process only.
        """
        if (parameter, subject) not in self.touched:
            return base * t
        if (parameter, subject) in self._accrued:
            return self._accrued[(parameter, subject)]
        edges = [0.0, *(at for at in self.times if at < t), t]
        return sum(
            self.value(parameter, subject, base, edges[i], holds) * (edges[i + 1] - edges[i])
            for i in range(len(edges) - 1)
        )

    def anew(self, subject: str, t: float) -> float:
        """When the volatile counters of a GPU last began, as of `t`: with the run, or where its driver came anew."""
        changes = self.touched.get(("driver.reload", subject), ())
        return max((change.start for change in changes if change.operand and change.start <= t), default=0.0)

    def accrue(self, t: float, seconds: float, holds: Holds) -> None:
        """Collect the rates that depend on conditions over `seconds` from `t` on."""
        for parameter, subject in self._accrued:
            self._accrued[(parameter, subject)] += self.value(parameter, subject, 0.0, t, holds) * seconds


def _change(deviation: Deviation) -> Change:
    operation, operand = next(
        (name, value)
        for name, value in (("factor", deviation.factor), ("value", deviation.value), ("add", deviation.add))
        if value is not None
    )
    until = inf if deviation.until is None else seconds(deviation.until)
    return Change(seconds(deviation.from_), until, operation, operand, deviation.when, deviation.parameter)


def _apply(value: float | int | str | bool, change: Change) -> float | int | str | bool:
    if change.operation == "value":
        return change.operand
    assert not isinstance(value, str) and not isinstance(change.operand, str)  # `problems` refused the rest
    return value * change.operand if change.operation == "factor" else value + change.operand
