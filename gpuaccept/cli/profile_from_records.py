"""`gpuaccept profile learn` and `gpuaccept profile fit`: limits and simulated hardware from records."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuaccept.cli.output import emit, format_option, safe

if TYPE_CHECKING:
    from gpuaccept.profile.load import LoadedProfile

_records = click.argument("records", nargs=-1, required=True, metavar="RECORD...", type=click.Path(path_type=Path))
_out = click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Write here instead of to stdout.")


@click.command()
@_records
@click.option("--profile", "profile_name", required=True, metavar="NAME|FILE", help="The profile that is built upon.")
@click.option(
    "--lot", "lots", multiple=True, metavar="NAME=GLOB", help="Records of a lot, by their paths (repeatable)."
)
@click.option("--trust", type=click.Path(path_type=Path), help="The buyer's file of trusted keys.")
@click.option("--integrity-only", is_flag=True, help="Don't ask who signed the records.")
@click.option("--allow-simulated", is_flag=True, help="Don't refuse simulated records; what comes out is for trials.")
@click.option(
    "--share",
    type=click.FloatRange(0.5, 1.0, max_open=True),
    default=0.999999,
    show_default=True,
    help="Of good nodes that each limit passes.",
)
@click.option(
    "--confidence",
    type=click.FloatRange(0.5, 0.9999),
    default=0.95,
    show_default=True,
    help="That the limit does so.",
)
@click.option(
    "--slot-share",
    type=click.FloatRange(0.5, 1.0, max_open=True),
    default=0.999,
    show_default=True,
    help="Of good GPUs in a slot that its limit on heat passes; it only observes.",
)
@click.option("--name", help="Of the new profile  [default: the profile's, with -learned]")
@click.option("--checks", "checks_dir", type=click.Path(path_type=Path), help="A directory with the site's own checks.")
@_out
@format_option
def learn(
    records: tuple[Path, ...],
    profile_name: str,
    lots: tuple[str, ...],
    trust: Path | None,
    integrity_only: bool,
    allow_simulated: bool,
    share: float,
    confidence: float,
    slot_share: float,
    name: str | None,
    checks_dir: Path | None,
    out: Path | None,
    output: str,
) -> int:
    """Propose limits from records of 20 good nodes or more, of 2 lots or more.

    Writes a profile that extends the one named: floors and ceilings of what is measured, as tolerance limits
    (ISO 16269-6) that hold for all lots, bound to driver and power limit, and never looser than those that are there.
    Heat under load is compared with the same slot of the other nodes.
    """
    from gpuaccept.data import Profile
    from gpuaccept.errors import ProfileError
    from gpuaccept.learn import Lot, as_object, good_records, report, yaml_of
    from gpuaccept.learn import learn as learn_from
    from gpuaccept.learn.propose import applied
    from gpuaccept.profile.lint import lint
    from gpuaccept.profile.load import LoadedProfile, load_profile
    from gpuaccept.run.loading import declarations, load_checks

    loaded = load_profile(profile_name)
    named = [Lot(*_pair(lot)) for lot in lots]
    checks = load_checks(checks_dir)
    declared = declarations(checks)
    _writable(out)
    good = good_records(records, named, trust=trust, integrity_only=integrity_only, allow_simulated=allow_simulated)
    found = learn_from(loaded.profile, good, declared, share, confidence, slot_share)
    changed: Profile = applied(loaded.profile, found)
    parameters = {key: one.check.parameters for key, one in checks.items()}
    if problems := lint(LoadedProfile(changed, loaded.layers, {}), declared, parameters):
        raise ProfileError(problems)
    text = yaml_of(
        found,
        name=_name(name or f"{loaded.profile.name}-learned"),
        title=f"{loaded.profile.title}; limits learned from {len(good)} nodes",
        extends=_extends(profile_name, out),
        kind=_kind(loaded, profile_name),
    )
    if out is not None:
        _write(out, text)
    if output == "json":
        emit("profile learn", {**as_object(found), "out": str(out) if out is not None else None, "profile": text})
    elif out is None:
        click.echo(text, nl=False)
    else:
        for line in report(found):
            click.echo(safe(line))
        click.echo(f"\nprofile      {safe(str(out))}")
    return 0


def _pair(lot: str) -> tuple[str, str]:
    from gpuaccept.errors import UsageError

    name, equals, pattern = lot.partition("=")
    if not (name and equals and pattern) or len(name) > 40 or not name.isprintable():
        raise UsageError(f"--lot {lot}: not NAME=GLOB", "for example --lot 2026-03='records/2026-03/*'")
    return name, pattern


def _name(name: str) -> str:
    import msgspec

    from gpuaccept.data import Name
    from gpuaccept.errors import UsageError

    try:
        return msgspec.convert(name, type=Name)
    except msgspec.ValidationError:
        raise UsageError(f"--name {name}: not a name", "letters, digits, - _ and . are allowed") from None


def _extends(name: str, out: Path | None) -> str:
    """How the new file names the profile: a path is relative to the file that extends it."""
    if "/" not in name and not name.endswith(".yaml"):
        return name
    relative = os.path.relpath(name, out.parent if out is not None else Path())
    return relative if "/" in relative else f"./{relative}"


def _kind(loaded: LoadedProfile, name: str) -> str:
    """Of the file that is extended: a hardware profile is extended by one, a site by a site."""
    from gpuaccept.profile.layers import find
    from gpuaccept.reading.yaml import MappingNode, parse_bytes, read_bytes

    source = find(name)
    root = parse_bytes(read_bytes(source.path, source.shown), source.shown)
    assert isinstance(root, MappingNode)
    return root.text("kind") or "hardware"


def _writable(out: Path | None) -> None:
    """Before anything is computed. Raises UsageError where the file is there, or can't be made."""
    from gpuaccept.errors import UsageError

    if out is None:
        return
    if out.exists():
        raise UsageError(f"--out {out}: is there already", "name a new file")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise UsageError(f"--out {out}: can't be made", "name a file in a directory that can be written")


def _write(out: Path, text: str) -> None:
    from gpuaccept.errors import UsageError

    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--out {out}: {error.strerror}", "name a file that can be written") from error


@click.command()
@_records
@click.option("--base", metavar="NAME", help="Model for all that can't be fitted  [default: that of the same GPUs]")
@click.option("--name", help="Of the new model  [default: the base's, with -fitted]")
@_out
def fit(records: tuple[Path, ...], base: str | None, name: str | None, out: Path | None) -> int:
    """Turn records of healthy nodes into a simulated node that agrees with them.

    Writes a hardware model for `--device mock:FILE`: its medians, and its scatter from repeat to repeat, visit to
    visit, GPU to GPU and node to node, are those of the records; what they don't tell is the base model's.
    """
    from gpuaccept.fit import fit as fit_to
    from gpuaccept.fit import read_captures, yaml_of

    _writable(out)
    found = fit_to(read_captures(records), base)
    text = yaml_of(found, _name(name or f"{found.base}-fitted"))
    if out is None:
        click.echo(text, nl=False)
        return 0
    _write(out, text)
    for one in found.agreement:
        click.echo(f"{one.metric}: {one.captured:.6g} captured, {one.simulated:.6g} simulated")
    for line in found.not_fitted:
        click.echo(safe(f"not fitted   {line}"))
    click.echo(f"\nmodel        {safe(str(out))}")
    return 0
