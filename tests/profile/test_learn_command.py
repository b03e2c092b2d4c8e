"""`gpuaccept profile learn` and `fit`: what they say to wrong input, and hostile text in records."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import profile_records as records
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gpuaccept.data import Evidence
from gpuaccept.profile.load import load_profile
from gpuaccept.reading import read_text
from gpuaccept.reading.write import comment, number, quoted

LOTS = ("--lot", "a=*a-*", "--lot", "b=*b-*")
USUAL = ("--profile", "hgx-b200", "--integrity-only")


def gpuaccept(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "gpuaccept", "profile", *map(str, arguments)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("records")
    for seed in range(1, 21):
        name = f"{'a' if seed <= 10 else 'b'}-{seed:02}.json"
        records.write(records.real(records.measured(seed)), made / name)
    records.write(records.measured(31), made / "a-simulated.json")
    rejected = records.real(records.measured(32, str(write_slow(made))))
    records.write(rejected, made / "a-rejected.json")
    (made / "a-altered.json").write_bytes((made / "a-01.json").read_bytes().replace(b'"sig":"', b'"sig":"A', 1))
    return made


def write_slow(folder: Path) -> Path:
    file = folder / "slow.yaml"
    file.write_text("hardware: hgx-b200\nset:\n  - {target: gpu/3, parameter: hbm.bandwidth, factor: 0.8}\n")
    return file


def all_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("?-[0-9]*.json"))


Words = Callable[[list[str]], list[object]]
WRONG: dict[str, tuple[Words, int, str]] = {
    "nineteen nodes": (lambda r: [*r[:19], *USUAL, *LOTS], 2, "19 records: limits are learned from 20 good nodes of 2"),
    "one node": (lambda r: [r[0], *USUAL, *LOTS], 2, "1 record: limits are learned from 20"),
    "no lot": (lambda r: [*r, *USUAL], 2, "a-01.json: is in no lot"),
    "not all in a lot": (lambda r: [*r, *USUAL, "--lot", "a=a-*"], 2, "b-11.json: is in no lot"),
    "two lots at once": (lambda r: [*r, *USUAL, *LOTS, "--lot", "c=*"], 2, "is in the lots a and c"),
    "one lot": (lambda r: [*r, *USUAL, "--lot", "all=*"], 2, "all records are of the lot all"),
    "one lot by two names that are one": (lambda r: [*r, *USUAL, "--lot", "x=a*", "--lot", "x=b*"], 2, "of the lot x"),
    "few others": (
        lambda r: [*r, *USUAL, "--lot", "few=*-0[1-4]*", "--lot", "rest=*-0[5-9]*", "--lot", "rest=*-[12]*"],
        2,
        "without the lot rest only 4 nodes are left",
    ),
    "a node twice": (lambda r: [*r, r[0], *USUAL, *LOTS], 2, "a-01.json and a-01.json are both of GPU"),
    "no such file": (lambda r: [*r, "a-99.json", *USUAL, *LOTS], 2, "there is no file a-99.json"),
    "a rejected node": (lambda r: [*r, "a-rejected.json", *USUAL, *LOTS], 2, "a-rejected.json: the node was rejected"),
    "a simulated node": (lambda r: [*r, "a-simulated.json", *USUAL, *LOTS], 4, "a-simulated.json: the run was simula"),
    "an altered record": (lambda r: [*r, "a-altered.json", *USUAL, *LOTS], 4, "a-altered.json: "),
    "no word on signers": (lambda r: [*r, "--profile", "hgx-b200", *LOTS], 4, "the signer is unknown"),
    "both words on signers": (lambda r: [*r, *USUAL, *LOTS, "--trust", "t"], 2, "exclude each other"),
    "another kind": (
        lambda r: [*r, "--profile", "hgx-h100", "--integrity-only", *LOTS],
        2,
        "fits no cohort of profile",
    ),
    "no such profile": (lambda r: [*r, "--profile", "hgx-b2000", "--integrity-only", *LOTS], 2, "hgx-b2000"),
    "no profile": (lambda r: [*r, "--integrity-only", *LOTS], 2, "--profile"),
    "no record": (lambda r: [*USUAL, *LOTS], 2, "RECORD"),
    "a lot without pattern": (lambda r: [*r, *USUAL, "--lot", "a"], 2, "--lot a: not NAME=GLOB"),
    "a lot without name": (lambda r: [*r, *USUAL, "--lot", "=*"], 2, "--lot =*: not NAME=GLOB"),
    "a lot with a hostile name": (lambda r: [*r, *USUAL, "--lot", "\x1b[2J=*"], 2, "\\u{1B}[2J=*: not NAME=GLOB"),
    "a share of one": (lambda r: [*r, *USUAL, *LOTS, "--share", "1"], 2, "--share"),
    "a confidence of two": (lambda r: [*r, *USUAL, *LOTS, "--confidence", "2"], 2, "--confidence"),
    "a name with a blank": (lambda r: [*r, *USUAL, *LOTS, "--name", "a b"], 2, "--name a b: not a name"),
    "a file that is there": (lambda r: [*r, *USUAL, *LOTS, "--out", "a-01.json"], 2, "is there already"),
    "a folder that is not": (lambda r: [*r, *USUAL, *LOTS, "--out", "x/y.yaml"], 2, "can't be made"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_of_learn_is_said_in_a_sentence(folder: Path, case: str) -> None:
    words, code, said = WRONG[case]
    before = sorted(path.name for path in folder.iterdir())

    done = gpuaccept(folder, "learn", *words(all_of(folder)))

    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 3
    assert sorted(path.name for path in folder.iterdir()) == before


def test_simulated_records_give_assumptions_that_say_so(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "trial.yaml"
    done = gpuaccept(
        folder, "learn", *all_of(folder), "a-simulated.json", *USUAL, *LOTS, "--allow-simulated", "--out", out
    )

    assert done.returncode == 0, done.stderr
    assert out.read_text(encoding="utf-8").startswith("# SIMULATED: ")
    learned = [one for one in load_profile(str(out)).profile.cohorts[0].limits if "learned from" in one.reference]
    assert learned and all(one.source == "assumption" and one.reference.startswith("SIMULATED") for one in learned)


def test_a_site_is_extended_by_a_site_and_a_path_stays_a_path(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "sites").mkdir()
    (tmp_path / "sites" / "lean.yaml").write_text(records.LEAN, encoding="utf-8")
    done = gpuaccept(
        tmp_path, "learn", *(folder / name for name in all_of(folder)), *LOTS,
        "--profile", "sites/lean.yaml", "--integrity-only", "--name", "hall-b", "--out", tmp_path / "out.yaml",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    loaded = load_profile(str(tmp_path / "out.yaml"))
    assert (loaded.profile.name, [c.name for c in loaded.profile.cohorts]) == ("hall-b", ["hgx-b200"])
    assert 'extends: "sites/lean.yaml"' in (tmp_path / "out.yaml").read_text(encoding="utf-8")
    assert gpuaccept(tmp_path, "check", "./out.yaml").returncode == 0


def test_without_out_the_profile_goes_to_stdout(folder: Path, tmp_path: Path) -> None:
    done = gpuaccept(folder, "learn", *all_of(folder), *USUAL, *LOTS)
    (tmp_path / "x.yaml").write_text(done.stdout, encoding="utf-8")

    assert (done.returncode, done.stderr) == (0, "")
    assert gpuaccept(tmp_path, "check", "./x.yaml").returncode == 0


def hostile(evidence: Evidence) -> Evidence:
    evil = '5"\n  - id: evil\u202e\x1b[2J # '
    node = msgspec.structs.replace(evidence.node, driver_version=evil)
    (cohort,) = evidence.profile.cohorts
    kept = tuple(one for one in cohort.limits if one.metric not in ("inventory.driver_version",))
    profile = msgspec.structs.replace(evidence.profile, cohorts=(msgspec.structs.replace(cohort, limits=kept),))
    return msgspec.structs.replace(evidence, node=node, profile=profile)


def test_hostile_text_of_records_ends_as_text(folder: Path, tmp_path: Path) -> None:
    for seed in range(1, 21):
        evil = hostile(records.real(records.measured(seed)))
        records.write(evil, tmp_path / f"{'a' if seed <= 10 else 'b'}-{seed:02}.json")
    done = gpuaccept(tmp_path, "learn", *all_of(tmp_path), *USUAL, *LOTS, "--out", "out.yaml")

    assert done.returncode == 0, done.stderr
    text = (tmp_path / "out.yaml").read_text(encoding="utf-8")
    assert "\x1b" not in text and "\u202e" not in text and "\x1b" not in done.stdout
    limits = {one.id: one for one in load_profile(str(tmp_path / "out.yaml")).profile.cohorts[0].limits}
    assert "evil" not in limits
    assert limits["learned.driver"].one_of == ('5"\n  - id: evil\u202e\x1b[2J # ',)


FIT_WRONG: dict[str, tuple[list[object], int, str]] = {
    "no such file": (["a-99.json"], 2, "there is no file a-99.json"),
    "an altered record": (["a-altered.json"], 4, "a-altered.json: "),
    "a run twice": (["a-01.json", "a-01.json"], 2, "a-01.json and a-01.json are of one run"),
    "no such base": (["a-01.json", "--base", "hgx-b2000"], 2, "unknown scenario 'hgx-b2000'"),
    "a bad name": (["a-01.json", "--name", "../x"], 2, "--name ../x: not a name"),
    "a file that is there": (["a-01.json", "--out", "a-02.json"], 2, "is there already"),
    "a folder": (["."], 2, "is a directory"),
    "no record": ([], 2, "RECORD"),
}


@pytest.mark.parametrize("case", FIT_WRONG)
def test_wrong_input_of_fit_is_said_in_a_sentence(folder: Path, case: str) -> None:
    words, code, said = FIT_WRONG[case]
    done = gpuaccept(folder, "fit", *words)

    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) <= 3


def test_fit_writes_a_model_that_runs(folder: Path, tmp_path: Path) -> None:
    done = gpuaccept(folder, "fit", "a-01.json", "a-02.json", "--out", tmp_path / "m.yaml", "--name", "hall-b")

    assert done.returncode == 0, done.stderr
    assert "memory_bandwidth.read_sm_hot: " in done.stdout and "not fitted" in done.stdout
    text = (tmp_path / "m.yaml").read_text(encoding="utf-8")
    assert 'name: "hall-b"' in text and "Captures of simulated nodes" not in text
    records.measured(5, str(tmp_path / "m.yaml"))


@given(st.text())
def test_quoted_text_reads_back(text: str) -> None:
    written = quoted(text)

    assert written.isascii() and "\n" not in written
    assert yaml.safe_load(written) == text


class One(msgspec.Struct, forbid_unknown_fields=True):
    value: float
    text: str


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(st.characters(codec="utf-8")))
def test_the_strict_reader_reads_back_what_is_written(value: float, text: str) -> None:
    found = read_text(f"value: {number(value)}\ntext: {quoted(text)}\n{comment(text)}\n", "x", One)

    assert (found.value, found.text) == (value, text)
