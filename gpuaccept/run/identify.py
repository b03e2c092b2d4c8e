"""What a node is, asked in a worker; asked once more where a GPU does not answer, and then without it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from gpuaccept.device.open import Learned
from gpuaccept.errors import DeviceUnavailable, GpuacceptError, UsageError
from gpuaccept.run.messages import Failed, Open, Opened, unpack
from gpuaccept.run.process import Worker, end

OPEN_LIMIT_S = 120.0
"""Longest silence of a worker whose device is not open yet: loading a driver on a large node takes a minute."""
POLL_S = 0.1


class Identified(NamedTuple):
    """A worker that holds the node open, its answer, the GPUs that hung with their (call, reason), and why CUDA is not
    used, if its own calls hung."""

    holder: Worker
    opened: Opened
    left_out: dict[int, tuple[str, str]]
    no_cuda: str


class _Hang(Exception):
    def __init__(self, gpu: int | None, call: str, limit: float) -> None:
        where = f" on GPU {gpu}" if gpu is not None else ""
        super().__init__(f"{call or 'start'}{where} for {limit:g} s")
        self.gpu, self.call = gpu, call


def identify(
    fork: Callable[[Open], Worker], message: Open, patient: bool, silence_s: float, check: Callable[[], None]
) -> Identified:
    """Ask a new worker. Raises DeviceUnavailable, UsageError, GpuacceptError, or what `check` raises.

    With `patient`, a GPU that hangs is left out: the second worker opens GPUs by the kernel's list, whose numbers are
    those of the record whichever way the driver counts, and so knows which GPU it is that hangs; the third goes on
    without it, and so on. Where CUDA as a whole hangs (cuInit), NVML is used alone. Other calls that name no GPU
    concern the whole node.
    """
    left_out: dict[int, tuple[str, str]] = {}
    without: tuple[int, ...] | None = None
    no_cuda = ""
    while True:
        learned = Learned(without=without, no_cuda=no_cuda)
        worker = fork(msgspec.structs.replace(message, identify=True, learned=learned))
        limit = OPEN_LIMIT_S if without is None else min(silence_s, OPEN_LIMIT_S)
        try:
            return Identified(worker, _answer(worker, limit, check), left_out, no_cuda)
        except _Hang as hang:
            end(worker)
            text = f"no progress in {hang} while the node was identified: process killed"
            if patient and hang.gpu is None and hang.call.startswith("cu") and not no_cuda:
                no_cuda = text
                continue
            if not patient or hang.gpu is None or hang.gpu in left_out:
                raise DeviceUnavailable(
                    f"the driver did not answer in {hang}", "look for XIDs in the kernel log, then reboot the node"
                ) from None
            if without is not None:
                left_out[hang.gpu] = hang.call, text
            without = tuple(left_out)
        except BaseException:
            end(worker)
            raise


def _answer(worker: Worker, limit: float, check: Callable[[], None]) -> Opened:
    """What a worker says of the node; a call that names no GPU may always take as long as a first one."""
    while not worker.pipe.poll(POLL_S):
        check()
        gpu, call = worker.board.read()[2:]
        allowed = OPEN_LIMIT_S if gpu is None else limit
        if worker.silence() > allowed:
            raise _Hang(gpu, call, allowed)
    try:
        message = unpack(worker.pipe.recv_bytes())
    except (EOFError, OSError) as error:
        worker.process.wait(1.0)
        raise GpuacceptError(
            f"a measuring process ended at once (exit {worker.process.returncode})", "run it again with --debug"
        ) from error
    if isinstance(message, Failed):
        kind = {"unavailable": DeviceUnavailable, "usage": UsageError}.get(message.kind, GpuacceptError)
        raise kind(message.fact, message.remedy)
    assert isinstance(message, Opened)
    worker.ready = True
    return message


def loaded(ready: Callable[[float], bool], check: Callable[[], None]) -> None:
    """Wait for the modules of a nursery. Raises OSError, or what `check` raises."""
    limit = time.monotonic() + OPEN_LIMIT_S
    while not ready(POLL_S):
        check()
        if time.monotonic() > limit:
            raise OSError(f"its modules were not loaded within {OPEN_LIMIT_S:g} s")
