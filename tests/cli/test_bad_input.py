"""Whatever a person gives wrong: exit 2, one message with its place, no traceback, and nothing measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import MOCK, SITE, gpuaccept

BOMB = b"a: &a [x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (name + 1, name + 1, b",".join([b"*%c" % name] * 8)) for name in range(ord("a"), ord("m"))
)
PROFILES: dict[str, tuple[bytes | None, tuple[str, ...]]] = {
    "missing": (None, ("profile.yaml: there is no such file",)),
    "empty": (b"", ("profile.yaml: is empty",)),
    "binary": (b"\x00\x9f\x92\x96" * 64, ("profile.yaml", "byte")),
    "list": (b"- a\n- b\n", ("profile.yaml:1:1: a profile is a mapping", "found a list")),
    "duplicate key": (b"kind: site\nname: a\nname: b\n", ("profile.yaml:3:1: name: given twice; first on line 2",)),
    "tab": (b"kind: site\n\tname: a\n", ("profile.yaml:2:1: a tab",)),
    "unknown key": (
        b'kind: site\nname: a\nversoin: "1"\ntitle: t\ncohorts:\n  - {name: c, extends: hgx-b200}\n',
        ("profile.yaml:3:1: versoin: unknown key; did you mean version?",),
    ),
    "wrong types, all at once": (
        b"kind: site\nname: [a]\nversion: 1\ntitle: {}\ncohorts: none\n",
        (":2:7: name: ", ":3:10: version: ", ":4:8: title: ", ":5:10: cohorts: "),
    ),
    "alias bomb": (
        BOMB,
        ("profile.yaml:1:4: the anchor &a",),
    ),
    "python tag": (
        b'kind: !!python/object/apply:os.system ["touch owned"]\n',
        ("profile.yaml:1:7: the tag '!!python/object/apply:os.system'",),
    ),
    "limit on a metric that no check has": (
        b'kind: site\nname: a\nversion: "1"\ntitle: t\ncohorts:\n  - name: c\n    extends: hgx-b200\n    limits:\n'
        b"      - {id: mine, metric: memory_bandwidth.copy_sm_hott, minimum: 1, unit: GB/s, effect: require,\n"
        b"         cause: hardware, action: replace, source: assumption, reference: none}\n",
        ("profile.yaml:9:", "copy_sm_hott", "copy_sm_hot"),
    ),
}


def refused(tmp_path: Path, *arguments: object, command: str = "run") -> str:
    """What is said about a command line that can't be used; nothing is left behind but an empty directory."""
    given = list(map(str, arguments))
    if command == "run":
        defaults = {"--profile": SITE, "--device": MOCK, "--plan": "quick", "--out": "out"}
        given += [word for name, value in defaults.items() if name not in given for word in (name, value)]
    done = gpuaccept(command, *given, cwd=tmp_path)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("gpuaccept: ") == 1
    assert done.stderr.startswith("gpuaccept: ")
    assert not list(tmp_path.rglob("journal.jsonl"))
    return done.stderr


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_that_cannot_be_used(tmp_path: Path, name: str) -> None:
    data, expected = PROFILES[name]
    if data is not None:
        (tmp_path / "profile.yaml").write_bytes(data)

    said = refused(tmp_path, "--profile", "profile.yaml")

    assert [part for part in expected if part not in said] == []
    assert not (tmp_path / "owned").exists()


def test_a_profile_that_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "profile.yaml").mkdir()

    assert "profile.yaml: is a directory" in refused(tmp_path, "--profile", "profile.yaml")


