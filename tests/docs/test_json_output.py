"""docs/reference/json-output.md names exactly the keys that each command prints."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docs_pages import DOCS

PAGE = (DOCS / "reference" / "json-output.md").read_text(encoding="utf-8")
SUMMARY = (DOCS / "reference" / "summary.md").read_text(encoding="utf-8")
ALWAYS = {"command", "version"}
COMMANDS = (
    ("run", ("--profile", "hgx-b200", "--device", "mock:hgx-b200", "--plan", "quick", "--quiet", "--out", "made")),
    ("verify", ("--integrity-only", "--allow-simulated", "run/record.json")),
    ("profile list", ()),
    ("profile show", ("de-industrial-ai-cloud",)),
    ("profile check", ("hgx-b200", "wrong.yaml")),
    ("profile diff", ("hgx-b200", "hgx-h100")),
    ("checks list", ()),
    ("checks show", ("ecc",)),
    ("checks matrix", ()),
    ("checks prove", ("--profile", "hgx-b200", "--plan", "quick", "--quiet")),
    ("doctor", ()),
    ("key new", ("--out", "new.key")),
    ("key show", ("a.key",)),
)


def _first_column(text: str) -> set[str]:
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def _documented(command: str) -> set[str]:
    section = re.search(rf"^## {command}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert section is not None, f"json-output.md has no section {command}"
    keys = _first_column(section[1])
    return keys | _first_column(SUMMARY) if command == "run" else keys


def _paths(value: dict[str, Any], deeper: set[str], prefix: str = "") -> Iterator[str]:
    """Paths of all keys; of lists only where the page names what their entries hold."""
    for key, item in value.items():
        path = prefix + key
        yield path
        if isinstance(item, list) and any(name.startswith(f"{path}[].") for name in deeper):
            for entry in item:
                yield from _paths(entry, deeper, f"{path}[].")


def gpuaccept(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "gpuaccept", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("json")
    run = ("run", "--profile", "hgx-b200", "--device", "mock:hgx-b200", "--plan", "quick", "--quiet", "--out", "run")
    gpuaccept(made, *run)
    gpuaccept(made, "key", "new", "--out", "a.key")
    (made / "wrong.yaml").write_text("kind: site\nname: wrong\nspeed: fast\n", encoding="utf-8")
    return made


@pytest.mark.parametrize(("command", "arguments"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_a_command_prints_the_keys_that_the_page_names(command: str, arguments: tuple[str, ...], folder: Path) -> None:
    body = json.loads(gpuaccept(folder, *command.split(" "), *arguments, "--output", "json"))
    documented = _documented(command)

    assert (body["command"], body["version"]) == (command, 1)
    assert set(_paths(body, documented)) - ALWAYS == documented


def test_the_page_names_what_profile_learn_prints() -> None:
    """Records to learn from are slow to make: its object is made here of nothing that was learned."""
    from gpuaccept.data import Cohort
    from gpuaccept.learn import Learned, Outcome, as_object
    from gpuaccept.profile.load import load_profile

    cohort: Cohort = load_profile("hgx-b200").profile.cohorts[0]
    nothing = (Outcome("kept", "ecc.mode", None),)
    found = Learned(cohort, {}, (), nothing, {"a": 20}, 0.999, 0.99, 0.95, "driver 1", "soak.cu", "measured")
    body = {**as_object(found), "out": None, "profile": ""}
    documented = _documented("profile learn")
    assert set(_paths(body, documented)) == documented


def test_every_command_with_json_output_is_on_the_page() -> None:
    help_pages = (DOCS / "reference" / "cli.md").read_text(encoding="utf-8").split("\n## gpuaccept ")[1:]
    with_json = {page.split("\n", 1)[0] for page in help_pages if "--output [text|json]" in page}

    assert with_json == {"profile learn", *(command for command, _ in COMMANDS)}
