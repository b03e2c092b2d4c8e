"""Who else computes on the GPUs: asked before the first measurement, since a run would disturb them, and they it."""

from __future__ import annotations

import msgspec

from gpuaccept.check import DeviceError, Node, Unavailable


class Neighbour(msgspec.Struct, frozen=True, kw_only=True):
    """A compute process of somebody else. The name is empty where this user may not read it."""

    gpu: int
    pid: int
    name: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.name or 'of another user'}) computes on GPU {self.gpu}"


def neighbours(node: Node) -> tuple[tuple[Neighbour, ...], str]:
    """All compute processes of others on the node's GPUs, and why some GPU could not be asked (or an empty text).

    Ask before any kernel ran: none of this run's own processes computes then.
    """
    found: list[Neighbour] = []
    unseen = ""
    for gpu in node.gpus:
        try:
            processes = node.processes(gpu)
        except DeviceError as error:
            unseen = unseen or str(error)
            continue
        if isinstance(processes, Unavailable):
            unseen = unseen or f"GPU {gpu}: {processes.call}: {processes.reason}"
        else:
            found += [Neighbour(gpu=gpu, pid=process.pid, name=process.name) for process in processes]
    return tuple(found), unseen


def in_one_sentence(found: tuple[Neighbour, ...]) -> str:
    """The first of them in words, and how many more there are."""
    more = len({neighbour.pid for neighbour in found} - {found[0].pid})
    gpus = {neighbour.gpu for neighbour in found}
    rest = f", and {more} more on {len(gpus)} GPU{'s' if len(gpus) > 1 else ''} in all" if more else ""
    return f"{found[0]}{rest}"
