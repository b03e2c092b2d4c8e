"""`gpuaccept checks`: which checks there are, what each measures, and which faults it must detect."""

from __future__ import annotations

from pathlib import Path

import click

from gpuaccept.cli.output import duration, emit, format_option
from gpuaccept.cli.self_test import matrix, prove

_checks_option = click.option(
    "--checks",
    "checks_dir",
    type=click.Path(path_type=Path),
    help="A directory with the site's own checks.",
)


@click.group()
def checks() -> None:
    """List, show and prove checks, and the faults that each detects."""


@checks.command("list")
@_checks_option
@format_option
def list_checks(checks_dir: Path | None, output: str) -> None:
    """List all checks."""
    from gpuaccept.run.loading import load_checks

    loaded = load_checks(checks_dir)
    if output == "json":
        emit("checks list", {"checks": [{"name": c.check.name, "purpose": c.check.purpose} for c in loaded.values()]})
        return
    width = max(map(len, loaded))
    for one in loaded.values():
        click.echo(f"{one.check.name:{width}}  {one.check.purpose}")


@checks.command("show")
@click.argument("name")
@_checks_option
@format_option
def show(name: str, checks_dir: Path | None, output: str) -> None:
    """Show what a check measures, its parameters, and the faults that it detects."""
    import msgspec

    from gpuaccept.errors import UsageError
    from gpuaccept.run.loading import load_checks

    loaded = load_checks(checks_dir)
    if name not in loaded:
        raise UsageError(f"no such check: {name}", "known: " + ", ".join(loaded))
    one = loaded[name]
    defaults = one.check.parameters()
    body = {
        "name": one.check.name,
        "purpose": one.check.purpose,
        "scope": one.check.scope,
        "source_sha256": one.sha256,
        "parameters": msgspec.to_builtins(defaults),
        "seconds": one.check.seconds(defaults, 8),
        "detects": list(one.check.detects),
        "metrics": [msgspec.to_builtins(metric) for metric in one.declarations],
    }
    if output == "json":
        emit("checks show", body)
        return
    click.echo(f"{one.check.name}: {one.check.purpose}")
    click.echo(
        f"measures {'each GPU in a process of its own' if one.check.scope == 'gpu' else 'all GPUs together'}, "
        f"about {duration(one.check.seconds(defaults, 8))} for 8 GPUs"
    )
    click.echo("\nparameters (defaults)")
    for key, value in msgspec.to_builtins(defaults).items():
        click.echo(f"  {key} = {value}")
    click.echo("\nmetrics")
    for metric in one.declarations:
        click.echo(f"  {metric.name}  {metric.unit or '-'}  {metric.kind}, {metric.subject}: {metric.description}")
    click.echo("\ndetects\n  " + (", ".join(one.check.detects) or "no fault of the catalogue"))


checks.add_command(matrix)
checks.add_command(prove)
