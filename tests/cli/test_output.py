"""What a run says, and where: one JSON object, plain lines, silence, or a live table that leaves the terminal clean."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import termios
from pathlib import Path

import pytest
from command_line import COMMAND, MOCK, SITE, gpuaccept

QUICK = ("run", "--profile", SITE, "--device", MOCK, "--plan", "quick", "--out", "out")


def test_json_is_one_object_with_the_exit_code(tmp_path: Path) -> None:
    done = gpuaccept(*QUICK, "--output", "json", cwd=tmp_path)
    answer = json.loads(done.stdout)

    assert done.returncode == answer["exit_code"] == 0
    assert {
        "command", "version", "certificate_id", "decision", "reason", "simulated", "complete", "acceptance", "plan",
        "profile", "host", "run_id", "started_at", "ended_at", "coverage", "findings", "exit_code", "out",
    } <= set(answer)  # fmt: skip
    assert (answer["command"], answer["version"], answer["decision"], answer["simulated"]) == (
        "run",
        1,
        "accepted",
        True,
    )
    assert json.loads((tmp_path / "out" / "summary.json").read_bytes())["run_id"] == answer["run_id"]


def test_without_a_terminal_there_are_plain_lines_on_standard_error(tmp_path: Path) -> None:
    done = gpuaccept(*QUICK, cwd=tmp_path, NO_COLOR="1")

    assert done.returncode == 0
    assert "] inventory visit 1: " in done.stderr
    assert "\x1b" not in done.stderr + done.stdout
    assert done.stdout.startswith("PASSED  [SIMULATED]")


def test_a_fault_that_comes_after_the_run_is_said(tmp_path: Path) -> None:
    done = gpuaccept(*QUICK, "--quiet", "--fault", "gpu_fallen_off_bus:at_s=5000", cwd=tmp_path)

    assert done.returncode == 0
    assert "note         the fault gpu_fallen_off_bus begins at 5000.0 s: the run ended at" in done.stdout


def test_quiet_says_nothing_but_the_answer(tmp_path: Path) -> None:
    done = gpuaccept(*QUICK, "--quiet", "--fault", "ecc_off", cwd=tmp_path)

    assert (done.returncode, done.stderr) == (5, "")
    assert done.stdout.startswith("REJECTED  [SIMULATED]")


@pytest.mark.parametrize("no_color", ["", "1"])
def test_on_a_terminal_a_live_table_comes_and_goes(tmp_path: Path, no_color: str) -> None:
    said, before, after, code = on_a_terminal(tmp_path, NO_COLOR=no_color)

    assert code == 0, said
    assert "memory_bandwidth cold" in said and "step " in said
    assert said.count("\x1b[?25l") == said.count("\x1b[?25h") >= 1, "the cursor was hidden and not shown again"
    assert before == after
    assert ("\x1b[1;36m" in said or "\x1b[32m" in said) == (not no_color)
    assert "PASSED  [SIMULATED]" in said


def on_a_terminal(folder: Path, **variables: str) -> tuple[str, object, object, int]:
    """A run on a pseudo-terminal: what it wrote, the terminal's modes before and after, the exit code."""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40", **variables}
    environment = {name: value for name, value in environment.items() if value}
    run = subprocess.Popen(
        [*COMMAND, *QUICK[:5], "--plan", "node", "--out", "out"],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=environment,
    )  # fmt: skip
    said = b""
    while run.poll() is None or select.select([ours], [], [], 0.1)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            said += os.read(ours, 65536)
    after = termios.tcgetattr(theirs)
    os.close(ours)
    os.close(theirs)
    return said.decode(errors="replace"), before, after, run.returncode


def test_a_reader_that_goes_away_is_no_accident() -> None:
    run = subprocess.Popen([*COMMAND, "checks", "matrix"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None and run.stderr is not None
    run.stdout.close()
    said = run.stderr.read()
    run.stderr.close()

    assert run.wait(20) == 141
    assert said == b""


@pytest.mark.parametrize(("fault", "code"), [((), 0), (("--fault", "ecc_off"), 5)])
def test_a_run_goes_on_without_the_reader_of_its_progress(tmp_path: Path, fault: tuple[str, ...], code: int) -> None:
    run = subprocess.Popen(
        [*COMMAND, *QUICK, *fault], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert run.stdout is not None and run.stderr is not None
    run.stderr.close()  # as `| head -2` does
    said = run.stdout.read()
    run.stdout.close()

    assert run.wait(20) == code
    assert "certificate.html" in said
    assert (tmp_path / "out" / "record.json").exists()


def test_a_terminal_without_our_characters_gets_others(tmp_path: Path) -> None:
    slow = ("--plan", "node", "--fault", "hbm_bandwidth_low", "--quiet", "--output", "json")
    done = gpuaccept(*QUICK, *slow, cwd=tmp_path, PYTHONIOENCODING="ascii")

    assert (done.returncode, done.stderr) == (5, "")
    assert done.stdout.isascii()
    assert json.loads(done.stdout)["findings"][0]["requirement"].startswith("≥ ")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_nothing(tmp_path: Path, closed: str) -> None:
    command = " ".join([*COMMAND, *QUICK, closed])

    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, check=False).returncode == 0
    assert gpuaccept("verify", "--integrity-only", "--allow-simulated", "out/record.json", cwd=tmp_path).returncode == 0


def test_a_full_standard_output_is_one_sentence_and_the_runs_own_exit_code(tmp_path: Path) -> None:
    for fault, code in (((), 0), (("--fault", "ecc_off"), 5)):
        out = tmp_path / f"out{code}"
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [*COMMAND, *QUICK[:-1], str(out), "--quiet", *fault],
                stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert done.stderr == (
            "gpuaccept: standard output can't be written: No space left on device\n"
            f"  the run is complete: its record is {out / 'record.json'}\n"
        )


def test_other_commands_say_that_standard_output_is_full() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([*COMMAND, "checks", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "gpuaccept: standard output can't be written: No space left on device\n",
    )
