"""`gpuaccept render`: another view of the same record."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("record", metavar="RECORD", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "text", "json"]),
    required=True,
    help="The certificate, its summary in words, or the summary as JSON.",
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of to stdout.")
def render(record: Path, form: str, out: Path | None) -> int:
    """Write another view of a record.

    RECORD is a record.json, or a certificate.html that carries one. Checks that the record is whole, not who signed
    it: that is what `gpuaccept verify` is for.
    """
    from gpuaccept.certificate import html, text
    from gpuaccept.errors import EvidenceError
    from gpuaccept.record.envelope import open_record
    from gpuaccept.verify import page_and_record

    try:
        _, envelope = page_and_record(_read(record))
        statement = open_record(envelope).statement
    except EvidenceError as error:
        raise EvidenceError(f"{record}: {error.fact}", error.remedy) from None
    if form == "html":
        view = html.render(statement, envelope)
    else:
        view = text.summary_json(statement) if form == "json" else text.summary(statement).encode("utf-8")
    if out is None:
        click.echo(view, nl=False)
    else:
        _write(out, view)
    return 0


def _read(path: Path) -> bytes:
    from gpuaccept.certificate.html import PAGE_LIMIT_BYTES
    from gpuaccept.errors import EvidenceError, UsageError

    try:
        with path.open("rb") as file:
            data = file.read(PAGE_LIMIT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", "name a record.json or a certificate.html") from error
    if len(data) > PAGE_LIMIT_BYTES:
        raise EvidenceError("larger than 64 MiB", "a record of one node is about 0.3 MB")
    return data


def _write(path: Path, data: bytes) -> None:
    from gpuaccept.errors import UsageError

    try:
        path.write_bytes(data)
    except OSError as error:
        raise UsageError(f"--out {path}: {error.strerror}", "name a file that can be written") from error
