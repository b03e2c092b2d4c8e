"""A file of results that an evaluation can be stopped and continued with, and the processes that fill it."""

from __future__ import annotations

import fcntl
import hashlib
import lzma
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

import msgspec

import gpuaccept
from gpuaccept.bundled import bundled
from gpuaccept.errors import UsageError
from gpuaccept.evaluation.trials import Result, Task, perform

AHEAD = 4
"""Tasks that wait for each process: enough to keep it busy, few enough to stop soon."""


class Line(msgspec.Struct, frozen=True):
    """One line of the file: the digest of the program that made it, and what came out."""

    program: str
    result: Result


def program_digest() -> str:
    """Digest of everything that decides what comes out of a task: the package, its checks and its profiles.

    What only chooses or tells of tasks is left out: a task says itself how severe its fault is. So is what a simulated
    and judged node never meets: pages, commands, records and the NVIDIA device.
    """
    digest = hashlib.sha256()
    package = Path(gpuaccept.__file__).parent
    files = [*package.rglob("*.py"), *bundled("checks").rglob("*.py"), *bundled("profiles").rglob("*.yaml")]
    only_ask = ("campaign.py", "page.py", "rates.py", "results.py", "sections.py")
    unmet = [
        path for folder in ("cli", "certificate", "record", "learn", "fit", "device/nvidia")
        for path in (package / folder).rglob("*.py")
    ]  # fmt: skip
    skipped = {*unmet, package / "severities.py", *(package / "evaluation" / name for name in only_ask)}
    for path in sorted(set(files) - skipped):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def read(path: Path, program: str) -> dict[str, Result]:
    """Results of this program in a file, by the key of their task. Those of another program are left out."""
    if not path.is_file():
        return {}
    decoder = msgspec.json.Decoder(Line)
    lines = [decoder.decode(line) for line in path.read_bytes().split(b"\n")[:-1] if line]
    return {line.result.key: line.result for line in lines if line.program == program}


def publish(path: Path, program: str, results: Mapping[str, Result], scenarios: Path) -> None:
    """Write results as the compressed file that goes with the page: anyone can repeat each, and go on from there.

    A key names the scenario file of its task; those in `scenarios` are written as of any folder.
    """
    lines = (msgspec.json.encode(Line(program, results[key])) + b"\n" for key in sorted(results))
    path.write_bytes(lzma.compress(b"".join(lines).replace(_in_folder(scenarios), _ANYWHERE)))


def adopt(published: Path, path: Path, scenarios: Path) -> None:
    """Begin a file of results, where there is none yet, with those that were published; see `publish`."""
    if published.is_file() and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(lzma.decompress(published.read_bytes()).replace(_ANYWHERE, _in_folder(scenarios)))


_ANYWHERE = b"mock:{scenarios}/"


def _in_folder(scenarios: Path) -> bytes:
    return f"mock:{scenarios}/".encode()


def evaluate(
    tasks: Iterable[Task],
    path: Path,
    processes: int,
    stop_after_s: float | None = None,
    progress: Callable[[int, int], None] = lambda done, all_: None,
    program: str = "",
) -> dict[str, Result]:
    """Do the tasks that the file has no result of, appending each as it comes; all results that there are then.

    A line is written by one call, so a file that was cut off has at most one torn line, which is taken off. Two
    evaluations can't fill one file: UsageError. `program`: the digest of the program that now runs, where its files may
    change meanwhile.
    """
    program, tasks = program or program_digest(), list(tasks)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another evaluation writes to {path}", "wait for it, or give --work") from None
        _take_off_torn_line(file, path)
        done = read(path, program)
        todo = [task for task in tasks if task.key not in done]
        before = len(tasks) - len(todo)
        progress(before, len(tasks))
        end = None if stop_after_s is None else time.monotonic() + stop_after_s

        fresh: list[Result] = []

        def keep(result: Result) -> None:
            os.write(file, msgspec.json.encode(Line(program, result)) + b"\n")
            fresh.append(result)
            progress(before + len(fresh), len(tasks))

        _fill(todo, processes, end, keep)
        done |= {result.key: result for result in fresh}
        os.fsync(file)
    finally:
        os.close(file)
    wanted = {task.key for task in tasks}
    return {key: result for key, result in done.items() if key in wanted}


def _fill(todo: list[Task], processes: int, end: float | None, keep: Callable[[Result], None]) -> None:
    def late() -> bool:
        return end is not None and time.monotonic() >= end

    if processes <= 1:
        for one in todo:
            if late():
                return
            keep(perform(one))
        return
    # Spawned: a fork beside the executor's threads may hang.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting, pending = iter(todo), set[Future[Result]]()
        try:
            while True:
                while len(pending) < AHEAD * processes and not late():
                    if (task := next(waiting, None)) is None:
                        break
                    pending.add(pool.submit(perform, task))
                if not pending:
                    return
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in finished:
                    keep(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _take_off_torn_line(file: int, path: Path) -> None:
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole != len(data):
        os.ftruncate(file, whole)
