"""From a subject to the part that a person can put a hand on."""

from __future__ import annotations

from gpuaccept.data import Cohort, Evidence, GpuFacts, Part
from gpuaccept.judge.subjects import NODE, gpus_of, link_of

MISSING = "missing GPU"
"""Name of the part that is not there."""


def part(evidence: Evidence, subject: str) -> Part:
    """The part that a subject is: its identity as the node's facts give it, its slot by the cohort's slot map.

    A GPU that the plan expects and the node does not show is a part of the node, with the module id and slot that no
    GPU takes, as far as these can be told: the index of a GPU that isn't there means nothing.
    """
    cohort = next((one for one in evidence.profile.cohorts if one.name == evidence.plan.cohort), None)
    indices = [int(i) for i in _ends(subject)]
    if not indices:
        node = evidence.node
        return Part(subject=subject, name=node.host if subject == NODE else subject, serial=node.serial or "")
    gpu = next((one for one in evidence.node.gpus if one.index == indices[0]), None)
    if gpu is None:
        return _missing(evidence, cohort, indices[0])
    return Part(
        subject=subject,
        gpu=gpu.index,
        link=link_of(subject),
        peer=indices[1] if len(indices) > 1 else None,
        name=gpu.name,
        serial=gpu.serial or "",
        uuid=gpu.uuid,
        pci_bus_id=gpu.pci_bus_id,
        module_id=gpu.module_id,
        slot=_slot(cohort, gpu),
    )


def missing_gpus(evidence: Evidence, gpus: int) -> tuple[int, ...]:
    """Indices below `gpus` that no GPU of the node has."""
    found = {gpu.index for gpu in evidence.node.gpus}
    return tuple(index for index in range(gpus) if index not in found)


def words(found: Part) -> str:
    """A part as people say it: `GPU 3 (slot GPU 4, serial 165…)`, `link 11 of GPU 3`, `GPU 2 → GPU 5`."""
    if found.name == MISSING:
        place = f" of slot {found.slot}" if found.slot else ""
        module = f" (module {found.module_id})" if found.module_id is not None else ""
        return f"the {MISSING}{place}{module}"
    if found.gpu is None:
        return "the node" if found.subject == NODE else found.subject
    if found.peer is not None:
        return f"GPU {found.gpu} → GPU {found.peer}"
    return f"GPU {found.gpu}" if found.link is None else f"link {found.link} of GPU {found.gpu}"


def _ends(subject: str) -> list[int]:
    """GPUs of a subject, the acting one first."""
    first, mark, second = subject.partition(">")
    return [*gpus_of(first), *(gpus_of(second) if mark else ())]


def _slot(cohort: Cohort | None, gpu: GpuFacts) -> str:
    return cohort.slots.get(str(gpu.module_id), "") if cohort and gpu.module_id is not None else ""


def _missing(evidence: Evidence, cohort: Cohort | None, index: int) -> Part:
    unknown = Part(subject=NODE, name=MISSING)
    if cohort is None:
        return unknown
    taken = {str(gpu.module_id) for gpu in evidence.node.gpus if gpu.module_id is not None}
    free = sorted((module for module in cohort.slots if module not in taken), key=lambda m: (len(m), m))
    absent = missing_gpus(evidence, cohort.gpus)
    if index not in absent or len(free) != len(absent):
        return unknown
    module = free[absent.index(index)]
    number = int(module) if module.isdigit() else None
    return Part(subject=NODE, name=MISSING, module_id=number, slot=cohort.slots.get(module, ""))
