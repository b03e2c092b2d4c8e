"""Workers that hang, die or break: the others go on, and what happened is named."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuaccept.data import PlannedStep
from gpuaccept.device.open import DeviceSpec
from gpuaccept.errors import UsageError
from gpuaccept.run.crew import Crew
from gpuaccept.run.loading import load_checks
from gpuaccept.run.performer import InProcess, Stopped, Watch

CHECK = '''
"""A check for tests: reads every GPU's enforced power limit."""
import os, time
from gpuaccept.check import Check, Metric, Parameters, gpu_subject

class Settings(Parameters):
    misbehave: str = ""

def measure(node, visit):
    if visit.parameters.misbehave == "die":
        os.kill(os.getpid(), 9)
    if visit.parameters.misbehave == "break":
        raise ValueError("a defect of the check")
    if visit.parameters.misbehave == "slow":
        for _ in range(200):
            node.settings(node.gpus[0]); time.sleep(0.1)
    node.wait(1.0)
    for gpu in node.gpus:
        with visit.part(gpu_subject(gpu)):
            visit.measured("limit", gpu_subject(gpu), node.settings(gpu).power_limit_enforced_mw)

CHECK = Check(name="probe", purpose="for tests", scope="gpu", parameters=Settings,
              metrics=(Metric("limit", "mW", "enforced limit", kind="counted"),), measure=measure)
'''
HANGING = """
hardware: hgx-b200
set:
  - {target: gpu/3, parameter: call.hang, value: true, from: 0.5s}
"""


@pytest.fixture
def checks_dir(tmp_path: Path) -> Path:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "probe.py").write_text(CHECK)
    return tmp_path / "checks"


@pytest.fixture
def crew(checks_dir: Path) -> Iterator[Crew]:
    made = Crew(DeviceSpec(device="mock:hgx-b200"), load_checks(checks_dir), str(checks_dir))
    yield made
    made.close()


def step(misbehave: str = "") -> PlannedStep:
    return PlannedStep(check="probe", visit=1, parameters={"misbehave": misbehave})


def perform(crew: Crew | InProcess, misbehave: str = "", watch: Watch | None = None):  # type: ignore[no-untyped-def]
    return crew.perform(step(misbehave), 1, 0.0, lambda block: None, watch or Watch())


def test_a_worker_measures_what_this_process_measures(crew: Crew, checks_dir: Path) -> None:
    here = InProcess(DeviceSpec(device="mock:hgx-b200"), load_checks(checks_dir))
    assert crew.open(lambda: None).facts == here.open(lambda: None).facts

    assert perform(crew) == perform(here)


def test_a_worker_that_dies_is_named_and_replaced(crew: Crew) -> None:
    crew.open(lambda: None)

    died = perform(crew, "die")
    after = perform(crew)

    assert died.outcome == "error"
    assert "signal 9" in died.reason
    assert {failure.subject for failure in died.failures} >= {f"gpu/{gpu}" for gpu in range(8)}
    assert after.outcome == "completed"
    assert len(after.performed.columns[0].subjects) == 8


def test_workers_whose_nursery_was_killed_are_replaced(crew: Crew) -> None:
    crew.open(lambda: None)
    assert crew._nursery is not None
    workers = [worker.process.pid for worker in crew._workers.values()]
    crew._nursery._process.kill()
    crew._nursery._process.wait()
    until = time.monotonic() + 5
    while any(map(_alive, workers)) and time.monotonic() < until:
        time.sleep(0.01)

    lost = perform(crew)
    after = perform(crew)

    assert lost.outcome == "error"
    assert after.outcome == "completed"
    assert len(after.performed.columns[0].subjects) == 8


def test_a_check_that_breaks_ends_its_step_alone(crew: Crew) -> None:
    crew.open(lambda: None)

    broke = perform(crew, "break")

    assert broke.outcome == "error"
    assert "a defect of the check" in broke.reason
    assert perform(crew).outcome == "completed"


def test_a_hang_names_the_gpu_and_the_others_are_measured(checks_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "hang.yaml").write_text(HANGING)
    crew = Crew(DeviceSpec(device=f"mock:{tmp_path / 'hang.yaml'}"), load_checks(checks_dir), str(checks_dir))
    try:
        crew.open(lambda: None)
        started = time.monotonic()
        hung = perform(crew)
        again = perform(crew)
        spent = time.monotonic() - started
    finally:
        crew.close()

    assert hung.outcome == "timed_out"
    assert "on GPU 3" in hung.reason
    assert hung.performed.columns[0].subjects == tuple(f"gpu/{gpu}" for gpu in range(8) if gpu != 3)
    assert [failure.subject for failure in again.failures] == ["gpu/3"]
    assert spent < 10


def test_ctrl_c_ends_a_step_at_once(crew: Crew) -> None:
    crew.open(lambda: None)
    asked = threading.Event()
    threading.Timer(0.5, asked.set).start()

    def check() -> None:
        if asked.is_set():
            raise Stopped("interrupted", "stopped by Ctrl-C")

    started = time.monotonic()
    with pytest.raises(Stopped):
        perform(crew, "slow", Watch(check=check))

    assert time.monotonic() - started < 5


def test_workers_die_with_their_supervisor(tmp_path: Path, checks_dir: Path) -> None:
    import subprocess
    import sys

    program = f"""
import time
from pathlib import Path
from gpuaccept.device.open import DeviceSpec
from gpuaccept.run.crew import Crew
from gpuaccept.run.loading import load_checks
crew = Crew(DeviceSpec(device="mock:hgx-b200"), load_checks(Path({str(checks_dir)!r})), {str(checks_dir)!r})
crew.open(lambda: None)
print(*[w.process.pid for w in crew._workers.values()], crew._holder.process.pid, flush=True)
time.sleep(60)
"""
    supervisor = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert supervisor.stdout is not None
    workers = [int(pid) for pid in supervisor.stdout.readline().split()]
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()

    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(_alive(pid) for pid in workers):
        time.sleep(0.05)
    assert workers
    assert not any(_alive(pid) for pid in workers)


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_check_file_that_does_not_import_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("import nothing_of_that_name")

    with pytest.raises(UsageError, match=r"bad\.py: can't be loaded as a check"):
        load_checks(tmp_path)


def test_a_check_file_without_a_check_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("")

    with pytest.raises(UsageError, match="has no CHECK"):
        load_checks(tmp_path)


def test_helper_files_begin_with_an_underscore(tmp_path: Path) -> None:
    (tmp_path / "_helper.py").write_text("raise SystemError")

    with pytest.raises(UsageError, match="holds no check"):
        load_checks(tmp_path)
