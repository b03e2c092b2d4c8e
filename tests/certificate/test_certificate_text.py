"""The summary in words and as JSON, and `gpuaccept render`."""

from __future__ import annotations

from pathlib import Path

import certificate_samples as samples
import msgspec
import pytest
from click.testing import CliRunner, Result
from msgspec.structs import replace

from gpuaccept.certificate import html, text
from gpuaccept.certificate.words import WHO
from gpuaccept.cli.render import render


def test_the_summary_names_verdict_part_value_limit_cause_and_next_step() -> None:
    words = text.summary(samples.faulty())
    assert words.startswith("REJECTED  [SIMULATED]\n")
    for piece in ("slot SXM 4", "serial 1654525100003", "5661 ± 31 GB/s", "≥ 5900 GB/s", "hardware", "do next"):
        assert piece in words, piece
    assert all(len(line) <= 130 for line in words.splitlines())


def test_what_could_not_be_measured_says_why_in_words_and_as_json() -> None:
    made = samples.faulty()
    first = made.predicate.judgement.findings[0]
    reason = "no progress for 2 s in peer_copies on GPU 2: process killed"
    error = replace(first, result="error", value=None, expanded_uncertainty=None, reason=reason, cause="unknown")
    judgement = replace(made.predicate.judgement, findings=(error, first))
    made = replace(made, predicate=replace(made.predicate, judgement=judgement))

    assert text.summary(made).count(f"   why       {reason}\n") == 1
    assert "cause     unknown; whoever runs the test looks first: " in text.summary(made)
    found = msgspec.json.decode(text.summary_json(made), type=text.Summary)
    assert found.findings[0].reason == reason


def test_what_value_and_limit_say_already_is_not_said_again() -> None:
    made = samples.faulty()
    first = replace(made.predicate.judgement.findings[0], reason="5661 ± 31 GB/s, required ≥ 5900 GB/s")
    judgement = replace(made.predicate.judgement, findings=(first,))

    assert "why" not in text.summary(replace(made, predicate=replace(made.predicate, judgement=judgement)))


def test_a_partial_run_says_why_it_is_one() -> None:
    words = text.summary(samples.interrupted())
    assert "INCOMPLETE: interrupted by Ctrl-C" in words and "0 of 8 GPUs" in words


def test_who_acts_reads_as_a_sentence_for_every_cause() -> None:
    made = samples.faulty()
    judgement = made.predicate.judgement
    for cause in WHO:
        lead = msgspec.structs.replace(
            judgement.findings[0], cause=cause, value=1.0, expanded_uncertainty=None, unit="errors"
        )
        changed = msgspec.structs.replace(judgement, findings=(lead,))
        predicate = msgspec.structs.replace(made.predicate, judgement=changed)
        words = text.summary(msgspec.structs.replace(made, predicate=predicate))
        who = "whoever runs the test looks first" if cause == "unknown" else f"{WHO[cause]} acts"
        assert f"{cause}; {who}: " in words and "measured  1 error, limit" in words


def test_the_json_summary_reads_back_as_its_type() -> None:
    found = msgspec.json.decode(text.summary_json(samples.faulty()), type=text.Summary)
    assert found.decision == "rejected" and found.simulated and found.findings[0].part.slot == "SXM 4"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(render, list(arguments), standalone_mode=False)


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.json"
    path.write_bytes(samples.envelope(samples.healthy()))
    return path


def test_render_writes_each_view_of_a_record(record: Path) -> None:
    made = samples.healthy()
    assert run(str(record), "--format", "html").stdout_bytes == html.render(made, samples.envelope(made))
    assert run(str(record), "--format", "text").stdout.startswith("ACCEPTED")
    assert msgspec.json.decode(run(str(record), "--format", "json").stdout_bytes)["decision"] == "accepted"


def test_render_takes_a_certificate_and_writes_to_a_file(record: Path, tmp_path: Path) -> None:
    page, words = tmp_path / "c.html", tmp_path / "s.txt"
    run(str(record), "--format", "html", "--out", str(page))
    assert run(str(page), "--format", "text", "--out", str(words)).exception is None
    assert words.read_text(encoding="utf-8").startswith("ACCEPTED")


@pytest.mark.parametrize("content", [b"", b"{}", b"<html>", b"\x00\xff", b"[" * 5000])
def test_render_refuses_what_is_no_record(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    assert getattr(run(str(path), "--format", "text").exception, "exit_code", None) == 4


def test_render_says_which_file_is_missing(tmp_path: Path) -> None:
    error = run(str(tmp_path / "no.json"), "--format", "text").exception
    assert getattr(error, "exit_code", None) == 2 and "no.json" in str(error)


def test_render_says_that_it_cannot_write(record: Path, tmp_path: Path) -> None:
    error = run(str(record), "--format", "text", "--out", str(tmp_path / "no" / "x")).exception
    assert getattr(error, "exit_code", None) == 2


def test_the_reference_names_every_key_of_the_json_summary() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "summary.md").read_text(encoding="utf-8")
    for kind in (text.Summary, text.FindingSummary):
        assert [key for key in kind.__struct_fields__ if f"`{key}`" not in page] == []
