"""What passes from room to room is corrupted on its way, arrow by arrow: the exit code says so each time."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpuaccept.acceptance import NO_LEDGER, Request, run_node
from gpuaccept.ambient import Fixed
from gpuaccept.certificate import html
from gpuaccept.device.open import DeviceSpec
from gpuaccept.judge import judge
from gpuaccept.profile.load import load_profile
from gpuaccept.record import envelope, keys, statement
from gpuaccept.run.journal import fold, read

SITE = "de-industrial-ai-cloud"
MOCK = "mock:hgx-b200"
OWN_KEY = keys.throwaway(Fixed().random_bytes(32))
"""The key that the run below signed with: its ambient draws the same bytes each time."""
OTHER_KEY = keys.throwaway(b"somebody else's key, 32 bytes...")
PROFILE = """\
kind: site
name: corrupted
version: "1"
title: A profile that went wrong on its way
cohorts:
  - name: hgx-b200
    extends: hgx-b200
    limits:
      - {id: mine, metric: METRIC, equals: 1, unit: "", effect: require, cause: tool, action: measure again,
         source: assumption, reference: none}
    plans:
      short:
        purpose: one check
        steps:
          - {check: CHECK, parameters: PARAMETERS}
"""
CHECK = """\
from gpuaccept.check import Check, Metric, gpu_subject

def measure(node, visit):
    for gpu in node.gpus:
        BODY

CHECK = Check(
    name="mine", purpose="to go wrong", scope="gpu",
    metrics=(Metric("good", "", "1 where it is good", kind="counted", better="higher"),),
    measure=measure, seconds=lambda parameters, gpus: 0.1,
)
"""


def gpuaccept(folder: Path, *arguments: object) -> tuple[int, str]:
    """Exit code and everything that was said."""
    done = subprocess.run(
        [sys.executable, "-m", "gpuaccept", *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, cwd=folder,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def verified(file: Path, *more: object) -> tuple[int, str]:
    how = () if "--trust" in more else ("--integrity-only",)
    return gpuaccept(file.parent, "verify", *how, "--allow-simulated", *more, file.name)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that a healthy simulated node leaves."""
    out = tmp_path_factory.mktemp("arrows") / "out"
    spec = DeviceSpec(device=MOCK, seed=5)
    request = Request(profile=load_profile(SITE), spec=spec, plan="node", out=out, in_process=True)
    assert run_node(request, Fixed()).exit_code == 0
    return out


def edited(run: Path, folder: Path, change: Callable[[Any], None], key: keys.SigningKey | None = None) -> Path:
    """The record with one thing changed, signed anew by a key that it then names; without a key as it was signed."""
    opened = envelope.open_record((run / "record.json").read_bytes())
    payload = msgspec.json.decode(opened.payload)
    change(payload["predicate"])
    if key is not None:
        payload["predicate"]["signers"][0]["spki"] = key.public.spki_text
    data = msgspec.json.encode(payload)
    signed = msgspec.json.decode(envelope.sign(data, [key or OWN_KEY]))
    if key is None:
        signed["signatures"] = msgspec.json.decode((run / "record.json").read_bytes())["signatures"]
    path = folder / "record.json"
    path.write_bytes(msgspec.json.encode(signed))
    return path


def trusting(folder: Path, key: keys.SigningKey) -> Path:
    """A trust file that names one key."""
    pem = "".join(f"      {line}\n" for line in key.public.pem.splitlines())
    path = folder / "trust.yaml"
    path.write_text(
        f"keys:\n  - key: |\n{pem}    person: a signer\n    organisation: a site\n    roles: [node]\n"
        "    valid_from: 2000-01-01\n    valid_until: 2100-01-01\n"
    )
    return path


def column(predicate: Any, metric: str) -> Any:
    return next(one for one in predicate["evidence"]["columns"] if one["metric"] == metric)


def worsen_a_sample(predicate: Any) -> None:
    column(predicate, "memory_bandwidth.copy_sm_hot")["samples"][0][0] /= 2


def loosen_a_limit(predicate: Any) -> None:
    limit = next(one for one in predicate["evidence"]["profile"]["cohorts"][0]["limits"] if one.get("minimum"))
    limit["minimum"] /= 2


def with_profile(folder: Path, metric: str = "ecc.row_remapping_failure", check: str = "ecc", given: str = "{}") -> str:
    text = PROFILE.replace("METRIC", metric).replace("CHECK", check).replace("PARAMETERS", given)
    (folder / "corrupted.yaml").write_text(text)
    return "corrupted.yaml"


