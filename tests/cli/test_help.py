"""The command line documents itself: table, help and reference are one."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from gpuaccept.cli.main import COMMANDS, cli


def gpuaccept(*arguments: str, **keywords: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpuaccept", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_what_the_command_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)

    assert command is not None
    assert (command.help or "").strip().splitlines()[0] == COMMANDS[name]


def test_help_imports_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "gpuaccept", "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rsplit("|", 1)[1].strip() for line in done.stderr.splitlines() if "|" in line}

    heavy = {"yaml", "rich", "numpy", "cuda", "pynvml", "msgspec", "jinja2", "cryptography"}
    assert not heavy & {name.split(".")[0] for name in imported}


def test_an_unknown_command_names_the_nearest() -> None:
    done = gpuaccept("verfy")

    assert done.returncode == 2
    assert "did you mean verify?" in done.stderr


def test_an_unknown_option_is_a_usage_error_without_traceback() -> None:
    done = gpuaccept("run", "--profil", "x")

    assert done.returncode == 2
    assert "Traceback" not in done.stderr
