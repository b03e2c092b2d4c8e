"""One worker process as its supervisor holds it: started by spawn, heard over a pipe, watched by its pulse, ended."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe

from gpuaccept.ambient import SUPERVISOR_VARIABLE
from gpuaccept.run.messages import Message, Open, PulseBoard, pack

DEBUG_VARIABLE = "GPUACCEPT_DEBUG"
"""Set by --debug: workers then write to the terminal what their libraries print."""
_KILL_WAIT_S = 1.0


@dataclass
class Worker:
    """A worker process. `ready`: it said that its device is open."""

    process: subprocess.Popen[bytes]
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


def start(message: Open) -> Worker:
    """Start a worker, tell it what to open, and return at once.

    Raises OSError where the machine can't start another process.
    """
    ours, theirs = Pipe(duplex=True)
    board = PulseBoard()
    command = [sys.executable, "-m", "gpuaccept.run.worker", str(theirs.fileno()), str(board.fd)]
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    environment[SUPERVISOR_VARIABLE] = str(os.getpid())
    process = subprocess.Popen(
        command,
        pass_fds=(theirs.fileno(), board.fd),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get(DEBUG_VARIABLE) else subprocess.DEVNULL,
        env=environment,
        process_group=0,  # a terminal's Ctrl-C is for the supervisor, also while a worker starts
    )
    theirs.close()
    worker = Worker(process=process, pipe=ours, board=board, since=time.monotonic())
    worker.tell(message)
    return worker


def end(*workers: Worker) -> None:
    """Kill, wait a moment for all together, leave behind what can't be killed: a deadline may be near."""
    for worker in workers:
        worker.pipe.close()
        worker.process.kill()
    limit = time.monotonic() + _KILL_WAIT_S
    for worker in workers:
        try:
            worker.process.wait(max(0.0, limit - time.monotonic()))
        except subprocess.TimeoutExpired:
            worker.process.returncode = -9  # state D: the kernel ends it when the driver lets go
        worker.board.close()