def with_check(folder: Path, body: str) -> tuple[str, ...]:
    (folder / "checks").mkdir()
    (folder / "checks" / "mine.py").write_text(CHECK.replace("BODY", body))
    name = with_profile(folder, metric="mine.good", check="mine")
    return ("run", "--profile", name, "--plan", "short", "--device", MOCK, "--checks", "checks", "--out", "out")


# --- profiles → Profile → Plan → run ---------------------------------------------------------------------------


def test_a_limit_on_a_metric_that_nobody_measures_is_refused(tmp_path: Path) -> None:
    name = with_profile(tmp_path, metric="ecc.row_remapping_failures")

    code, said = gpuaccept(tmp_path, "run", "--profile", name, "--plan", "short", "--device", MOCK, "--out", "out")

    assert (code, "corrupted.yaml:9:" in said, "row_remapping_failure" in said) == (2, True, True)


@pytest.mark.parametrize(("check", "given"), [("eccc", "{}"), ("thermal_soak", "{duration_s: soon}")])
def test_a_plan_that_cannot_be_made_is_refused(tmp_path: Path, check: str, given: str) -> None:
    name = with_profile(tmp_path, check=check, given=given)

    code, said = gpuaccept(tmp_path, "run", "--profile", name, "--plan", "short", "--device", MOCK, "--out", "out")

    assert (code, "corrupted.yaml" in said) == (2, True), said
    assert not (tmp_path / "out" / "journal.jsonl").exists()


def test_a_node_of_another_model_than_the_profile_is_rejected(tmp_path: Path) -> None:
    code, said = gpuaccept(
        tmp_path, "run", "--profile", SITE, "--plan", "quick", "--device", "mock:hgx-h100", "--out", "out"
    )

    assert (code, "REJECTED" in said) == (5, True)


def test_a_node_that_shows_fewer_gpus_than_it_has_is_rejected(tmp_path: Path) -> None:
    code, said = gpuaccept(
        tmp_path,
        "run",
        "--profile",
        SITE,
        "--plan",
        "quick",
        "--device",
        MOCK,
        "--fault",
        "gpu_missing",
        "--out",
        "out",
    )

    assert (code, "REJECTED" in said) == (5, True)


def test_a_plan_that_is_not_carried_out_in_full_decides_nothing(tmp_path: Path) -> None:
    code, said = gpuaccept(
        tmp_path, "run", "--profile", SITE, "--plan", "quick", "--device", MOCK, "--skip", "ecc", "--out", "out"
    )

    assert (code, "NOT DECIDED" in said) == (3, True)


def test_a_plan_made_easier_in_the_record_no_longer_gives_its_judgement(run: Path, tmp_path: Path) -> None:
    def shorten(predicate: Any) -> None:
        for step in predicate["evidence"]["plan"]["steps"]:
            if "duration_s" in step.get("parameters", {}):
                step["parameters"]["duration_s"] = 1.0

    code, said = verified(edited(run, tmp_path, shorten, OWN_KEY))

    assert (code, "does not follow from the evidence" in said) == (4, True), said


# --- run → journal → Evidence ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        'visit.measured("goood", gpu_subject(gpu), 1)',
        'visit.measured("good", gpu_subject(gpu), float("nan"))',
        'visit.measured("good", "gpu/99", 1)',
        'raise ValueError("a defect")',
        "raise SystemExit(0)",
        "import os; os._exit(0)",
    ],
    ids=["undeclared metric", "not a number", "another subject", "defect", "exit", "sudden exit"],
)
def test_a_check_that_breaks_its_word_decides_nothing(tmp_path: Path, body: str) -> None:
    code, said = gpuaccept(tmp_path, *with_check(tmp_path, body))

    assert (code, "NOT DECIDED" in said) == (3, True), said
    assert verified(tmp_path / "out" / "certificate.html")[0] == 3


def test_a_check_that_keeps_its_word_is_accepted(tmp_path: Path) -> None:
    code, said = gpuaccept(tmp_path, *with_check(tmp_path, 'visit.measured("good", gpu_subject(gpu), 1)'))

    assert code == 0, said


