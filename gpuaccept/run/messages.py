"""What supervisor and workers say to each other over a pipe, and the pulse that a worker leaves in shared memory."""

from __future__ import annotations

import mmap
import os
import struct
import time
from pathlib import Path

import msgspec

from gpuaccept.data import Layer, NodeFacts, PlannedStep, Simulated
from gpuaccept.device.open import DeviceSpec, Learned
from gpuaccept.run.neighbours import Neighbour
from gpuaccept.run.perform import Performed

READY, START, REAP = b"ready", b"start", b"reap "
"""Between supervisor and nursery: its modules are loaded; fork a worker; tell how worker PID ended."""
NURSERY_BYTES = 64
"""Of the longest of these messages, and of their answers."""


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Base of all messages."""


class Open(Message, frozen=True, kw_only=True):
    """To a worker, first: open this device with these GPUs (None: all)."""

    spec: DeviceSpec
    gpus: tuple[int, ...] | None
    start_s: float
    checks_dir: str
    learned: Learned = Learned()
    """What is known of the device already."""
    identify: bool = False
    """Whether the answer is to be Opened, with what the whole node is, rather than Ready."""


class Ready(Message, frozen=True, kw_only=True):
    """From a worker: the device is open."""


class Opened(Message, frozen=True, kw_only=True):
    """From the worker that identifies the node: the device is open, and this is what it is."""

    now_s: float
    gpus: tuple[int, ...]
    facts: NodeFacts
    libraries: tuple[Layer, ...]
    simulated: Simulated | None
    neighbours: tuple[Neighbour, ...]
    """Compute processes of others."""
    unseen: str
    """Why some GPU's processes could not be asked for, or empty."""


class Perform(Message, frozen=True, kw_only=True):
    """To a worker: measure this step."""

    step: PlannedStep
    seed: int
    origin_s: float


class Block(Message, frozen=True, kw_only=True):
    """From a worker: series samples, as (series, subject, times, values)."""

    series: tuple[tuple[str, str, tuple[float, ...], tuple[float, ...]], ...]


class Done(Message, frozen=True, kw_only=True):
    """From a worker: the step's results, and its clock."""

    result: Performed
    now_s: float
    memory: bytes = b""
    """What a worker that takes this one's place should know; empty where that is what it said before."""


class Failed(Message, frozen=True, kw_only=True):
    """From a worker: it can't go on. `kind` is unavailable, usage or broken."""

    kind: str
    fact: str
    remedy: str


AnyMessage = Open | Ready | Opened | Perform | Block | Done | Failed

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyMessage)


def pack(message: Message) -> bytes:
    """A message as bytes."""
    return _encoder.encode(message)


def unpack(data: bytes) -> AnyMessage:
    """The message that `pack` made these bytes from."""
    message: AnyMessage = _decoder.decode(data)
    return message


class PulseBoard:
    """Shared memory in which a worker writes (count, time, GPU, call) before each driver call."""

    _LAYOUT = struct.Struct("<Qdi64s")

    def __init__(self, fd: int | None = None) -> None:
        self.fd = os.memfd_create("gpuaccept-pulse") if fd is None else fd
        if fd is None:
            os.ftruncate(self.fd, mmap.PAGESIZE)
        self._map = mmap.mmap(self.fd, mmap.PAGESIZE)
        self._count = 0
        self._names: dict[str, bytes] = {}

    def beat(self, gpu: int | None, call: str) -> None:
        """The worker's side: progress was made, and this call comes next."""
        self._count += 1
        name = self._names.get(call) or self._names.setdefault(call, call.encode()[:64])
        self._LAYOUT.pack_into(self._map, 0, self._count, time.monotonic(), -1 if gpu is None else gpu, name)

    def read(self) -> tuple[int, float, int | None, str]:
        """The supervisor's side: count, time (monotonic s), GPU, call."""
        count, at, gpu, call = self._LAYOUT.unpack_from(self._map, 0)
        return count, at, None if gpu < 0 else gpu, call.rstrip(b"\0").decode(errors="replace")

    def close(self) -> None:
        """Unmap and close; a second time does nothing."""
        self._map.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def process_state(pid: int) -> str:
    """The kernel's one-letter state of a process (D: it can't be killed), or an empty text."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return ""