def test_profiles_that_extend_each_other(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: hardware\nname: a\nextends: ./b.yaml\n")
    (tmp_path / "b.yaml").write_text("kind: hardware\nname: b\nextends: ./a.yaml\n")

    said = refused(tmp_path, "--profile", "a.yaml")

    assert "b.yaml:3:10: extends:" in said
    assert "a.yaml → b.yaml → a.yaml" in said


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--profile", "de-industrial-ai-clod"), "did you mean de-industrial-ai-cloud?"),
        (("--device", "nvidai"), "did you mean nvidia?"),
        (("--device", "mock:hgx-b20"), "did you mean hgx-b200?"),
        (("--device", "mock:./none.yaml"), "scenario ./none.yaml does not exist"),
        (("--device", "mock:"), "mock needs a scenario"),
        (("--fault", "hbm_bandwidth_lo"), "did you mean hbm_bandwidth_low?"),
        (("--fault", "hbm_bandwidth_low:gup=3"), "unknown key 'gup': did you mean gpu?\n  its keys: gpu, loss_percent"),
        (("--fault", "hbm_bandwidth_low:gpu"), "gpu has no value\n  write gpu=VALUE"),
        (("--fault", "hbm_bandwidth_low:gpu=2,gpu=3"), "gpu is given twice"),
        (("--fault", "driver_wrong_version:version="), "version has no value"),
        (("--fault", "nvlink_remote_wrong_type:type=swich"), "type=swich is not one of gpu, npu, unknown"),
        (("--fault", ""), "--fault '' names no fault\n  `gpuaccept checks matrix` lists all faults"),
        (("--fault", "zzz"), "unknown fault 'zzz'\n  `gpuaccept checks matrix` lists all faults"),
        (("--fault", "hbm_bandwidth_low:gpu=99"), "there is no GPU 99: this model has GPUs 0 to 7"),
        (("--fault", "hbm_bandwidth_low:loss_percent=nan"), "loss_percent=nan"),
        (("--fault", "ecc_off", "--device", "nvidia"), "--fault is for simulated devices"),
        (("--seed", "1", "--device", "nvidia"), "--seed is for simulated devices"),
        (("--only", "inventry"), "did you mean inventory?"),
        (("--skip", "eccc"), "did you mean ecc?"),
        (("--only", "ecc", "--skip", "ecc"), "--only and --skip leave nothing to measure\n  plan quick has: inventory"),
        (("--only", "thermal_soak"), "leave nothing to measure"),
        (("--out", ""), "--out': it is empty"),
        (("--plan", "quik"), "it has: acceptance, burnin, node, quick"),
        (("--deadline", "20"), "--deadline 20: not a duration"),
        (("--deadline", ""), "not a duration"),
        (("--deadline", "0s"), "not a duration"),
        (("--seed", "-1"), "`gpuaccept run --help` lists what it takes"),
        (("--seed", "many"), "'many' is not a valid integer range"),
        (("--key", "none.key"), "there is no key file none.key"),
        (("--key", "."), "the key file . can't be read: Is a directory"),
        (("--checks", "none"), "--checks none: no such directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_option_that_cannot_be_used(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    assert expected in refused(tmp_path, *arguments)


def test_a_key_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("hello\n")
    (tmp_path / "note.txt").chmod(0o600)

    assert "note.txt is not a private key" in refused(tmp_path, "--key", "note.txt")


def test_a_folder_without_checks(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "_shared.py").write_text("")

    assert "--checks checks: holds no check" in refused(tmp_path, "--checks", "checks")


def test_a_result_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way\n")

    assert "--out file: is a file" in refused(tmp_path, "--out", "file")


def test_demo_does_not_advise_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "of").write_text("something\n")
    said = refused(tmp_path, "--out", "full", command="demo")

    assert "--out full: is not empty" in said and "--resume" not in said
    assert "--out': it is empty" in refused(tmp_path, "--out", "", command="demo")


@pytest.mark.parametrize(
    ("data", "said"), [(b"", "is empty"), (b"\x7fELF\x02\x01", "is neither a record nor a certificate")]
)
def test_what_is_no_record_is_said(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "x").write_bytes(data)
    for command in (("verify", "--integrity-only", "x"), ("render", "x", "--format", "text")):
        done = gpuaccept(*command, cwd=tmp_path)
        assert done.returncode == 4
        assert f"the file {said}" in done.stdout + done.stderr


def test_checks_that_are_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("CHECK = 1\n")

    assert "--checks mine.py: no such directory" in refused(tmp_path, "--checks", "mine.py")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import there_is_no_such_module\n", "ModuleNotFoundError"),
        ("def (:\n", "SyntaxError"),
        ("raise SystemExit(7)\n", "SystemExit"),
        ("X = 1\n", "has no CHECK"),
        ("CHECK = 1\n", "has no CHECK"),
        (
            "from gpuaccept.check import Check, Metric\n"
            "CHECK = Check('mine', '', 'node', (Metric('a', '', ''),), print, remedies={'b': 'do'})\n",
            "remedies of b: no such metric",
        ),
    ],
)
def test_a_check_file_that_cannot_be_used(tmp_path: Path, source: str, expected: str) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / "mine.py").write_text(source)

    said = refused(tmp_path, "--checks", "checks")

    assert "mine.py" in said
    assert expected in said


def test_a_scenario_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "hardware: hgx-b200\n"
        "set:\n"
        "  - {target: gpu/99, parameter: hbm.bandwidth, factor: 0.9}\n"
        "  - {target: gpu/1, parameter: hbm.bandwith, factor: 0.9}\n"
    )

    said = refused(tmp_path, "--device", "mock:mine.yaml")

    assert "mine.yaml:3:5: set[0]: target 'gpu/99' matches no gpu" in said
    assert "mine.yaml:4:5: set[1]: unknown parameter 'hbm.bandwith', did you mean hbm.bandwidth?" in said


def test_a_scenario_of_hardware_that_nobody_knows(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("hardware: hgx-b20\n")

    assert "mine.yaml:1:11: hardware: unknown scenario 'hgx-b20'" in refused(tmp_path, "--device", "mock:mine.yaml")


@pytest.mark.parametrize("out", ["file", "file/below", "full", "/proc/none"])
def test_a_result_directory_that_cannot_be_used(tmp_path: Path, out: str) -> None:
    (tmp_path / "file").write_text("in the way\n")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "of").write_text("something\n")

    assert f"--out {out}: " in refused(tmp_path, "--out", out)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["of"]


@pytest.mark.parametrize(
    "arguments", [("nothing.html",), ("--integrity-only", "nothing.html"), ("--integrity-only", ".")]
)
def test_verify_of_what_is_not_there(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert arguments[-1] in refused(tmp_path, *arguments, command="verify")


def test_no_command_at_all_shows_what_there_is() -> None:
    done = gpuaccept()

    assert done.returncode == 2
    assert done.stderr.startswith("Usage: gpuaccept ")


def test_hardware_without_a_driver_is_one_sentence(tmp_path: Path) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has a driver")
    done = gpuaccept("run", "--profile", SITE, "--out", "out", cwd=tmp_path)

    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.startswith("gpuaccept: no NVIDIA driver on this machine")
