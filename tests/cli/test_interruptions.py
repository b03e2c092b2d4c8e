"""A run that is stopped, killed, hung or out of time: what was measured is kept, what is missing is said."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from command_line import COMMAND, MOCK, SITE, SOAK_PROFILE, alive, children, gpuaccept, start

from gpuaccept.run.journal import fold, read

SOAK = ("run", "--profile", "soak.yaml", "--plan", "soak", "--device", MOCK, "--real-time")


@pytest.fixture(autouse=True)
def hangups_are_heard() -> Iterator[None]:
    """Children inherit what a signal does, also that it is ignored, as where the tests themselves run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def prepared(folder: Path) -> Path:
    (folder / "soak.yaml").write_text(SOAK_PROFILE)
    return folder


def soaking(folder: Path, *more: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """A run in real time, once samples of its soak are on the disk."""
    run = start(*SOAK, "--out", "out", *more, cwd=prepared(folder), before=before)
    until = time.monotonic() + 20
    while '"entry":"samples"' not in text_of(folder / "out" / "journal.jsonl"):
        assert run.poll() is None, run.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.05)
    return run


def text_of(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGHUP")]
)
def test_a_run_that_is_stopped_leaves_a_record_that_says_so(tmp_path: Path, number: int, name: str) -> None:
    run = soaking(tmp_path)
    workers = children(run.pid)
    run.send_signal(number)
    said, progress = run.communicate(timeout=10)

    assert run.returncode == 130
    assert "Traceback" not in progress
    assert f"stopped by {name}" in said
    assert workers and not any(map(alive, workers))
    checked = gpuaccept("verify", "--integrity-only", "--allow-simulated", "out/certificate.html", cwd=tmp_path)
    assert checked.returncode == 3
    assert "valid" in checked.stdout and "NOT VALID" not in checked.stdout
    assert "not complete" in checked.stdout
    assert (tmp_path / "out" / "series.json.gz").exists()


def test_a_terminal_that_goes_away_leaves_a_record(tmp_path: Path) -> None:
    prepared(tmp_path)
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tmp_path)
        os.environ["TERM"] = "xterm-256color"
        os.execv(COMMAND[0], [*COMMAND, *SOAK, "--out", "out"])
    until = time.monotonic() + 20
    while '"entry":"samples"' not in text_of(tmp_path / "out" / "journal.jsonl") and time.monotonic() < until:
        if select.select([terminal], [], [], 0.05)[0]:
            os.read(terminal, 65536)
    os.close(terminal)  # as when an SSH session drops
    os.kill(pid, signal.SIGHUP)  # and as its shell says once more

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    checked = gpuaccept("verify", "--integrity-only", "--allow-simulated", "out/record.json", cwd=tmp_path)
    assert checked.returncode == 3
    assert "stopped by SIGHUP" in checked.stdout


def test_nohup_is_respected(tmp_path: Path) -> None:
    run = soaking(tmp_path, before=("nohup",))
    run.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert run.poll() is None
    run.send_signal(signal.SIGTERM)

    assert "stopped by SIGTERM" in run.communicate(timeout=10)[0]
    assert run.returncode == 130


def test_a_second_ctrl_c_names_the_journal_and_how_to_go_on(tmp_path: Path) -> None:
    run = soaking(tmp_path)
    run.send_signal(signal.SIGINT)
    while run.poll() is None:  # it concludes within a second: one of these comes before the record
        with suppress(ProcessLookupError):
            run.send_signal(signal.SIGINT)
        time.sleep(0.002)
    said = run.communicate()[1]

    assert run.returncode == 130
    assert "interrupted before there was a record" in said
    assert "out/journal.jsonl" in said and "--resume out" in said
    assert "Traceback" not in said
    assert gpuaccept(*SOAK, "--resume", "out", cwd=tmp_path).returncode in (0, 3, 130)


def test_a_run_that_is_stopped_before_the_device_is_open(tmp_path: Path) -> None:
    done = gpuaccept("run", "--profile", SITE, "--device", MOCK, "--out", "out", "--deadline", "1ms", cwd=tmp_path)

    assert done.returncode == 3
    assert "before the device was open" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_killed_run_leaves_a_journal_that_folds(tmp_path: Path) -> None:
    run = soaking(tmp_path)
    workers = children(run.pid)
    run.kill()
    run.communicate()
    evidence, series = fold(read(tmp_path / "out" / "journal.jsonl"))

    assert not evidence.complete
    assert [step.check for step in evidence.steps] == ["inventory"]
    assert series and len(series[0].at_s) >= 2
    until = time.monotonic() + 5
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert workers and not any(map(alive, workers))


def test_a_deadline_is_kept_with_what_was_measured(tmp_path: Path) -> None:
    began = time.monotonic()
    done = gpuaccept(*SOAK, "--out", "out", "--deadline", "4s", "--output", "json", cwd=prepared(tmp_path))
    spent = time.monotonic() - began
    answer = json.loads(done.stdout)

    assert spent < 12.0, "the soak alone would last 20 s"
    assert (done.returncode, answer["exit_code"], answer["complete"]) == (3, 3, False)
    assert "deadline of 4 s" in answer["reason"]
    steps = fold(read(tmp_path / "out" / "journal.jsonl"))[0].steps
    assert [step.outcome for step in steps] == ["completed", "not_reached", "not_reached"]


def test_a_call_that_hangs_costs_its_gpu_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "hang.yaml").write_text(
        "hardware: hgx-b200\nset:\n  - {target: gpu/3, parameter: call.hang, value: true, from: 100s}\n"
    )
    done = gpuaccept(
        "run", "--profile", SITE, "--device", "mock:hang.yaml", "--out", "out", "--output", "json", cwd=tmp_path
    )
    answer = json.loads(done.stdout)

    assert done.returncode == answer["exit_code"] in (3, 5)
    assert "no progress for 2 s" in done.stderr
    part = answer["findings"][0]["part"]
    assert (part["subject"], part["serial"] != "") == ("gpu/3", True)
    evidence, series = fold(read(tmp_path / "out" / "journal.jsonl"))
    soaked = {s for c in evidence.columns if c.metric == "thermal_soak.power_mean" for s in c.subjects}
    assert soaked == {f"gpu/{gpu}" for gpu in range(8) if gpu != 3}
    assert all(len(group.at_s) == 3 * 601 for group in series), "samples from before the hang count twice"
    assert len(answer["findings"]) == 1
    assert [event.subject for event in evidence.events if event.kind == "hang"] == ["gpu/3"]


def test_a_worker_that_dies_is_said_and_replaced(tmp_path: Path) -> None:
    run = soaking(tmp_path, "--output", "json")
    for worker in children(run.pid):
        os.kill(worker, signal.SIGKILL)
    said, progress = run.communicate(timeout=30)
    answer = json.loads(said)

    assert run.returncode == answer["exit_code"] == 3
    assert "Traceback" not in progress
    assert "the measuring process died (signal 9)" in progress
    evidence, _ = fold(read(tmp_path / "out" / "journal.jsonl"))
    assert [step.outcome for step in evidence.steps] == ["completed", "error", "completed"]


def test_a_disk_that_fills_up_ends_the_run_with_a_sentence_and_keeps_what_was_written(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        done = gpuaccept("run", "--profile", SITE, "--device", MOCK, "--plan", "quick", "--out", disk / "out")
        entries = read(disk / "out" / "journal.jsonl")
    finally:
        subprocess.run(["umount", disk], check=True)

    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "journal" in done.stderr
    assert [type(entry).__name__ for entry in entries][:2] == ["Begin", "Measured"]
