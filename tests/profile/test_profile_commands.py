"""`gpuaccept profile`: what its commands print and how they exit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from profile_samples import HARDWARE, write

from gpuaccept.cli.main import cli, main
from gpuaccept.profile import schema
from gpuaccept.profile.diff import compare
from gpuaccept.profile.load import load_profile


def run(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    cli.main(["profile", *args], standalone_mode=False)
    return capsys.readouterr().out


def test_list_names_every_profile(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "list")
    assert "hgx-h100 " in text
    assert text.count("  plans acceptance (about ") == len(text.splitlines()) / 2
    names = [one["name"] for one in json.loads(run(capsys, "list", "--output", "json"))["profiles"]]
    assert names[0] == "gb200-nvl72" and names[-1] == "uk-nscale"  # hardware first, then sites


def test_show_says_where_each_value_came_from(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "show", "de-industrial-ai-cloud")

    assert "# layer hgx-b200.yaml sha256:" in text
    assert "plans acceptance (about " in text and "quick (about " in text
    line = next(line for line in text.splitlines() if "580.95.05" in line)
    assert line.split("#")[1].strip().startswith("profiles/sites/de-industrial-ai-cloud.yaml:")
    assert 'effect: "require"' in text and "# default" in text
    assert "equals: 0 " in text and "at_once: false" in text


def test_show_as_json_has_an_origin_for_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    shown = json.loads(run(capsys, "show", "hgx-h100", "--output", "json"))

    assert shown["command"] == "profile show" and shown["profile"]["name"] == "hgx-h100"
    assert shown["origins"]["cohorts[0].gpus"].startswith("profiles/hardware/hgx-h100.yaml:")
    assert shown["origins"]["cohorts[0].limits[0].effect"] == "default"
    assert [layer["name"] for layer in shown["layers"]] == ["hgx-h100.yaml"]


def test_check_reports_all_files_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = write(
        tmp_path, "bad.yaml", HARDWARE.replace("gpus: 8", "gpus: eight").replace("cooling: air", "coolnig: air")
    )
    monkeypatch.setattr("sys.argv", ["gpuaccept", "profile", "check", "hgx-b200", bad, str(tmp_path)])

    with pytest.raises(SystemExit) as stopped:
        main()

    out, err = capsys.readouterr()
    assert stopped.value.code == 2
    assert "hgx-b200: ok, " in out
    assert f"{bad}:7:7: gpus: must be a whole number; found 'eight'" in err
    assert f"{bad}:9:1: coolnig: unknown key; did you mean cooling?" in err
    assert f"{tmp_path}: is a directory; name a file" in err
    assert "Traceback" not in err


def test_check_as_json_names_each_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = write(tmp_path, "bad.yaml", HARDWARE.replace("unit: GB/s", "unit: GB"))

    body = json.loads(run(capsys, "check", bad, "--output", "json"))

    assert body["ok"] is False
    assert [problem["line"] for problem in body["profiles"][0]["problems"]] == [21]


def test_diff_names_limits_by_id(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = write(tmp_path, "old.yaml", HARDWARE)
    new = write(tmp_path, "new.yaml", HARDWARE.replace("5975", "6100"))
    other = write(tmp_path, "other.yaml", HARDWARE.replace("id: copy.floor", "id: copy.low"))

    assert run(capsys, "diff", old, new) == "~ cohort small / limit copy.floor / minimum: 5975 → 6100\n"
    assert run(capsys, "diff", old, other).splitlines() == [
        "- cohort small / limit copy.floor: memory_bandwidth.copy_sm_hot minimum 5975 GB/s (require)",
        "+ cohort small / limit copy.low: memory_bandwidth.copy_sm_hot minimum 5975 GB/s (require)",
    ]
    assert run(capsys, "diff", old, old) == "no difference\n"
    assert json.loads(run(capsys, "diff", old, new, "--output", "json"))["changes"] == [
        {"change": "changed", "path": "cohort small / limit copy.floor / minimum", "before": 5975.0, "after": 6100.0}
    ]


def test_diff_names_a_cohort_that_only_one_has(tmp_path: Path) -> None:
    write(tmp_path, "hw.yaml", HARDWARE)
    head = 'kind: site\nname: s\nversion: "1"\ntitle: t\ncohorts:\n  - {name: a, extends: ./hw.yaml}\n'
    one = load_profile(write(tmp_path, "one.yaml", head)).profile
    two = load_profile(write(tmp_path, "two.yaml", head + "  - {name: b, extends: ./hw.yaml}\n")).profile

    assert [(change.change, change.path) for change in compare(one, two)] == [("added", "cohort b")]
    assert [(change.change, change.path) for change in compare(two, one)] == [("removed", "cohort b")]


def test_the_schema_lists_what_a_complete_file_needs(capsys: pytest.CaptureFixture[str]) -> None:
    written = json.loads(run(capsys, "schema"))

    hardware = written["$defs"]["HardwareForm"]
    assert hardware["required"] == ["kind", "name"]
    assert "limits" in hardware["then"]["required"] and hardware["if"] == {"not": {"required": ["extends"]}}
    assert hardware["additionalProperties"] is False
    assert "cohorts" in schema.resolved()["$defs"]["Profile"]["properties"]
    assert json.loads(run(capsys, "schema", "--resolved")) == json.loads(json.dumps(schema.resolved()))
