"""Named faults as they are asked for: looked up in the catalogue, and turned into deviations of a model."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

from gpuaccept.device.fault import Fault, FaultKey, FaultValue
from gpuaccept.device.mock.applies import why_not
from gpuaccept.device.mock.catalogue import CATALOGUE
from gpuaccept.device.mock.model import Deviation, HardwareModel
from gpuaccept.errors import UsageError


class FaultSet(NamedTuple):
    """Faults as they were asked for: what they change, and each with its values."""

    deviations: tuple[Deviation, ...]
    given: tuple[tuple[Fault, dict[str, FaultValue]], ...]


_BY_NAME = {entry.fault.name: entry for entry in CATALOGUE}


def catalogue() -> tuple[Fault, ...]:
    """Every named fault."""
    return tuple(entry.fault for entry in CATALOGUE)


def parse(text: str, model: HardwareModel) -> tuple[Fault, dict[str, FaultValue]]:
    """A fault and its values from `NAME[:key=value,…]`. Raises UsageError, in one sentence."""
    name, _, rest = text.partition(":")
    entry = _BY_NAME.get(name)
    if entry is None:
        near = get_close_matches(name, _BY_NAME, 1, 0.4)
        hint = f"did you mean {near[0]}?" if near else f"known faults: {', '.join(_BY_NAME)}"
        raise UsageError(f"unknown fault {name!r}: {hint}", "`gpuaccept checks matrix` lists all faults")
    arguments = {key.name: key for key in entry.fault.keys}
    values = _defaults(entry.fault, model)
    for pair in rest.split(",") if rest else ():
        key, equals, given = pair.partition("=")
        if not equals or key not in arguments:
            listed = ", ".join(arguments) or "none"
            raise UsageError(f"fault {name}: {pair!r} is not one of its keys with a value (its keys: {listed})")
        values[key] = _converted(name, arguments[key], given, model)
    if "peer" in values and values["peer"] == values["gpu"]:
        raise UsageError(f"fault {name}: gpu and peer are both {values['gpu']}, but must differ")
    return entry.fault, values


def expand(texts: tuple[str, ...], model: HardwareModel) -> FaultSet:
    """All faults as deviations of a model. Raises UsageError."""
    given = tuple(parse(text, model) for text in texts)
    deviations: list[Deviation] = []
    for fault, values in given:
        made = _BY_NAME[fault.name].expand(values, model)
        why = why_not(fault.name, made, model)
        if fault.applies_to and model.name not in fault.applies_to:
            why = why or f"it is a fault of {', '.join(fault.applies_to)}"
        if why:
            raise UsageError(f"{model.name} can't have the fault {fault.name}: {why}")
        deviations += made
    return FaultSet(tuple(deviations), given)


def _defaults(fault: Fault, model: HardwareModel) -> dict[str, FaultValue]:
    """The defaults on this model: GPUs, links and ports are counted round where it has fewer."""
    values: dict[str, FaultValue] = dict(fault.defaults)
    counts = {"gpu": model.gpus, "peer": model.gpus, "link": model.nvlink.links, "port": model.server.ports}
    for key, count in counts.items():
        if key in values and count:
            values[key] = int(values[key]) % count
    return values


def _converted(fault: str, key: FaultKey, text: str, model: HardwareModel) -> FaultValue:
    if isinstance(key.default, str):
        return text
    try:
        number = int(text) if isinstance(key.default, int) else float(text)
    except ValueError:
        kind = "a whole number" if isinstance(key.default, int) else "a number"
        raise UsageError(f"fault {fault}: {key.name}={text} is not {kind}") from None
    if key.name in ("gpu", "peer") and number not in range(model.gpus):
        raise UsageError(f"fault {fault}: there is no GPU {text}: this model has GPUs 0 to {model.gpus - 1}")
    if key.name == "link" and model.nvlink.links and number not in range(model.nvlink.links):
        raise UsageError(f"fault {fault}: there is no link {text}: this model has links 0 to {model.nvlink.links - 1}")
    if not key.minimum <= number <= key.maximum:
        raise UsageError(f"fault {fault}: {key.name}={text} is not between {key.minimum:g} and {key.maximum:g}")
    return number
