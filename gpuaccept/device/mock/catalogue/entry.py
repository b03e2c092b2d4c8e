"""How a named fault is written: what it changes in the model, and what must be concluded from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from gpuaccept.check import gpu_subject, link_subject
from gpuaccept.data import Action, Cause, Result
from gpuaccept.device.fault import Fault, FaultKey, FaultValues
from gpuaccept.device.mock.model import Deviation, HardwareModel

Expand = Callable[[FaultValues, HardwareModel], tuple[Deviation, ...]]

GPU = FaultKey("gpu", 2, "place of the GPU on the complete board, in PCI order")
LINK = FaultKey("link", 11, "number of the NVLink")
AT = FaultKey("at_s", 60.0, "seconds after the start of the run")
LOSS = "percent of the typical value that is lost"


@dataclass(frozen=True)
class Entry:
    """A fault as everybody sees it, and the deviations of the model that it stands for."""

    fault: Fault
    expand: Expand


def gpu_of(values: FaultValues) -> str:
    """The GPU that the fault is on."""
    return gpu_subject(int(values["gpu"]))


def link_of(values: FaultValues) -> str:
    """The NVLink that the fault is on."""
    return link_subject(int(values["gpu"]), int(values["link"]))


def node_of(values: FaultValues) -> str:
    """The node, for faults that are no GPU's own."""
    return "node"


def left(values: FaultValues, key: str = "loss_percent") -> float:
    """The factor that remains after a loss in percent."""
    return 1.0 - float(values[key]) / 100.0


def from_of(values: FaultValues) -> str:
    """When the fault begins, as a scenario writes it."""
    return f"{float(values['at_s']):.6f}s"


def value(target: str, parameter: str, value: float | bool | str, from_: str = "0s") -> Deviation:
    """A parameter that has another value, from a time on."""
    return Deviation(target=target, parameter=parameter, value=value, from_=from_)


def typical(target: str) -> Deviation:
    """A loss is counted from a typical part: the victim's own luck neither hides it nor adds to it."""
    return Deviation(target=target, parameter="gpu.spread", value=0.0)


def factor(target: str, parameter: str, factor: float) -> Deviation:
    """A parameter that is multiplied."""
    return Deviation(target=target, parameter=parameter, factor=factor)


def entry(
    name: str,
    summary: str,
    keys: tuple[FaultKey, ...],
    detects: str,
    expected: tuple[Result, Cause, Action],
    victim: Callable[[FaultValues], str],
    expand: Expand,
    severity: str | None = None,
    applies_to: tuple[str, ...] = (),
    limit: Literal["", "equals"] = "",
    needs_workers: bool = False,
) -> Entry:
    """A catalogue entry: `detects` is the metric that finds it first, `expected` its verdict, cause and action."""
    check, metric = detects.split(".")
    seen = (check, metric)
    return Entry(
        Fault(name, summary, keys, severity, seen, *expected, victim, applies_to, limit, needs_workers), expand
    )


REPLACE: tuple[Result, Cause, Action] = ("fail", "hardware", "replace")
SETTING: tuple[Result, Cause, Action] = ("fail", "configuration", "correct the setting")
FACILITY: tuple[Result, Cause, Action] = ("fail", "facility", "call the facility")
UNPROVEN: tuple[Result, Cause, Action] = ("inconclusive", "configuration", "correct the setting")
"""A setting that keeps figures from counting: neither a pass nor a case for the supplier."""
