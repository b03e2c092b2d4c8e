"""`gpuaccept verify`: is this record or certificate what it claims to be, and what does it decide?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuaccept.cli.output import emit, format_option, safe

if TYPE_CHECKING:
    from gpuaccept.verify import Verification


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@click.option("--trust", type=click.Path(path_type=Path), help="The buyer's file of trusted keys.")
@click.option("--integrity-only", is_flag=True, help="Don't ask who signed: check that the bytes belong together.")
@click.option("--allow-simulated", is_flag=True, help="Don't refuse a simulated run.")
@click.option("--profile", metavar="NAME|FILE", help="Judge the evidence by this profile too, and decide by it.")
@click.option("--require-series", is_flag=True, help="Refuse a record without its series.json.gz beside it.")
@format_option
def verify(
    files: tuple[Path, ...],
    trust: Path | None,
    integrity_only: bool,
    allow_simulated: bool,
    profile: str | None,
    require_series: bool,
    output: str,
) -> int:
    """Check a record or certificate: signature, judgement, page.

    Judges the raw samples again, compares the series where they lie beside the file, and renders the page again to
    compare it byte for byte. Needs no network. Exit code: 0 valid and accepted, 5 valid and rejected, 3 valid and not
    decided, 4 not valid; of several files the worst.
    """
    from gpuaccept.record.trust import read_trust
    from gpuaccept.verify import verify_path, worst_exit_code

    trusted = read_trust(trust) if trust and not integrity_only else trust
    by_profile = None
    if profile is not None:
        from gpuaccept.profile.load import load_profile

        by_profile = load_profile(profile).profile
    found = [
        verify_path(
            file,
            trust=trusted,
            integrity_only=integrity_only,
            allow_simulated=allow_simulated,
            profile=by_profile,
            require_series=require_series,
        )
        for file in files
    ]
    code = worst_exit_code([one.exit_code for one in found])
    if output == "json":
        import msgspec

        emit("verify", {"exit_code": code, "files": [msgspec.to_builtins(one) for one in found]})
    else:
        click.echo(safe("\n\n".join(map(_text, found))))
    return code


def _text(one: Verification) -> str:
    """Verdict first, then what it rests on, then what was not checked."""
    from gpuaccept.certificate.words import decided

    watermark = "SIMULATED, " if one.simulated else ""
    lines = [f"{one.file}: {watermark}{'valid' if one.valid else 'NOT VALID'}"]
    lines += [f"  problem   {problem}" for problem in one.problems]
    if one.decision is not None:
        claimed = "" if one.valid else " (as the record claims; it does not count)"
        lines.append(f"  decision  {decided(one.decision, one.acceptance)}{claimed}: {one.reason}")
        if one.rejudged is not None:
            by = decided(one.rejudged, one.acceptance)
            lines.append(f"  by profile {one.rejudged_by}: {by}: {one.rejudged_reason}")
        lines += [
            f"  node      {one.node}, certificate {one.certificate_id}",
            f"  judged by {one.profile}, plan {one.plan}, profile sha256:{one.profile_sha256}",
            f"  record    sha256:{one.record_sha256}",
        ]
    lines += [f"  signer    {signer}" for signer in one.signers]
    lines += [f"  checked   {checked}" for checked in one.checked]
    lines += [f"  note      {note}" for note in one.notes]
    return "\n".join(lines)
