"""Every command line in the documents can be typed, and those that say their exit code end with it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from docs_pages import PAGES, ROOT, blocks, lines, shown

from gpuaccept.cli.main import cli

BIN = Path(sys.executable).parent
_INLINE = re.compile(r"`(gpuaccept [^`]+)`")
RUNNABLE = [page for page in PAGES if any(line.code is not None for line in lines(page))]


def _typed() -> list[tuple[str, str]]:
    """(page, command line) of every call of gpuaccept: whole lines, and those within sentences."""
    found = []
    for page in PAGES:
        found += [(shown(page), line.command) for line in lines(page)]
        prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        found += [(shown(page), command) for command in _INLINE.findall(prose)]
    return [(page, command) for page, command in found if command.split(" ")[0].endswith("gpuaccept")]


def _problem(command: str) -> str:
    """What is wrong with a command line, or nothing. Arguments may be left out in a sentence, options must exist."""
    words = shlex.split(command.split(" > ")[0].split(" | ")[0])[1:]
    current: click.Command = cli
    context = click.Context(cli, info_name="gpuaccept")
    while words and isinstance(current, click.Group):
        word = words[0]
        if word.startswith("-") or word == "…":
            break
        found = current.get_command(context, word)
        if found is None:
            return f"no command {word}"
        current, words = found, words[1:]
        context = click.Context(current, info_name=word, parent=context)
    known = {
        option: parameter for parameter in current.params for option in (*parameter.opts, *parameter.secondary_opts)
    }
    known |= {"-h": None, "--help": None}
    for place, word in enumerate(words):
        if not word.startswith("--"):
            continue
        name, equals, value = word.partition("=")
        if name not in known:
            return f"no option {name}"
        parameter = known[name]
        value = value if equals else words[place + 1] if place + 1 < len(words) else ""
        choices = parameter.type.choices if parameter and isinstance(parameter.type, click.Choice) else (value,)
        if value not in choices and "|" not in value:
            return f"{name} does not take {value}"
    if any(parameter.required for parameter in current.params if isinstance(parameter, click.Option)):
        needed = [p.opts[0] for p in current.params if isinstance(p, click.Option) and p.required]
        if len(words) > 1 and not all(any(word.startswith(option) for word in words) for option in needed):
            return f"needs {', '.join(needed)}"
    return ""


@pytest.mark.parametrize(("page", "command"), _typed())
def test_a_command_line_of_a_page_can_be_typed(page: str, command: str) -> None:
    assert _problem(command) == ""


def test_what_does_not_exist_is_found() -> None:
    assert _problem("gpuaccept verfy") == "no command verfy"
    assert _problem("gpuaccept run --profile x --order y") == "no option --order"
    assert _problem("gpuaccept render record.json --format csv") == "--format does not take csv"
    assert _problem("gpuaccept run --quiet --seed 1") == "needs --profile"


@pytest.mark.parametrize("page", RUNNABLE, ids=shown)
def test_commands_end_and_print_as_the_page_says(page: Path, tmp_path: Path) -> None:
    """Runs a page from top to bottom in one empty directory that holds the files which the page itself shows."""
    for block in blocks(page):
        if block.file:
            (tmp_path / block.file).write_text(block.text, encoding="utf-8")
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "XDG_STATE_HOME": str(tmp_path)}
    for line in lines(page):
        if line.code is None:
            continue
        command = "gpuaccept demo --out demo" if line.command == "make demo" else line.command
        done = subprocess.run(
            ["sh", "-c", command],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert done.returncode == line.code, f"{command}\n{printed}"
        missing = [
            piece
            for shown_line in line.output.splitlines()
            for piece in shown_line.split("…")
            if piece.strip() and piece not in printed
        ]
        assert not missing, f"{command}\n{printed}"


def test_pages_are_run() -> None:
    names = {page.name for page in RUNNABLE}

    assert {"first-acceptance.md", "simulate-a-fault.md", "write-a-check.md", "write-a-site-profile.md"} <= names
