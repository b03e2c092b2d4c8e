"""`gpuaccept key`: make and show signing keys."""

from __future__ import annotations

from pathlib import Path

import click

from gpuaccept.cli.output import emit, format_option, safe


@click.group()
def key() -> None:
    """Make and show signing keys."""


@key.command("new")
@click.option("--out", required=True, metavar="FILE", type=click.Path(path_type=Path), help="The private key's file.")
@format_option
def new(out: Path, output: str) -> None:
    """Make a key: FILE for its owner alone, FILE.pub for everyone."""
    from gpuaccept.record import keys

    made = keys.make(out)
    if output == "json":
        emit("key new", {"file": str(out), "public_file": str(keys.public_path_of(out)), "keyid": made.public.keyid})
        return
    click.echo(safe(f"made {out} (keep it to yourself) and {keys.public_path_of(out)} (give it to the buyer)"))
    click.echo(f"keyid sha256:{made.public.keyid}")


@key.command("show")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@format_option
def show(file: Path, output: str) -> None:
    """Show the public half of a key: its keyid, and the line for a trust file."""
    from gpuaccept.record import keys

    public = keys.read_public(file)
    if output == "json":
        emit("key show", {"file": str(file), "keyid": public.keyid, "spki": public.spki_text, "pem": public.pem})
        return
    click.echo(f"keyid sha256:{public.keyid}")
    click.echo(f"key: {public.spki_text}")
    click.echo(public.pem, nl=False)
