"""`gpuaccept verify` and `gpuaccept key` as people and scripts use them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import trust_samples as samples

from gpuaccept.record import keys


def gpuaccept(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpuaccept", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def test_the_verdict_comes_first_and_the_exit_code_is_its_own(tmp_path: Path) -> None:
    record = samples.leave(tmp_path)
    good = gpuaccept("verify", "--trust", samples.trust_file(tmp_path), record)
    assert (good.returncode, good.stderr) == (0, "")
    first, second, *rest = good.stdout.splitlines()
    assert first == f"{record}: valid"
    assert second.startswith("  decision  accepted: ")
    assert any(line.startswith("  signer    node: E. Engineer, Supplier GmbH") for line in rest)
    unknown = gpuaccept("verify", record)
    assert (unknown.returncode, unknown.stderr) == (4, "")
    assert "NOT VALID" in unknown.stdout
    assert "--trust FILE, or --integrity-only" in unknown.stdout


def test_a_plan_that_is_no_acceptance_is_passed_not_accepted(tmp_path: Path) -> None:
    plan = msgspec.structs.replace(samples.evidence().plan, acceptance=False)
    record = samples.leave(tmp_path, samples.record(samples.evidence(plan=plan)))
    done = gpuaccept("verify", "--integrity-only", record)
    assert done.returncode == 0
    assert "  decision  passed: " in done.stdout and "decision  accepted" not in done.stdout
    assert "  note      plan node is no acceptance" in done.stdout


def test_of_several_files_the_worst_counts_and_json_has_each(tmp_path: Path) -> None:
    good = samples.leave(tmp_path)
    incomplete = tmp_path / "incomplete.json"
    incomplete.write_bytes(samples.record(samples.evidence(complete=False, incomplete_reason="the deadline")))
    done = gpuaccept("verify", "--integrity-only", "--output", "json", good, incomplete)
    assert done.returncode == 3
    body = json.loads(done.stdout)
    assert (body["command"], body["exit_code"]) == ("verify", 3)
    assert [one["decision"] for one in body["files"]] == ["accepted", "not decided"]


def test_what_cannot_be_used_is_a_usage_error_in_one_sentence(tmp_path: Path) -> None:
    record = samples.leave(tmp_path)
    broken = tmp_path / "broken.yaml"
    broken.write_text("keys: [")
    for arguments in (
        (tmp_path / "none.json",),
        ("--trust", tmp_path / "none.yaml", record),
        ("--trust", broken, record),
        ("--trust", samples.trust_file(tmp_path), "--integrity-only", record),
        ("--integrity-only", "--profile", "no-such-profile", record),
        (),
    ):
        done = gpuaccept("verify", *arguments)
        assert done.returncode == 2, arguments
        assert done.stdout == ""
        assert done.stderr.startswith("gpuaccept: ")
        assert "Traceback" not in done.stderr


def test_hostile_text_of_a_record_reaches_no_terminal(tmp_path: Path) -> None:
    node = msgspec.structs.replace(samples.evidence().node, serial="\x1b[2J\u202eOK")
    record = tmp_path / "a.json"
    record.write_bytes(samples.record(samples.evidence(node=node)))
    shown = gpuaccept("verify", "--integrity-only", record).stdout
    assert "\\u{1B}[2J\\u{202E}OK" in shown
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_key_is_made_and_shown_for_a_trust_file(tmp_path: Path) -> None:
    made = gpuaccept("key", "new", "--out", tmp_path / "k")
    public = keys.read_public(tmp_path / "k.pub")
    assert (made.returncode, f"keyid sha256:{public.keyid}" in made.stdout) == (0, True)
    assert "PRIVATE" not in made.stdout
    shown = gpuaccept("key", "show", tmp_path / "k.pub")
    assert f"key: {public.spki_text}" in shown.stdout
    assert public.pem in shown.stdout
    body = json.loads(gpuaccept("key", "show", tmp_path / "k", "--output", "json").stdout)
    assert body["keyid"] == public.keyid
    again = gpuaccept("key", "new", "--out", tmp_path / "k")
    assert (again.returncode, again.stderr.startswith(f"gpuaccept: {tmp_path / 'k'} is there already")) == (2, True)


def test_a_record_signed_with_such_a_key_is_trusted_by_its_file(tmp_path: Path) -> None:
    key = keys.make(tmp_path / "k")
    record = samples.leave(tmp_path, samples.record(samples.evidence(), key))
    trust = samples.trust_file(tmp_path, "k.pub")
    assert gpuaccept("verify", "--trust", trust, record).returncode == 0
