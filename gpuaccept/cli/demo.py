"""`gpuaccept demo`: the main job on a simulated node, start to verified certificate, in seconds."""

from __future__ import annotations

from pathlib import Path

import click

from gpuaccept.cli.output import Directory, safe


@click.command()
@click.option(
    "--out", type=Directory(path_type=Path), default=Path("demo"), show_default=True, help="Result directory."
)
@click.option("--fault", "faults", multiple=True, metavar="NAME[:key=value,…]", help="Simulate a fault.")
def demo(out: Path, faults: tuple[str, ...]) -> int:
    """Accept a simulated node, from start to verified certificate."""
    from gpuaccept import acceptance, verify
    from gpuaccept.certificate import text
    from gpuaccept.cli import progress
    from gpuaccept.device.open import DeviceSpec
    from gpuaccept.errors import UsageError
    from gpuaccept.profile.load import load_profile

    if out.is_dir() and any(out.iterdir()):
        raise UsageError(f"--out {out}: is not empty", "name a directory that is new or empty")
    what = "tested against" if faults else "accepted by"
    click.echo(f"A simulated HGX B200 is {what} the profile de-industrial-ai-cloud. Nothing here is a real GPU.\n")
    request = acceptance.Request(
        profile=load_profile("de-industrial-ai-cloud"),
        spec=DeviceSpec(device="mock:hgx-b200", seed=0, faults=faults),
        out=out,
    )
    watching = progress.observer(quiet=False)
    try:
        accepted = acceptance.run_node(request, observer=watching)
    finally:
        progress.close(watching)
    click.echo(text.summary(accepted.statement).rstrip())
    page = out / "certificate.html"
    checked = verify.verify_path(page, integrity_only=True, allow_simulated=True)
    click.echo(f"\nverified     {'yes' if checked.valid else 'NO: ' + '; '.join(checked.problems)}")
    click.echo(f"certificate  {safe(str(page))}   (open it in a browser)")
    click.echo(f"record       {safe(str(out / 'record.json'))}")
    click.echo(f"check it     gpuaccept verify --integrity-only --allow-simulated {safe(str(page))}")
    click.echo("a fault      gpuaccept demo --out demo-faulty --fault hbm_bandwidth_low:gpu=3")
    return accepted.exit_code if checked.valid else checked.exit_code
