"""A worker process: it alone calls the driver. The nursery forks it."""

from __future__ import annotations

import ctypes
import os
import signal
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

from gpuaccept.check import Node, SeriesBlock
from gpuaccept.device import open as device
from gpuaccept.errors import DeviceError, DeviceUnavailable, GpuacceptError, UsageError
from gpuaccept.run.loading import load_checks
from gpuaccept.run.messages import Block, Done, Failed, Open, Opened, Perform, PulseBoard, Ready, pack, unpack
from gpuaccept.run.neighbours import neighbours
from gpuaccept.run.perform import perform

_PR_SET_PDEATHSIG = 1


def serve(pipe: Connection, board: PulseBoard, parent: int) -> NoReturn:
    """Serve the supervisor at the other end until its pipe closes; `parent` is the process that forked this one."""
    os.setpgid(0, 0)  # a terminal's Ctrl-C is for the supervisor
    end_with(parent)
    try:
        _serve(pipe, board)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except DeviceUnavailable as error:
        pipe.send_bytes(pack(Failed(kind="unavailable", fact=error.fact, remedy=error.remedy)))
    except DeviceError as error:
        pipe.send_bytes(pack(Failed(kind="unavailable", fact=str(error), remedy="run `gpuaccept doctor`")))
    except UsageError as error:
        pipe.send_bytes(pack(Failed(kind="usage", fact=error.fact, remedy=error.remedy)))
    except GpuacceptError as error:
        pipe.send_bytes(pack(Failed(kind="broken", fact=error.fact, remedy=error.remedy)))
    except Exception as error:  # the supervisor must learn of any defect, and says so
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        pipe.send_bytes(pack(Failed(kind="broken", fact=f"{type(error).__name__}: {error} ({where})", remedy="")))
    os._exit(0)  # a driver's exit handlers may hang


def _serve(pipe: Connection, board: PulseBoard) -> None:
    message = unpack(pipe.recv_bytes())
    assert isinstance(message, Open)
    board.beat(None, "open")
    checks = load_checks(Path(message.checks_dir) if message.checks_dir else None)
    spec, memory = message.spec, message.learned.memory
    node: Node = device.open_node(spec, message.gpus, board.beat, message.start_s, message.learned)
    pipe.send_bytes(pack(_opened(node, message) if message.identify else Ready()))
    while True:
        message = unpack(pipe.recv_bytes())
        assert isinstance(message, Perform)
        board.beat(None, f"begin {message.step.check}")

        def send(block: SeriesBlock) -> None:
            rows = tuple((name, subject, at, values) for (name, subject), (at, values) in block.items())
            pipe.send_bytes(pack(Block(series=rows)))

        result = perform(node, checks[message.step.check], message.step, message.seed, message.origin_s, send)
        before, memory = memory, device.memory(spec, node)
        pipe.send_bytes(pack(Done(result=result, now_s=node.now(), memory=b"" if memory == before else memory)))


def _opened(node: Node, message: Open) -> Opened:
    others, unseen = neighbours(node)
    return Opened(
        now_s=node.now(),
        gpus=node.gpus,
        facts=node.facts(),
        libraries=device.libraries(message.spec),
        simulated=device.simulated(message.spec),
        neighbours=others,
        unseen=unseen,
    )


def end_with(parent: int | None) -> None:
    """The kernel kills this process with its parent, however that ends: GPU memory is freed then too."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent not in (None, os.getppid()):  # it died before the kernel was asked
        os._exit(0)
