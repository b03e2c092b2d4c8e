"""Writes the generated pages of docs/reference: the command line, and which check detects which fault."""

from __future__ import annotations

from pathlib import Path

import click

DOCS = Path(__file__).resolve().parent.parent / "docs" / "reference"


def command_line() -> str:
    """docs/reference/cli.md: every command's --help."""
    from gpuaccept.cli.main import COMMANDS, LazyGroup, cli

    assert isinstance(cli, LazyGroup)
    out = ["# Command line", "", "Generated from `--help` by `scripts/make_docs.py`; a test holds it equal.", ""]

    def page(name: str, command: click.Command, parent: click.Context | None) -> None:
        context = click.Context(command, info_name=name, parent=parent, terminal_width=100, max_content_width=100)
        out.extend([f"## {context.command_path}", "", "```", command.get_help(context), "```", ""])
        if isinstance(command, click.Group) and not isinstance(command, LazyGroup):
            for child in command.list_commands(context):
                found = command.get_command(context, child)
                assert found is not None
                page(child, found, context)

    page("gpuaccept", cli, None)
    root = click.Context(cli, info_name="gpuaccept")
    for name in COMMANDS:
        found = cli.get_command(root, name)
        assert found is not None
        page(name, found, root)
    return "\n".join(out)


def matrix() -> str:
    """docs/reference/faults.md: the fault catalogue and the checks that detect each."""
    from gpuaccept.device.open import faults
    from gpuaccept.run.loading import load_checks

    checks = load_checks()
    out = [
        "# Faults and the checks that detect them",
        "",
        "Generated from the catalogue by `scripts/make_docs.py`. `tests/acceptance` runs every fault through the whole",
        "pipeline in simulation, and holds verdict, cause, action and named part equal to this table.",
        "",
        "| fault | what is simulated | expected | cause | action | " + " | ".join(checks) + " |",
        "|---|---|---|---|---|" + "---|" * len(checks),
    ]
    for fault in faults():
        marks = " | ".join("detects" if fault.name in one.check.detects else "" for one in checks.values())
        out.append(f"| `{fault.name}` | {fault.summary} | {fault.verdict} | {fault.cause} | {fault.action} | {marks} |")
    return "\n".join([*out, ""])


PAGES = {"cli.md": command_line, "faults.md": matrix}


def main() -> None:
    """Write all pages."""
    for name, make in PAGES.items():
        (DOCS / name).write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    main()
