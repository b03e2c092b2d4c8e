"""Which records limits may be learned from: good ones, of different nodes, of two lots, measured alike."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from gpuaccept.data import Evidence
from gpuaccept.errors import EvidenceError, UsageError
from gpuaccept.record.envelope import printable
from gpuaccept.verify import read_record, verify_path

FEWEST_NODES = 20
FEWEST_LOTS = 2
FEWEST_OTHERS = 5
"""Nodes that must be left where one lot is left out: a tolerance factor from fewer is beyond any use."""
POWER_LIMIT = "inventory.power_limit_enforced"


class Lot(NamedTuple):
    """A delivery lot: its name, and a pattern (`*`, `?`, `[…]`) over the paths of its records."""

    name: str
    pattern: str


class Good(NamedTuple):
    """A record of a node that was accepted."""

    file: str
    lot: str
    evidence: Evidence


def good_records(
    files: Sequence[Path],
    lots: Sequence[Lot],
    *,
    trust: Path | None = None,
    integrity_only: bool = False,
    allow_simulated: bool = False,
) -> tuple[Good, ...]:
    """Read records to learn from, each verified as `gpuaccept verify` does.

    Raises UsageError where they are too few, of one lot, or not measured alike; EvidenceError where one is not valid.
    """
    if len(files) < FEWEST_NODES:
        raise UsageError(
            f"{len(files)} record{'s' if len(files) != 1 else ''}: limits are learned from {FEWEST_NODES} good nodes "
            f"of {FEWEST_LOTS} lots or more",
            "collect more records; until then the profile's floors hold",
        )
    named = [(file, _lot(file, lots)) for file in files]
    found = []
    for file, lot in named:
        checked = verify_path(file, trust=trust, integrity_only=integrity_only, allow_simulated=allow_simulated)
        if not checked.valid:
            raise EvidenceError(f"{file}: {checked.problems[0]}", "learn from valid records only")
        if checked.decision not in ("accepted", "accepted with concession"):
            raise UsageError(f"{file}: the node was {checked.decision}", "learn from accepted nodes only: leave it out")
        found.append(Good(str(file), lot, read_record(file).statement.predicate.evidence))
    _enough_of_each(found)
    _different(found)
    _alike(found)
    return tuple(found)


def _lot(file: Path, lots: Sequence[Lot]) -> str:
    names = list(dict.fromkeys(lot.name for lot in lots if fnmatchcase(str(file), lot.pattern)))
    if len(names) == 1:
        return names[0]
    said = f"is in the lots {' and '.join(names)}" if names else "is in no lot"
    raise UsageError(f"{file}: {said}", "give each record one lot: --lot NAME=GLOB, matched against its path")


def _enough_of_each(found: Sequence[Good]) -> None:
    sizes = Counter(one.lot for one in found)
    if len(sizes) < FEWEST_LOTS:
        raise UsageError(
            f"all records are of the lot {found[0].lot}: {FEWEST_LOTS} lots or more are needed",
            "a limit from one lot would hold another lot's ordinary difference against it",
        )
    lot, most = sizes.most_common(1)[0]
    if len(found) - most < FEWEST_OTHERS:
        raise UsageError(
            f"without the lot {lot} only {len(found) - most} nodes are left, {FEWEST_OTHERS} are needed",
            "add records of other lots: each lot is left out once",
        )


def _different(found: Sequence[Good]) -> None:
    """A node counts once, and a GPU that moved is the same GPU."""
    seen: dict[str, str] = {}
    for one in found:
        node = one.evidence.node
        names = {f"node {node.serial or node.host}", *(f"GPU {gpu.uuid}" for gpu in node.gpus)}
        for name in sorted(names):
            if name in seen:
                raise UsageError(
                    f"{one.file} and {seen[name]} are both of {printable(name)}", "give one record of each node"
                )
        seen.update(dict.fromkeys(names, one.file))


def _alike(found: Sequence[Good]) -> None:
    """What limits are bound to has to be one and the same: otherwise the scatter would be that of the difference."""
    _one("driver", found, lambda e: {e.node.driver_version})
    _one("power limit (W)", found, power_limits)
    _one("kind of GPU (PCI device id)", found, lambda e: {gpu.pci_device_id for gpu in e.node.gpus})
    _one("plan", found, lambda e: {f"{e.plan.name}, steps {_steps(e)}"})
    _one("digest of checks", found, lambda e: {" ".join(f"{c.name} {c.source_sha256[:12]}" for c in e.checks)})
    _one("digest of driver libraries", found, lambda e: {one.sha256 for one in e.environment.libraries} or {""})
    _one("digest of kernels", found, kernels)


def power_limits(evidence: Evidence) -> set[str]:
    """Every enforced power limit that the record holds, W."""
    values = {
        f"{value:g}" if isinstance(value, float) else value
        for column in evidence.columns
        if column.metric == POWER_LIMIT
        for samples in column.samples
        for value in samples
    }
    return values or {"not in the record"}


def kernels(evidence: Evidence) -> set[str]:
    """The code that ran on the GPUs, each by file, architecture and the beginning of its digest."""
    known = evidence.node.kernels or ()
    return {f"{one.file} {one.architecture} {one.sha256[:12]}" for one in known} or {"not in the record"}


def _steps(evidence: Evidence) -> str:
    """A short digest of the steps of the first look and their parameters."""
    steps = [(s.check, s.state, s.visit, sorted(s.parameters.items())) for s in evidence.plan.steps if s.look == 1]
    return hashlib.sha256(repr(steps).encode()).hexdigest()[:8]


def _one(what: str, found: Sequence[Good], ask: Callable[[Evidence], Iterable[str]]) -> None:
    first = frozenset(ask(found[0].evidence))
    for one in found[1:]:
        other = frozenset(ask(one.evidence))
        if other != first:
            here, there = (printable(", ".join(sorted(values)), 80) for values in (first, other))
            raise UsageError(
                f"{found[0].file} and {one.file} differ in {what}: {here} and {there}",
                "limits are bound to it: learn from records that share it",
            )
    if what.startswith("power") and (len(first) > 1 or "not in the record" in first):
        raise UsageError(
            f"the {what} of these nodes is {printable(', '.join(sorted(first)), 80)}: limits are bound to one",
            "learn from records of nodes with one power limit, by a plan with the check inventory",
        )
