"""`gpuaccept run --device replay:…`: what it prints, and what it says to wrong input."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import replay_records as records

from gpuaccept.data import Evidence


def gpuaccept(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gpuaccept", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("records")
    records.measured(made / "good", plan="quick")
    records.measured(made / "soaked", plan="node")
    return made


def replay(folder: Path, record: object, *arguments: object) -> subprocess.CompletedProcess[str]:
    return gpuaccept("run", "--profile", "hgx-b200", "--device", f"replay:{record}", *arguments, cwd=folder)


def test_the_plan_is_the_records_own(folder: Path, tmp_path: Path) -> None:
    done = replay(folder, "good/record.json", "--out", tmp_path / "out", "--output", "json")
    said = json.loads(done.stdout)

    assert (done.returncode, said["plan"], said["simulated"]) == (0, "quick", True)
    assert any(note.startswith("not measured: the record has no samples of nvlink.crc_errors_new") for note in said["notes"])  # fmt: skip  # noqa: E501


def test_notes_stand_below_the_answer(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "soaked" / "record.json", tmp_path)
    done = replay(tmp_path, "record.json", "--out", "out")

    assert done.returncode == 0
    assert "[SIMULATED]" in done.stdout
    assert re.search(r"^note +series\.json\.gz is not beside the record", done.stdout, re.MULTILINE)


def test_wrong_input_is_one_sentence(folder: Path, tmp_path: Path) -> None:
    record = (folder / "soaked" / "record.json").read_bytes()
    body = json.loads(record)
    body["signatures"][0]["sig"] = "A" * 86 + "=="
    (tmp_path / "signature.json").write_text(json.dumps(body, separators=(",", ":")))
    (tmp_path / "spaced.json").write_bytes(record.replace(b'"payloadType":', b'"payloadType": '))
    (tmp_path / "cut.json").write_bytes(record[:5000])
    (tmp_path / "empty.json").write_bytes(b"")
    (tmp_path / "page.html").write_text("<html>no record</html>")
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "other").mkdir()
    shutil.copy(folder / "soaked" / "record.json", tmp_path / "other")
    (tmp_path / "other" / "series.json.gz").write_bytes(gzip.compress(b"[]"))
    (tmp_path / "bomb").mkdir()
    shutil.copy(folder / "soaked" / "record.json", tmp_path / "bomb")
    (tmp_path / "bomb" / "series.json.gz").write_bytes(gzip.compress(bytes(80 << 20)))
    for name, code, said in (
        ("missing.json", 2, "there is no file missing.json"),
        ("other", 2, "other is a directory"),
        ("signature.json", 4, "the record was altered after signing"),
        ("spaced.json", 4, "not in canonical encoding"),
        ("cut.json", 4, "cut.json: the envelope can't be read"),
        ("empty.json", 4, "empty.json: "),
        ("page.html", 4, "page.html: "),
        ("binary", 4, "binary: "),
        ("other/record.json", 4, "is not the file that the record was made with"),
        ("bomb/record.json", 4, "cut short, too large"),
    ):
        done = replay(tmp_path, name, "--out", "out")
        assert (done.returncode, done.stdout) == (code, ""), name
        assert said in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) <= 2
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--only", "ecc"), "--only is for measuring"),
        (("--skip", "ecc"), "--skip is for measuring"),
        (("--deadline", "3s"), "--deadline is for measuring"),
        (("--fault", "hbm_bandwidth_low"), "--fault is for simulated devices"),
        (("--seed", "3"), "--seed is for simulated devices"),
        (("--real-time",), "--real-time is for simulated devices"),
        (("--key", "k"), "k"),
        (("--plan", "nightly"), "profile hgx-b200 has no such plan"),
        (("--checks", "nowhere"), "no such directory"),
    ],
)
def test_options_that_a_replay_has_no_use_for_are_refused(
    folder: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = replay(folder, "good/record.json", "--out", tmp_path / "out", *arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize(
    ("device", "said"),
    [("replay:", "replay needs a record"), ("replay", "replay needs a record"), ("reply:x", "did you mean replay:…?")],
)
def test_a_device_without_a_record_is_said(tmp_path: Path, device: str, said: str) -> None:
    done = gpuaccept("run", "--profile", "hgx-b200", "--device", device, "--out", "out", cwd=tmp_path)

    assert done.returncode == 2
    assert said in done.stderr


def test_hostile_text_of_a_record_is_shown_not_executed(folder: Path, tmp_path: Path) -> None:
    def hostile(evidence: Evidence) -> Evidence:
        checks = tuple(
            msgspec.structs.replace(
                one,
                metrics=tuple(
                    msgspec.structs.replace(m, unit="\x1b[2J<script>\u202e") if m.kind == "sampled" else m
                    for m in one.metrics
                ),
            )
            for one in evidence.checks
        )
        return msgspec.structs.replace(evidence, checks=checks)

    records.changed(folder / "soaked" / "record.json", tmp_path / "hostile.json", hostile)
    done = replay(tmp_path, "hostile.json", "--out", "out")

    assert done.returncode == 3
    assert "its unit was \\u{1B}[2J<script>\\u{202E} and is GB/s" in done.stdout
    assert "\x1b" not in done.stdout and "\u202e" not in done.stdout
    page = (tmp_path / "out" / "certificate.html").read_text(encoding="utf-8")
    assert "[2J<script>" not in page and "\x1b" not in page and "\u202e" not in page
    assert "&lt;script&gt;" in page
