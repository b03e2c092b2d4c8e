"""The process that workers are forked from: it imports once what each of them needs, and never calls a driver.

Ten workers that import the same modules cost some seconds on a node with few idle cores; a fork costs milliseconds. A
driver may not be loaded before a fork, so the modules are imported here and opened there. Run as
`python -m gpuaccept.run.nursery SOCKET_FD DEVICE`. It answers two requests: `start` (with the two ends that the worker
is to use) with the worker's process number, and `reap PID` with its exit code once it has ended: until then the number
belongs to nobody else.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

from gpuaccept.ambient import supervisor
from gpuaccept.device import open as device
from gpuaccept.run import worker
from gpuaccept.run.loading import load_checks
from gpuaccept.run.messages import NURSERY_BYTES, READY, REAP, START, PulseBoard


def main() -> None:
    """Serve one supervisor until its socket closes."""
    requests = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides what Ctrl-C means
    worker.end_with(supervisor())
    _load(device.DeviceSpec(device=sys.argv[2]))
    with suppress(BrokenPipeError, ConnectionResetError):
        requests.send(READY)
        _serve(requests)
    os._exit(0)


def _load(spec: device.DeviceSpec) -> None:
    """What does not load here fails in the worker, which says so."""
    with suppress(Exception):
        device.preload(spec)
        load_checks()
    gc.collect()
    gc.freeze()  # a collection in a worker need not copy all of these pages


def _serve(requests: socket.socket) -> None:
    own = os.getpid()
    while True:
        message, ends, _, _ = socket.recv_fds(requests, NURSERY_BYTES, 2)
        if message == START:
            pid = os.fork()
            if not pid:
                requests.close()
                worker.serve(Connection(ends[0]), PulseBoard(ends[1]), own)
            for end in ends:
                os.close(end)
            requests.send(str(pid).encode())
        elif message.startswith(REAP):
            ended, status = os.waitpid(int(message.removeprefix(REAP)), os.WNOHANG)
            requests.send(str(os.waitstatus_to_exitcode(status)).encode() if ended else b"runs")
        else:
            return


if __name__ == "__main__":
    main()
