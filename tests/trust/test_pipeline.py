"""Records as runs leave them: both programs verify them, healthy and faulty, and see what was edited."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import trust_samples as samples
from test_independent import second  # noqa: F401  a fixture

from gpuaccept.acceptance import Accepted, Request, run_node
from gpuaccept.ambient import Fixed
from gpuaccept.device.open import DeviceSpec, Fault, faults
from gpuaccept.matrix import PULSES_PLAN, SETUPS, pulses_profile
from gpuaccept.profile.load import load_profile
from gpuaccept.proof import can_have
from gpuaccept.record import envelope
from gpuaccept.verify import EXIT_CODES, verify_path


def run(fault: Fault | None = None, out: Path | None = None) -> Accepted:
    """A run on hardware that can have the fault; in workers where the fault would stop this process."""
    device, name = next(setup for setup in SETUPS.items() if fault is None or can_have(setup[0], fault))
    pulses = fault is not None and fault.needs_agreement
    request = Request(
        profile=pulses_profile() if pulses else load_profile(name),
        plan=PULSES_PLAN if pulses else "acceptance",
        spec=DeviceSpec(device=device, seed=11, faults=(fault.name,) if fault else ()),
        out=out,
        in_process=fault is None or not fault.needs_workers,
        force_busy=True,
    )
    return run_node(request, Fixed())


def plain(accepted: Accepted) -> Any:
    return msgspec.json.decode(envelope.open_record(accepted.envelope).payload)["predicate"]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("healthy")
    run(out=out)
    return out


@pytest.mark.parametrize("name", ["record.json", "certificate.html"])
def test_what_a_run_leaves_is_valid(healthy: Path, name: str) -> None:
    found = verify_path(healthy / name, integrity_only=True, allow_simulated=True, require_series=True)
    assert (found.problems, found.exit_code, found.series, found.simulated) == ((), 0, "match", True)
    assert found.page == ("exact" if name.endswith("html") else "none")
    assert verify_path(healthy / name, integrity_only=True).exit_code == 4


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("name", ["record.json", "certificate.html"])
def test_the_independent_program_agrees(healthy: Path, name: str) -> None:
    script = Path(__file__).resolve().parents[2] / "scripts" / "verify_independent.py"
    done = subprocess.run(
        [sys.executable, "-I", "-S", script, "--allow-simulated", healthy / name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "agree: every verdict" in done.stdout


@pytest.mark.parametrize("fault", faults()[::3], ids=lambda fault: fault.name)
def test_both_programs_agree_on_every_fault(second: ModuleType, tmp_path: Path, fault: Fault) -> None:  # noqa: F811
    accepted = run(fault, out=tmp_path)
    found = verify_path(tmp_path / "certificate.html", integrity_only=True, allow_simulated=True, require_series=False)
    assert (found.problems, found.page) == ((), "exact")
    assert found.decision != "accepted"
    assert found.exit_code == EXIT_CODES[found.decision] == accepted.exit_code
    predicate = plain(accepted)
    assert second.compare(predicate["judgement"], *second.Judge(predicate["evidence"]).judge()) == []


def test_an_edited_sample_of_a_run_is_seen_by_both(healthy: Path, second: ModuleType, tmp_path: Path) -> None:  # noqa: F811
    payload = envelope.open_record((healthy / "record.json").read_bytes()).payload
    columns = msgspec.json.decode(payload)["predicate"]["evidence"]["columns"]
    at = next(i for i, column in enumerate(columns) if column["metric"] == "ecc.row_remapping_failure")
    edited = samples.change(payload, f"predicate/evidence/columns/{at}/samples/0/0", "1")
    path = tmp_path / "record.json"
    path.write_bytes(_relisted(edited))
    found = verify_path(path, integrity_only=True, allow_simulated=True)
    assert found.exit_code == 4
    assert any("does not follow from the evidence" in problem for problem in found.problems)
    predicate = msgspec.json.decode(edited)["predicate"]
    assert second.compare(predicate["judgement"], *second.Judge(predicate["evidence"]).judge())


def _relisted(payload: bytes) -> bytes:
    """The payload signed anew by a key that it lists."""
    listed = samples.change(payload, "predicate/signers/0/spki", samples.NODE.public.spki_text)
    return samples.resigned(listed)
