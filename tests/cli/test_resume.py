"""A run that was cut short goes on from its journal, on the same node and by the same command, and says so."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import MOCK, SITE, SOAK_PROFILE, gpuaccept, start
from msgspec.structs import replace

from gpuaccept.run.journal import Again, AnyEntry, Begin, Booted, Happened, Journal, Measured, fold, read

INDEPENDENT = Path(__file__).resolve().parents[2] / "scripts" / "verify_independent.py"

NODE = ("run", "--profile", SITE, "--device", MOCK, "--plan", "node", "--output", "json", "--quiet")


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """The journal of a run that came to its end."""
    assert gpuaccept(*NODE, "--out", "whole", cwd=tmp_path).returncode == 0
    return tmp_path / "whole" / "journal.jsonl"


def cut(journal: Path, lines: int, tail: bytes = b"") -> Path:
    """What a kill -9 after so many lines leaves: a directory with the journal alone."""
    out = journal.parent.parent / "cut"
    out.mkdir()
    (out / "journal.jsonl").write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:lines]) + tail)
    return out


@pytest.mark.parametrize("tail", [b"", b'0badcafe {"entry":"measu', b"00000000 {}\n"], ids=["whole", "half", "damaged"])
def test_what_was_measured_is_kept_and_the_rest_is_measured(whole: Path, tail: bytes) -> None:
    out = cut(whole, 6, tail)
    before = (out / "journal.jsonl").read_bytes()[: -len(tail) or None]
    done = gpuaccept(*NODE, "--resume", out, cwd=out.parent)
    answer = json.loads(done.stdout)

    assert (done.returncode, answer["complete"], answer["decision"]) == (0, True, "accepted")
    assert any("went on: after step" in note for note in answer["notes"])
    assert (out / "journal.jsonl").read_bytes().startswith(before)
    evidence, _ = fold(read(out / "journal.jsonl"))
    complete, _ = fold(read(whole))
    assert [step.check for step in evidence.steps] == [step.check for step in complete.steps]
    assert [event.kind for event in evidence.events] == ["resumed"]
    assert {c["what"]: c for c in answer["coverage"]} == {
        c["what"]: c for c in json.loads((whole.parent / "summary.json").read_bytes())["coverage"]
    }
    starts = [step.started_s for step in evidence.steps]
    assert starts == sorted(starts)
    page = gpuaccept("verify", "--integrity-only", "--allow-simulated", out / "certificate.html")
    assert page.returncode == 0, page.stdout
    assert "went on: after step" in (out / "certificate.html").read_text()


def rewrite(out: Path, change: Callable[[AnyEntry], AnyEntry]) -> None:
    """The journal in `out` with each of its entries changed."""
    entries = [change(entry) for entry in read(out / "journal.jsonl")]
    (out / "journal.jsonl").unlink()
    journal = Journal(out / "journal.jsonl")
    for entry in entries:
        journal.append(entry)
    journal.close()


def of_an_earlier_boot(entry: AnyEntry, counted: str = "0") -> AnyEntry:
    """As if it were of the boot before, in which XIDs had been counted as often as this."""
    if isinstance(entry, Begin):
        return replace(entry, node=replace(entry.node, boot_id="the boot before"))
    if isinstance(entry, Measured):
        every = ((counted,),) * 8
        return replace(
            entry,
            columns=tuple(
                replace(one, samples=every) if one.metric == "host.xid_fatal_new" else one for one in entry.columns
            ),
        )
    return entry


def test_after_a_boot_counters_are_read_anew_and_what_was_measured_stays(whole: Path) -> None:
    out = cut(whole, 8)
    rewrite(out, lambda entry: of_an_earlier_boot(entry, "5"))  # those that began anew at 0 did not go backwards
    before = [entry.step for entry in read(out / "journal.jsonl") if isinstance(entry, Measured)]
    done = gpuaccept(*NODE, "--resume", out)
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["decision"]) == (0, "accepted"), done.stdout + done.stderr

    evidence, _ = fold(read(out / "journal.jsonl"))
    complete, _ = fold(read(whole))
    assert evidence.node.boot_id == "the boot before"
    (booted,) = evidence.boots
    assert booted.boot_id == complete.node.boot_id
    assert evidence.steps[: len(before)] == tuple(before)
    again = evidence.steps[len(before) : -len(complete.steps) + len(before)]
    assert {step.check for step in again} == {"ecc", "pcie", "host", "nvlink"}
    assert [step.check for step in evidence.steps if step not in again] == [step.check for step in complete.steps]
    starts = [step.started_s for step in evidence.steps]
    assert starts == sorted(starts)
    assert all(step.started_s >= booted.at_s for step in again) and before[-1].ended_s < booted.at_s
    (note,) = [event.text for event in evidence.events if event.kind == "booted"]
    assert "the boot before until here, then " + booted.boot_id in note
    assert "the boot before" in (out / "certificate.html").read_text()

    verified = gpuaccept("verify", "--integrity-only", "--allow-simulated", out / "certificate.html")
    assert verified.returncode == 0, verified.stdout
    command = [sys.executable, INDEPENDENT, "--allow-simulated", out / "record.json"]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "agree: every verdict and the decision" in second.stdout, second.stdout


def test_a_run_goes_on_after_two_boots(whole: Path) -> None:
    out = cut(whole, 8)
    rewrite(out, of_an_earlier_boot)
    assert gpuaccept(*NODE, "--resume", out).returncode == 0
    now = fold(read(out / "journal.jsonl"))[0].boots[0].boot_id
    lines = (out / "journal.jsonl").read_bytes().splitlines(keepends=True)[:13]
    shutil.rmtree(out)
    out.mkdir()
    (out / "journal.jsonl").write_bytes(b"".join(lines))
    second = {now: "the second boot"}
    rewrite(
        out,
        lambda entry: (
            replace(entry, boot=replace(entry.boot, boot_id=second[entry.boot.boot_id]))
            if isinstance(entry, Booted)
            else entry
        ),
    )
    done = gpuaccept(*NODE, "--resume", out)
    assert (done.returncode, json.loads(done.stdout)["decision"]) == (0, "accepted"), done.stdout + done.stderr
    evidence, _ = fold(read(out / "journal.jsonl"))
    assert [boot.boot_id for boot in evidence.boots] == ["the second boot", now]


def test_a_killed_soak_is_measured_anew_and_its_samples_do_not_count_twice(tmp_path: Path) -> None:
    (tmp_path / "soak.yaml").write_text(SOAK_PROFILE.replace("duration_s: 20", "duration_s: 3"))
    soak = ("run", "--profile", "soak.yaml", "--plan", "soak", "--device", MOCK, "--real-time", "--out", "out")
    run = start(*soak, cwd=tmp_path)
    journal = tmp_path / "out" / "journal.jsonl"
    until = time.monotonic() + 20
    while not (journal.exists() and '"entry":"samples"' in journal.read_text()) and time.monotonic() < until:
        time.sleep(0.05)
    run.kill()
    run.communicate()
    done = gpuaccept(*soak, "--resume", cwd=tmp_path)

    assert done.returncode in (0, 3), done.stderr
    entries = read(journal)
    assert [entry.step for entry in entries if isinstance(entry, Again)] == [2]
    evidence, series = fold(entries)
    assert evidence.complete
    assert {len(group.at_s) for group in series} == {7}


def test_a_run_whose_record_alone_is_missing_gets_it(whole: Path) -> None:
    out = cut(whole, 10_000)
    (out / "certificate.html").write_text("what was written before the disk was full")
    done = gpuaccept(*NODE, "--resume", out)
    answer = json.loads(done.stdout)

    assert (done.returncode, answer["complete"]) == (0, True)
    assert any("its record alone was missing" in note for note in answer["notes"])
    page = gpuaccept("verify", "--integrity-only", "--allow-simulated", out / "certificate.html")
    assert page.returncode == 0, page.stdout


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--plan", "quick"), "--plan, --only or --skip are not those that the run began with"),
        (("--skip", "ecc"), "--plan, --only or --skip are not those that the run began with"),
        (("--seed", "7"), "another seed"),
        (("--profile", "hgx-b200"), "the profile is not the one that the run began with"),
    ],
)
def test_another_run_is_no_continuation(whole: Path, options: tuple[str, ...], why: str) -> None:
    out = cut(whole, 6)
    before = (out / "journal.jsonl").read_bytes()
    done = gpuaccept(*NODE, *options, "--resume", out)

    assert done.returncode == 2
    assert why in done.stderr
    assert done.stderr.count("\n") == 2
    assert (out / "journal.jsonl").read_bytes() == before
    assert [path.name for path in out.iterdir()] == ["journal.jsonl"]


def test_a_run_that_has_its_record_or_no_journal_is_refused(whole: Path, tmp_path: Path) -> None:
    done = gpuaccept(*NODE, "--resume", whole.parent)
    assert (done.returncode, "has its record already" in done.stderr) == (2, True)

    (tmp_path / "empty").mkdir()
    done = gpuaccept(*NODE, "--out", tmp_path / "empty", "--resume")
    assert (done.returncode, "holds no journal.jsonl" in done.stderr) == (2, True)

    done = gpuaccept(*NODE, "--resume")
    assert (done.returncode, "which run?" in done.stderr) == (2, True)


def test_a_run_that_still_goes_on_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "soak.yaml").write_text(SOAK_PROFILE)
    soak = ("run", "--profile", "soak.yaml", "--plan", "soak", "--device", MOCK, "--real-time", "--out", "out")
    run = start(*soak, cwd=tmp_path)
    until = time.monotonic() + 20
    while not (tmp_path / "out" / "journal.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    done = gpuaccept(*soak, "--resume", cwd=tmp_path)
    run.kill()
    run.communicate()

    assert done.returncode == 2
    assert "still going on" in done.stderr


def test_the_event_is_in_the_journal(whole: Path) -> None:
    out = cut(whole, 4)
    assert gpuaccept(*NODE, "--resume", out).returncode == 0
    (event,) = [entry.event for entry in read(out / "journal.jsonl") if isinstance(entry, Happened)]
    assert (event.kind, event.subject) == ("resumed", "node")
