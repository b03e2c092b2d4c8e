"""What a finding asks people to do: cause, action, and a few sentences for the engineer at the rack."""

from __future__ import annotations

import re
from typing import NamedTuple

from gpuaccept.data import Action, Cause, Limit, Part, Plan
from gpuaccept.errors import CUDA_FATAL
from gpuaccept.judge.outcome import Miss, Outcome
from gpuaccept.judge.parts import MISSING, words
from gpuaccept.judge.scope import Scope, check_of
from gpuaccept.judge.wording import subject_matter

_LOST = re.compile(r"gpu[ _]is[ _]lost|fallen off|xid 79|unknown error", re.IGNORECASE)
_SILENT = re.compile(r"timed? ?out|no progress|silen|hung|hang|killed|died", re.IGNORECASE)
_ABSENT = re.compile(r"not supported|not found|not measured by this version|insufficient permission", re.IGNORECASE)
_MEMORY = re.compile(r"out of memory|out_of_memory|memory_allocation|insufficient memory", re.IGNORECASE)
_BOUNDS = ("lower_bound", "upper_bound")
NVML_LOST = 15
"""NVML_ERROR_GPU_IS_LOST: the GPU has fallen off the bus (nvml.h)."""
UNCORRECTABLE = frozenset({214, 220})
"""CUDA_ERROR_ECC_UNCORRECTABLE and CUDA_ERROR_NVLINK_UNCORRECTABLE: what a GPU held or sent is lost (cuda.h)."""


class Remedy(NamedTuple):
    """Why, what to do, and how."""

    cause: Cause
    action: Action
    advice: tuple[str, ...]


def remedy(scope: Scope, found: Part, outcome: Outcome, miss: Miss, shared: bool) -> Remedy:
    """Remedy for a part by its gravest miss. `shared`: all GPUs of the node miss it."""
    limit = miss.condition.limit if miss.condition else outcome.limit
    cause, action = _cause(outcome, limit, miss.root, shared)
    if miss.why == "limit" and outcome.declared is not None and outcome.declared.reduction in _BOUNDS:
        warming = "It was still warming up when the soak ended, so nothing is wrong yet, and nothing is shown."
        longer = "A longer soak tells: the plan `acceptance`, or a larger `duration_s` of `thermal_soak`."
        return Remedy(cause, action, (warming, longer, "If the finding stays, send the record to the supplier."))
    return Remedy(cause, action, _sentences(scope, cause, action, found, limit, miss.root))


def again(plan: Plan) -> str:
    """What to run again, and how. The evidence doesn't hold the command that was given; who gave it knows it."""
    what = "the acceptance" if plan.acceptance else f"the plan `{plan.name}`"
    left_out = " and ".join(f"`{option}`" for option in sorted({step.skip for step in plan.steps if step.skip}))
    return f"{what} again with the same command" + (f", but without {left_out}" if left_out else "")


def is_lost(miss: Miss) -> bool:
    """Whether the driver said that the GPU is gone."""
    failure = miss.failure
    if failure is None:
        return False
    nvml = failure.call.startswith("nvml") and failure.code == NVML_LOST
    return nvml or _LOST.search(failure.reason) is not None


def _cause(outcome: Outcome, limit: Limit, miss: Miss, shared: bool) -> tuple[Cause, Action]:
    """By the limit where it was missed; what was not measured says nothing of what the limit blames."""
    if miss.why == "limit":
        # One cooler or connector fails alone; what all GPUs of a node show under load they share: air and supply.
        soak = outcome.declared is not None and outcome.declared.reduction is not None
        if shared and soak and limit.cause == "hardware":
            return "facility", "call the facility"
        return limit.cause, limit.action
    if miss.why != "not measured":
        return ("tool" if miss.why in ("skipped", "not planned", "stopped") else "unknown"), "measure again"
    if is_lost(miss):
        return "hardware", "reboot and re-run"
    cuda = miss.failure.code if miss.failure and miss.failure.call.startswith("cu") else 0
    if cuda in UNCORRECTABLE:
        return "hardware", "reset and re-run"
    if cuda in CUDA_FATAL:
        # the same code runs on the other GPUs: neither it nor the GPU is proven to be at fault
        return "unknown", "reset and re-run"
    if _SILENT.search(miss.reason):
        return "unknown", "reboot and re-run"
    if _MEMORY.search(miss.reason):
        return "unknown", "measure again"
    return "tool", "measure again"


def _sentences(scope: Scope, cause: Cause, action: Action, found: Part, limit: Limit, miss: Miss) -> tuple[str, ...]:
    name, check, run = words(found), check_of(limit.metric), again(scope.evidence.plan)
    rerun = f"Then run {run}: the check `{check}` shows whether it helped."
    if action == "replace":
        return (*_exchange(found), f"After that run {run}: the check `{check}` shows whether it helped.")
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
        declared = scope.declared.get(limit.metric)
        setting = subject_matter(declared.description) if declared else limit.metric
        return (
            f"Correct the setting on {name}: {setting} ({miss.reason}).",
            _how(declared.remedy if declared else "", found),
            rerun,
        )
    if action == "call the facility":
        return (
            "Ask the operator of the hall to check air, coolant and power at this rack, with the time of this run.",
            "Look for blocked air paths, missing blanking panels and fans that stand still.",
            rerun,
        )
    if miss.why == "skipped":
        return (f"The check `{check}` was {miss.reason}, so nothing is shown.", f"Run {run}.")
    if miss.why == "stopped":
        return ("The run was stopped before this could be decided.", f"Run {run}, and let it come to its end.")
    if miss.why == "not planned":
        plans = [name for name, spec in scope.cohort.plans.items() if any(step.check == check for step in spec.steps)]
        named = ", ".join(f"`{name}`" for name in plans)
        return (
            f"Nothing is shown, since {miss.reason}.",
            f"Run a plan of the profile that has all steps of the check `{check}`: {named or 'no plan has one'}.",
        )
    if cause == "tool":
        return (
            "Run `gpuaccept doctor` and correct what it names.",
            f"Run {run}.",
            "If the finding stays, it is a matter of gpuaccept or the node's software: no case for the supplier.",
        )
    return (
        "Make sure that nothing else uses the GPUs (`nvidia-smi`).",
        f"Run {run}.",
        "If the finding stays, send the record to the supplier.",
    )


def _how(remedy: str, found: Part) -> str:
    """A check's remedy as it is typed for this part."""
    if not remedy:
        return "Reboot if the setting asks for it."
    return remedy.replace("{gpu}", f" -i {found.pci_bus_id}" if found.pci_bus_id else "")


def _exchange(found: Part) -> tuple[str, ...]:
    """How to have a part replaced; a part that is not there has no label, and may only have lost its contact."""
    name = words(found)
    if found.name == MISSING:
        place = f"slot {found.slot}" if found.slot else "every slot"
        return (
            f"Look whether a GPU sits in {place}: one without contact or power is missing for the software too.",
            f"Open a case with the supplier for {name} and attach the record.",
        )
    label = ", ".join(
        text
        for text in (
            f"serial {found.serial}" if found.serial and found.gpu is not None else "",
            f"slot {found.slot}" if found.slot else "",
            f"module {found.module_id}" if found.module_id is not None else "",
        )
        if text
    )
    case = f"Open a case with the supplier for {name}{f' ({label})' if label else ''} and attach the record."
    compare = "Compare the serial number on the part's label before you take it out."
    return (case, compare) if found.gpu is not None and found.serial else (case,)
