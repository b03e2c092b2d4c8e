"""What the processes of a run have learned of a device, for those that open it after them."""

from __future__ import annotations

import msgspec


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """Empty for the first process.

    `addresses` are the PCI addresses of all GPUs by index: each keeps its index then, and none but those that are
    asked for is opened. `without` are GPUs that hang: where it is given, the kernel's list of PCI devices takes the
    place of `addresses`. `no_cuda` says why CUDA is not to be opened: what needs it is not measured then. `memory` is
    what a process told that this one replaces (see `open.memory`).
    """

    addresses: tuple[str, ...] = ()
    without: tuple[int, ...] | None = None
    no_cuda: str = ""
    memory: bytes = b""
