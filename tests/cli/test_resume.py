"""A run that was cut short goes on from its journal, on the same node and by the same command, and says so."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from command_line import MOCK, SITE, SOAK_PROFILE, gpuaccept, start

from gpuaccept.run.journal import Again, Happened, fold, read

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