def test_a_damaged_journal_ends_there_and_decides_nothing(run: Path, tmp_path: Path) -> None:
    lines = (run / "journal.jsonl").read_bytes().split(b"\n")
    damaged = len(lines) // 2
    lines[damaged] = b"00000000" + lines[damaged][8:]
    (tmp_path / "journal.jsonl").write_bytes(b"\n".join(lines))

    entries = read(tmp_path / "journal.jsonl")
    evidence, _ = fold(entries)
    made = statement.build(
        evidence, judge(evidence), NO_LEDGER, (statement.signer("node", OWN_KEY.public),), html.TEMPLATE, "en"
    )
    (tmp_path / "record.json").write_bytes(envelope.sign(statement.encode(made), [OWN_KEY]))

    assert len(entries) == damaged
    assert not evidence.complete
    assert verified(tmp_path / "record.json")[0] == 3


# --- Evidence → judge → Judgement → record ---------------------------------------------------------------------


@pytest.mark.parametrize("change", [worsen_a_sample, loosen_a_limit])
def test_an_edit_breaks_the_signature(run: Path, tmp_path: Path, change: Callable[[Any], None]) -> None:
    code, said = verified(edited(run, tmp_path, change))

    assert (code, "signature" in said) == (4, True), said


@pytest.mark.parametrize("change", [worsen_a_sample, loosen_a_limit])
def test_an_edit_signed_by_another_key_is_not_trusted(run: Path, tmp_path: Path, change: Callable[[Any], None]) -> None:
    trust = trusting(tmp_path, OWN_KEY)

    assert verified(edited(run, tmp_path, lambda predicate: None, OWN_KEY), "--trust", trust)[0] == 0
    assert verified(edited(run, tmp_path, change, OTHER_KEY), "--trust", trust)[0] == 4


def test_a_sample_edited_by_the_signer_no_longer_gives_the_verdicts(run: Path, tmp_path: Path) -> None:
    def ruin(predicate: Any) -> None:
        for samples in column(predicate, "memory_bandwidth.copy_sm_hot")["samples"]:
            samples[:] = [value / 10 for value in samples]

    code, said = verified(edited(run, tmp_path, ruin, OWN_KEY))

    assert (code, "does not follow from the evidence" in said) == (4, True), said


def test_a_profile_made_stricter_by_the_signer_no_longer_gives_the_verdicts(run: Path, tmp_path: Path) -> None:
    def tighten(predicate: Any) -> None:
        for limit in predicate["evidence"]["profile"]["cohorts"][0]["limits"]:
            if limit.get("minimum"):
                limit["minimum"] *= 10

    assert verified(edited(run, tmp_path, tighten, OWN_KEY))[0] == 4


def test_a_decision_edited_by_the_signer_does_not_follow(run: Path, tmp_path: Path) -> None:
    def reject(predicate: Any) -> None:
        predicate["judgement"]["decision"] = "rejected"

    code, said = verified(edited(run, tmp_path, reject, OWN_KEY))

    assert (code, "does not follow from the evidence" in said) == (4, True), said


def test_a_count_of_passes_edited_by_the_signer_does_not_follow(run: Path, tmp_path: Path) -> None:
    def add(predicate: Any) -> None:
        tally = next(one for one in predicate["judgement"]["coverage"] if one["what"] == "requirements")
        tally["measured"] += 1.0

    assert verified(edited(run, tmp_path, add, OWN_KEY))[0] == 4


# --- record → certificate, and the way back --------------------------------------------------------------------


def test_a_digit_edited_on_the_page_is_seen(run: Path, tmp_path: Path) -> None:
    page = (run / "certificate.html").read_bytes()
    at = page.index(b"GB/s") - 2
    while not page[at : at + 1].isdigit():
        at -= 1
    (tmp_path / "certificate.html").write_bytes(
        page[:at] + (b"8" if page[at : at + 1] != b"8" else b"9") + page[at + 1 :]
    )

    code, said = verified(tmp_path / "certificate.html")

    assert (code, "page" in said) == (4, True), said
    assert verified(run / "certificate.html")[0] == 0


def test_series_edited_beside_the_record_are_seen(run: Path, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes((run / "record.json").read_bytes())
    series = gzip.decompress((run / "series.json.gz").read_bytes())
    (tmp_path / "series.json.gz").write_bytes(gzip.compress(series.replace(b"5", b"6", 1), mtime=0))

    assert verified(tmp_path / "record.json")[0] == 4


def test_series_that_are_missing_are_seen_where_they_are_required(run: Path, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes((run / "record.json").read_bytes())

    assert verified(tmp_path / "record.json")[0] == 0
    assert verified(tmp_path / "record.json", "--require-series")[0] == 4


def test_a_simulated_run_is_no_evidence_unless_one_says_so(run: Path) -> None:
    code, said = gpuaccept(run, "verify", "--integrity-only", "record.json")

    assert (code, "simulated" in said) == (4, True)
