"""What records say of healthy nodes: their identity, and the samples of each metric by node, subject and visit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gpuaccept.data import Evidence
from gpuaccept.errors import UsageError
from gpuaccept.fit.levels import Tree
from gpuaccept.judge.measured import Measured
from gpuaccept.judge.statistics import median
from gpuaccept.record.envelope import printable
from gpuaccept.verify import read_record


class Capture(NamedTuple):
    """A record, by the name of its file."""

    file: str
    evidence: Evidence


def read_captures(files: Sequence[Path]) -> tuple[Capture, ...]:
    """Records of nodes of one kind, measured by one plan. Who signed them is not asked.

    Raises UsageError where they can't be taken together, EvidenceError where one is not what it claims to be.
    """
    found = [Capture(str(file), read_record(file).statement.predicate.evidence) for file in files]
    first = found[0]
    seen: dict[str, str] = {}
    for one in found:
        node = one.evidence.node
        if not node.gpus:
            raise UsageError(f"{one.file}: no GPU was found on this node", "leave it out")
        if (run := one.evidence.run_id) in seen:
            raise UsageError(f"{one.file} and {seen[run]} are of one run", "give each run once")
        seen[run] = one.file
        for what, ask in (
            ("kind of GPU", lambda e: sorted({gpu.pci_device_id for gpu in e.node.gpus})),
            ("number of GPUs", lambda e: [str(len(e.node.gpus))]),
            ("driver", lambda e: [e.node.driver_version]),
            ("plan", lambda e: [e.plan.name]),
        ):
            here, there = ask(first.evidence), ask(one.evidence)
            if here != there:
                said = f"{printable(', '.join(here), 60)} and {printable(', '.join(there), 60)}"
                raise UsageError(
                    f"{first.file} and {one.file} differ in {what}: {said}", "fit captures that share it together"
                )
    return tuple(found)


def tree(captures: Sequence[Capture], metric: str) -> Tree:
    """Samples of a metric. Readings that are text, and subjects with fewer visits than others, are not in it."""
    out = {}
    for one in captures:
        columns = [column for column in one.evidence.columns if column.metric == metric]
        measured = Measured(columns, (), repetitive=False)
        rows = {s: [list(v) for v in measured.visits(s)] for s in measured.subjects}
        numbers = {
            subject: [[float(v) for v in visit] for visit in row]
            for subject, row in rows.items()
            if len(row) == measured.most and all(isinstance(v, float) for visit in row for v in visit)
        }
        if numbers:
            out[one.file] = numbers
    return out


def middle(values: Tree) -> float | None:
    """The median over all subjects of the median of their visits' medians; None where there are none."""
    found = [median([median(v) for v in row]) for of in values.values() for row in of.values()]
    return median(found) if found else None
