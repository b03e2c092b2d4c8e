"""Worker processes as their supervisor holds them: started from a nursery, heard over a pipe, watched by their pulse,
ended."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe

from gpuaccept.ambient import SUPERVISOR_VARIABLE
from gpuaccept.run.messages import NURSERY_BYTES, READY, REAP, START, Message, Open, PulseBoard, pack

DEBUG_VARIABLE = "GPUACCEPT_DEBUG"
"""Set by --debug: workers then write to the terminal what their libraries print."""
_KILL_WAIT_S = 1.0
_FORK_S = 30.0
"""A nursery that has loaded its modules answers within milliseconds; one that does not is taken for dead."""
_LOOK_S = 0.002


@dataclass
class Nursery:
    """The process that workers are forked from (see gpuaccept.run.nursery): it loads its modules while we go on."""

    device: str
    _process: subprocess.Popen[bytes] = field(init=False)
    _socket: socket.socket = field(init=False)
    _ready: bool = False

    def __post_init__(self) -> None:
        """Raises OSError where the machine can't start another process."""
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
        environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        environment[SUPERVISOR_VARIABLE] = str(os.getpid())
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gpuaccept.run.nursery", str(theirs.fileno()), self.device],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=None if os.environ.get(DEBUG_VARIABLE) else subprocess.DEVNULL,
                env=environment,
                process_group=0,  # a terminal's Ctrl-C is for the supervisor, also while it starts
            )

    def ready(self, timeout: float) -> bool:
        """Whether it has loaded its modules within `timeout` s. Raises OSError where it died."""
        if not self._ready and select.select([self._socket], [], [], timeout)[0]:
            if self._socket.recv(NURSERY_BYTES) != READY:
                raise OSError("the process that workers start from ended at once")
            self._ready = True
        return self._ready

    def fork(self, pipe: int, board: int) -> int:
        """The process number of a new worker that has these two ends. Raises OSError."""
        if not self.ready(_FORK_S):
            raise OSError(f"no module was loaded within {_FORK_S:g} s")
        socket.send_fds(self._socket, [START], [pipe, board])
        return int(self._answer())

    def reap(self, pid: int) -> int | None:
        """A worker's exit code (as subprocess has it), or None while it runs. Raises OSError."""
        self._socket.send(REAP + str(pid).encode())
        said = self._answer()
        return None if said == b"runs" else int(said)

    def close(self) -> None:
        """Kill it, and with it all its workers."""
        self._socket.close()
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_WAIT_S)

    def _answer(self) -> bytes:
        said = self._socket.recv(NURSERY_BYTES) if select.select([self._socket], [], [], _FORK_S)[0] else b""
        if not said:
            raise OSError("the process that workers start from died")
        return said


@dataclass
class Child:
    """A process that a nursery forked. `returncode` is None until it was seen to have ended."""

    pid: int
    nursery: Nursery
    returncode: int | None = None

    def kill(self) -> None:
        """Its number is nobody else's as long as the nursery has not reaped it."""
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, 9)

    def wait(self, timeout: float) -> bool:
        """Whether it has ended within `timeout` s."""
        limit = time.monotonic() + timeout
        while self.returncode is None:
            try:
                self.returncode = self.nursery.reap(self.pid)
            except OSError:
                self.returncode = -9  # a nursery takes its children with it
            if self.returncode is None and time.monotonic() > limit:
                return False
            if self.returncode is None:
                time.sleep(_LOOK_S)
        return True


@dataclass
class Worker:
    """A worker process. `ready`: it said that its device is open."""

    process: Child
    pipe: Connection
    board: PulseBoard
    since: float
    ready: bool = False

    def silence(self) -> float:
        """Seconds since it last made progress, or since it was last spoken to."""
        return time.monotonic() - max(self.since, self.board.read()[1])

    def heard(self) -> None:
        """Note that it spoke, or was spoken to: its silence counts from now."""
        self.since = time.monotonic()

    def tell(self, message: Message) -> None:
        """Send a message. Raises OSError where it is gone."""
        self.heard()
        self.pipe.send_bytes(pack(message))


def start(nursery: Nursery, message: Open) -> Worker:
    """Start a worker, tell it what to open, and return at once.

    Raises OSError where the machine can't start another process.
    """
    ours, theirs = Pipe(duplex=True)
    board = PulseBoard()
    with theirs:
        child = Child(nursery.fork(theirs.fileno(), board.fd), nursery)
    worker = Worker(process=child, pipe=ours, board=board, since=time.monotonic())
    worker.tell(message)
    return worker


def end(*workers: Worker) -> None:
    """Kill, wait a moment for all together, leave behind what can't be killed: a deadline may be near."""
    for worker in workers:
        worker.pipe.close()
        worker.process.kill()
    limit = time.monotonic() + _KILL_WAIT_S
    for worker in workers:
        if not worker.process.wait(max(0.0, limit - time.monotonic())):
            worker.process.returncode = -9  # state D: the kernel ends it when the driver lets go
        worker.board.close()
