"""What a finding asks people to do: cause, action, and a few sentences for the engineer at the rack."""

from __future__ import annotations

import re
from typing import NamedTuple

from gpuaccept.data import Action, Cause, Evidence, Part
from gpuaccept.judge.outcome import Miss, Outcome
from gpuaccept.judge.parts import words
from gpuaccept.judge.scope import check_of

_LOST = re.compile(r"gpu[ _]is[ _]lost|fallen off|xid 79|unknown error", re.IGNORECASE)
_SILENT = re.compile(r"timed? ?out|no progress|silen|hung|hang|killed|died", re.IGNORECASE)
_ABSENT = re.compile(r"not supported|not found|not measured by this version|insufficient permission", re.IGNORECASE)
_MEMORY = re.compile(r"out of memory|out_of_memory|memory_allocation|insufficient memory", re.IGNORECASE)
_BOUNDS = ("lower_bound", "upper_bound")
NVML_LOST = 15
"""NVML_ERROR_GPU_IS_LOST: the GPU has fallen off the bus (nvml.h)."""


class Remedy(NamedTuple):
    """Why, what to do, and how."""

    cause: Cause
    action: Action
    advice: tuple[str, ...]


def remedy(evidence: Evidence, found: Part, outcome: Outcome, miss: Miss, shared: bool) -> Remedy:
    """Remedy for a part by its gravest miss. `shared`: all GPUs of the node miss it."""
    cause, action = _cause(outcome, miss, shared)
    again = f"gpuaccept run --profile {evidence.profile.name} --only {check_of(outcome.limit.metric)}"
    if miss.why == "limit" and outcome.declared is not None and outcome.declared.reduction in _BOUNDS:
        warming = "It was still warming up when the soak ended, so nothing is wrong yet, and nothing is shown."
        longer = "A longer soak tells: the plan `acceptance`, or a larger `duration_s` of `thermal_soak`."
        return Remedy(cause, action, (warming, longer, "If the finding stays, send the record to the supplier."))
    return Remedy(cause, action, _sentences(cause, action, words(found), found, again, miss))


def is_lost(miss: Miss) -> bool:
    """Whether the driver said that the GPU is gone."""
    failure = miss.failure
    if failure is None:
        return False
    nvml = failure.call.startswith("nvml") and failure.code == NVML_LOST
    return nvml or _LOST.search(failure.reason) is not None


def _cause(outcome: Outcome, miss: Miss, shared: bool) -> tuple[Cause, Action]:
    limit = miss.condition or outcome.limit
    if miss.why in ("limit", "condition"):
        # One cooler or connector fails alone; what all GPUs of a node show under load they share: air and supply.
        soak = outcome.declared is not None and outcome.declared.reduction is not None
        if shared and soak and limit.cause == "hardware":
            return "facility", "call the facility"
        return limit.cause, limit.action
    if miss.why != "not measured":
        return ("tool" if miss.why == "skipped" else "unknown"), "measure again"
    if is_lost(miss):
        return "hardware", "reboot and re-run"
    if _SILENT.search(miss.reason):
        return "unknown", "reboot and re-run"
    if _MEMORY.search(miss.reason):
        return "unknown", "measure again"
    return "tool", "measure again"


def _sentences(cause: Cause, action: Action, name: str, found: Part, again: str, miss: Miss) -> tuple[str, ...]:
    rerun = f"Then run: {again}"
    if action == "replace":
        label = ", ".join(
            text
            for text in (
                f"serial {found.serial}" if found.serial and found.gpu is not None else "",
                f"slot {found.slot}" if found.slot else "",
                f"module {found.module_id}" if found.module_id is not None else "",
            )
            if text
        )
        return (
            f"Open a case with the supplier for {name}{f' ({label})' if label else ''} and attach the record.",
            "Compare the serial number on the part's label before you take it out.",
            f"After the exchange run: {again}",
        )
    if action == "reset and re-run":
        return (
            "Stop everything that uses the GPUs.",
            f"Reset {name} with `nvidia-smi --gpu-reset`, or reboot the node.",
            rerun,
            "If the finding stays, open a case with the supplier.",
        )
    if action == "reboot and re-run":
        return (
            "Save the kernel log (`journalctl -k`) before anything else.",
            "Power the node off and on again: a warm reboot may leave the GPU as it is.",
            rerun,
            f"If {name} fails again, open a case with the supplier.",
        )
    if action == "correct the setting":
        return (f"Correct the setting on {name}: {miss.reason}.", "Reboot if the setting asks for it.", rerun)
    if action == "call the facility":
        return (
            "Ask the operator of the hall to check air, coolant and power at this rack, with the time of this run.",
            "Look for blocked air paths, missing blanking panels and fans that stand still.",
            rerun,
        )
    if miss.why == "skipped":
        return ("This was left out by the command line.", f"Measure it: {again}")
    busy = (
        "Make sure that nothing else uses the GPUs (`nvidia-smi`)."
        if cause != "tool"
        else "Run `gpuaccept doctor` and correct what it names."
    )
    return (busy, f"Measure again: {again}", "If the finding stays, send the record to the supplier.")
