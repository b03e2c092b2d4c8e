"""Going on with a run that was cut short: what its journal holds, and whether this still is the same run."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from gpuaccept.data import Boot, NodeFacts, Plan
from gpuaccept.errors import UsageError
from gpuaccept.run.journal import AnyEntry, Begin, Booted, End, Measured, Samples, planned, read
from gpuaccept.run.plan import counted_anew

JOURNAL = "journal.jsonl"
RECORD = "record.json"
_BOOT_S = 1.0
"""Time that a boot takes in the run's time, in which nothing is measured: how long it was is not known."""
_START_ANEW = "start a new run with another --out; what was measured stays in the journal"


class Earlier(NamedTuple):
    """A run that was cut short. `plan` holds all steps that were added; the first `done` of them are measured."""

    begin: Begin
    entries: tuple[AnyEntry, ...]
    plan: Plan
    done: int
    clock_s: float
    """Seconds since its start at which its last step ended."""
    origin_s: float
    """The node's clock at its start."""
    boot_id: str
    """Of the boot in which its last step was measured."""
    sampled: bool
    """Whether the step after these left samples of series: they do not count."""
    end: End | None
    """Where everything was measured, and the record alone is missing."""

    def describe(self) -> str:
        """For the record, where it goes on."""
        what = "its record alone was missing" if self.end else f"after step {self.done} of {len(self.plan.steps)}"
        return f"the run was cut short and went on: {what}"


def earlier(directory: Path) -> Earlier:
    """The run whose journal lies in a directory. Raises UsageError where it can't go on."""
    path = directory / JOURNAL
    if not path.is_file():
        raise UsageError(f"--resume: {directory} holds no {JOURNAL}", "name the directory of a run that was cut short")
    if (directory / RECORD).exists():
        raise UsageError(
            f"--resume: the run in {directory} has its record already", "start a new run with another --out"
        )
    try:
        entries = read(path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "--resume needs to read and write it") from error
    begin = entries[0] if entries else None
    if not isinstance(begin, Begin):
        raise UsageError(f"--resume: {path} has no first entry, nothing was measured", "start a new run")
    runs = [entry.step for entry in entries if isinstance(entry, Measured)]
    booted = next((entry for entry in reversed(entries) if isinstance(entry, Booted)), None)
    return Earlier(
        begin=begin,
        entries=entries,
        plan=planned(entries),
        done=len(runs),
        clock_s=max([booted.boot.at_s if booted else 0.0, *(run.ended_s for run in runs)]),
        origin_s=booted.origin_s if booted else begin.origin_s,
        boot_id=booted.boot.boot_id if booted else begin.node.boot_id,
        sampled=any(isinstance(entry, Samples) and entry.step == len(runs) + 1 for entry in entries),
        end=next((entry for entry in entries if isinstance(entry, End)), None),
    )


def after_boot(before: Earlier, now: Begin) -> Booted | None:
    """What to write where the node was booted since: counters are read once more, before the plan goes on."""
    if now.node.boot_id == before.boot_id:
        return None
    at = before.clock_s + _BOOT_S
    declared = [metric for check in before.begin.checks for metric in check.metrics]
    return Booted(
        boot=Boot(at_s=at, boot_id=now.node.boot_id),
        origin_s=now.origin_s - at,
        steps=counted_anew(before.plan, before.done, declared),
    )


def check_same(before: Begin, now: Begin) -> None:
    """Raise UsageError, in one sentence, where a run that went on now would not be the one that began."""
    different = _different(before, now) or _another_node(before.node, now.node)
    if different:
        raise UsageError(f"--resume: {different}", _START_ANEW)


def _different(before: Begin, now: Begin) -> str:
    was, is_now = before.environment.gpuaccept_version, now.environment.gpuaccept_version
    if was != is_now:
        return f"the run began with gpuaccept {was}, this is {is_now}"
    if before.simulated != now.simulated:
        return "the run began on another device, or with another seed or other faults"
    if before.profile != now.profile:
        return "the profile is not the one that the run began with"
    if before.plan != now.plan:
        return "--plan, --only or --skip are not those that the run began with, or checks changed what they yield"
    if before.checks != now.checks:
        return "the files of checks are not those that the run began with"
    return ""


def _another_node(before: NodeFacts, now: NodeFacts) -> str:
    if (before.host, before.serial) != (now.host, now.serial):
        return f"the run began on {before.host} (serial {before.serial}), this is {now.host} (serial {now.serial})"
    if before.driver_version != now.driver_version:
        return f"the run began with driver {before.driver_version}, this is {now.driver_version}"
    for was, is_now in zip(before.gpus, now.gpus, strict=False):
        for one, other in ((was.uuid, is_now.uuid), (was.serial, is_now.serial)):
            if one != other:
                return f"GPU {was.index} was {one} when the run began, and is {other}"
    if len(before.gpus) != len(now.gpus):
        return f"the run began with {len(before.gpus)} GPUs, {len(now.gpus)} are found now"
    return ""
