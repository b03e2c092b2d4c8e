"""The trust file: the buyer's word alone makes a key count."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trust_samples as samples

from gpuaccept.errors import EvidenceError, UsageError
from gpuaccept.record.trust import read_trust

AT = "2026-03-01T08:30:00Z"


@pytest.mark.parametrize("how", ["pem", "base64", "file"])
def test_a_key_is_given_as_pem_as_base64_or_as_a_file_beside(tmp_path: Path, how: str) -> None:
    (tmp_path / "node.pub").write_text(samples.NODE.public.pem)
    key = {"pem": samples.NODE.public.pem, "base64": samples.NODE.public.spki_text, "file": "node.pub"}[how]
    trust = read_trust(samples.trust_file(tmp_path, key))
    assert trust.vouch("node", samples.NODE.public, AT).person == "E. Engineer"


def test_an_unknown_key_counts_for_nothing(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="signer is unknown"):
        read_trust(samples.trust_file(tmp_path)).vouch("node", samples.OTHER.public, AT)


def test_a_key_counts_in_its_role_only(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError, match="may sign as node, not as buyer"):
        read_trust(samples.trust_file(tmp_path)).vouch("buyer", samples.NODE.public, AT)


@pytest.mark.parametrize(
    ("at", "valid"),
    [
        ("2025-12-31T23:59:59Z", False),
        ("2026-01-01T00:00:00Z", True),
        ("2026-12-31T23:59:59Z", True),
        ("2027-01-01T00:00:00Z", False),
    ],
)
def test_a_key_counts_from_the_first_day_to_the_end_of_the_last(tmp_path: Path, at: str, valid: bool) -> None:
    trust = read_trust(samples.trust_file(tmp_path))
    if valid:
        trust.vouch("node", samples.NODE.public, at)
    else:
        with pytest.raises(EvidenceError, match="was valid from 2026-01-01 until 2026-12-31"):
            trust.vouch("node", samples.NODE.public, at)


@pytest.mark.parametrize("revoked", ["2026-02-01", "2026-06-01"])
def test_a_revoked_key_counts_for_no_record_whatever_date_it_claims(tmp_path: Path, revoked: str) -> None:
    with pytest.raises(EvidenceError, match=f"was revoked on {revoked}"):
        read_trust(samples.trust_file(tmp_path, revoked=revoked)).vouch("node", samples.NODE.public, AT)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "nonsense"}, r"yaml:1:\d+: keys.0..key: the key is not .*; give a PEM text"),
        ({"key": "missing.pub"}, r"yaml:1:\d+: keys.0..key"),
        ({"key": "x\x00y"}, "keys.0..key|control"),
        ({"roles": []}, r"yaml:1:\d+: .*roles: must have at least 1 item; found 0"),
        ({"roles": ["nod"]}, r"yaml:1:\d+: .*roles.0.: must be node; found 'nod'; did you mean node"),
        ({"roles": ["node", "buyer"]}, r"roles.1.: must be node; found 'buyer'"),
        ({"valid_from": "1.1.2026"}, "valid_from"),
        ({"valid_from": "2027-01-01"}, r"yaml:1:\d+: .*valid_from: 2027-01-01 is after valid_until 2026-12-31"),
        ({"expires": "2027-01-01"}, "expires"),
    ],
)
def test_a_trust_file_that_cannot_be_used_is_a_usage_error(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    path = samples.trust_file(tmp_path, str(changes.pop("key", "")), **changes)
    with pytest.raises(UsageError, match=said):
        read_trust(path)


def test_one_key_under_two_names_is_refused(tmp_path: Path) -> None:
    path = samples.trust_file(tmp_path)
    [entry] = msgspec.json.decode(path.read_bytes())["keys"]
    path.write_bytes(msgspec.json.encode({"keys": [entry, {**entry, "person": "Somebody else"}]}))
    with pytest.raises(UsageError, match=r"is the key of E\. Engineer again"):
        read_trust(path)


def test_a_trust_file_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml"):
        read_trust(tmp_path / "none.yaml")
