"""What documents say in numbers and examples is so."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from docs_pages import DOCS, ROOT, blocks

from gpuaccept import columns, series
from gpuaccept.acceptance import Request, run_node
from gpuaccept.data import Column, Profile
from gpuaccept.device.open import DeviceSpec, faults
from gpuaccept.profile.load import load_profile
from gpuaccept.record import envelope, statement, trust
from gpuaccept.record.envelope import open_record
from gpuaccept.record.keys import public_key, throwaway
from gpuaccept.run.journal import AnyEntry

RECORD = (DOCS / "reference" / "record.md").read_text(encoding="utf-8")
CHANGES = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
SIMULATION = (DOCS / "explanation" / "simulation.md").read_text(encoding="utf-8")


def test_the_number_of_faults() -> None:
    assert f"{len(faults())} named faults" in CHANGES
    assert f"{len(faults())} with names" in SIMULATION


def test_the_number_of_assumptions() -> None:
    limits = [one for cohort in load_profile("de-industrial-ai-cloud").profile.cohorts for one in cohort.limits]
    assumed = sum(limit.effect == "require" and limit.source == "assumption" for limit in limits)

    assert f"{assumed} required limits of `de-industrial-ai-cloud` have the source `assumption`" in CHANGES


def test_the_record_page_says_which_types_leave_defaults_out() -> None:
    said = {}
    for match in re.finditer(r"(?P<before>[^\n]*)\n\n<!-- fields: (?P<module>\S+) (?P<name>\S+) -->", RECORD):
        kind = getattr(importlib.import_module(match["module"]), match["name"])
        said[match["name"]] = (f"*{match['name']}* (short)" in match["before"], kind.__struct_config__.omit_defaults)
    assert len(said) > 20
    assert [name for name, (page, code) in said.items() if page != code] == []


def test_the_record_page_says_which_profile_types_leave_defaults_out() -> None:
    module = importlib.import_module(Profile.__module__)
    kinds = [getattr(module, name) for name in dir(module)]
    short = {
        kind.__name__
        for kind in kinds
        if isinstance(kind, type)
        and issubclass(kind, msgspec.Struct)
        and kind.__module__ == module.__name__
        and kind.__struct_config__.omit_defaults
    }
    sentence = next(line for line in RECORD.splitlines() if "Of a profile's types" in line)

    assert set(re.findall(r"\*(\w+)\*", sentence.split("Of a profile's types")[1])) == short


@pytest.mark.parametrize(
    ("word", "subjects"),
    [
        ("gpu/0..7", [f"gpu/{gpu}" for gpu in range(8)]),
        ("gpu/0..7/link/0..17", [f"gpu/{gpu}/link/{link}" for gpu in range(8) for link in range(18)]),
        ("gpu/0..7>gpu/0..7", [f"gpu/{a}>gpu/{b}" for a in range(8) for b in range(8) if a != b]),
    ],
)
def test_columns_are_packed_as_the_record_page_says(word: str, subjects: list[str]) -> None:
    full = Column(metric="a.b", visit=1, at_s=0.0, subjects=tuple(subjects), samples=((1.0,),) * len(subjects))
    (packed,) = columns.pack([full])

    assert f"`{word}`" in RECORD
    assert (packed.subjects, packed.samples) == ((word,), ((1.0,),))
    assert columns.unpack([packed]) == (full,)


def test_the_record_page_names_the_constants_of_the_code() -> None:
    assert envelope.RECORD_LIMIT_BYTES == 8 << 20 and "at most 8 MiB" in RECORD
    assert series.FILE_LIMIT_BYTES == 64 << 20 and "at most 64 MiB inflated" in RECORD
    assert series.BUCKETS == 64 and "n = min(64, count)" in RECORD
    assert series.SETTLE_S == 30.0 and "the first 30 s of each segment" in RECORD
    assert envelope.SIGNATURES_LIMIT == 16 and "1 to 16" in RECORD
    assert f"`{envelope.PAYLOAD_TYPE}`" in RECORD
    assert f"`{statement.RECORD}`, or `{statement.SIMULATED_RECORD}`" in RECORD
    assert statement.SIMULATED_RECORD in SIMULATION


def test_the_record_page_names_every_kind_of_journal_entry() -> None:
    section = RECORD.split("## Journal")[1]

    assert {kind.__struct_config__.tag for kind in get_args(AnyEntry)} == set(
        re.findall(r"`([a-z]+)`", section.split("(key `entry`):")[1])
    )


def test_numbers_and_text_have_the_form_that_the_record_page_says() -> None:
    assert msgspec.json.encode([5900.0, 0.1, 1e22, 1e-7]) == b"[5900.0,0.1,1e22,1e-7]"
    assert msgspec.json.encode('"\\\b\f\n\r\t\x01/é') == '"\\"\\\\\\b\\f\\n\\r\\t\\u0001/é"'.encode()


def test_the_trust_file_of_the_how_to_is_read(tmp_path: Path) -> None:
    (block,) = (one for one in blocks(DOCS / "how-to" / "verify-a-certificate.md") if one.file == "trust.yaml")
    (tmp_path / "trust.yaml").write_text(block.text, encoding="utf-8")

    assert len(trust.read_trust(tmp_path / "trust.yaml").by_keyid) == 1


@pytest.mark.needs("openssl")
def test_a_certificate_is_verified_by_hand_as_the_how_to_says(tmp_path: Path) -> None:
    spec = DeviceSpec(device="mock:hgx-b200")
    made = run_node(Request(profile=load_profile("hgx-b200"), spec=spec, plan="quick", in_process=True))
    (signer,) = made.statement.predicate.signers
    key = public_key(envelope.from_base64(signer.spki, "the key"))
    (tmp_path / "certificate.html").write_bytes(made.page)
    (tmp_path / "node.key.pub").write_text(key.pem, encoding="ascii")
    commands = blocks(DOCS / "how-to" / "verify-a-certificate.md")[-1].text

    good = subprocess.run(["sh", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout.strip()) == (0, "Signature Verified Successfully"), good.stderr
    assert (tmp_path / "record.json").read_bytes() == made.envelope
    assert (tmp_path / "body").read_bytes() == open_record(made.envelope).payload

    (tmp_path / "node.key.pub").write_text(throwaway(bytes(32)).public.pem, encoding="ascii")
    bad = subprocess.run(["sh", "-ec", commands], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert bad.returncode != 0
