"""`gpuaccept profile`: what is required, where each value came from, and whether it makes sense.

What is made from records, `learn` and `fit`, stands in `profile_from_records.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuaccept.cli.output import duration, emit, format_option, safe
from gpuaccept.cli.profile_from_records import fit, learn

if TYPE_CHECKING:
    from gpuaccept.data import Profile
    from gpuaccept.run.loading import LoadedCheck

_checks_option = click.option(
    "--checks",
    "checks_dir",
    type=click.Path(path_type=Path),
    help="A directory with the site's own checks, whose metrics a profile may limit.",
)


@click.group()
def profile() -> None:
    """List, show, check and compare profiles."""


@profile.command("list")
@format_option
def list_profiles(output: str) -> None:
    """List the profiles that come with gpuaccept."""
    from gpuaccept.profile.load import load_profile, names
    from gpuaccept.run.loading import load_checks

    checks = load_checks()
    rows = []
    for name in names():
        one = load_profile(name).profile
        limits = [limit for cohort in one.cohorts for limit in cohort.limits]
        required = sum(limit.effect == "require" for limit in limits)
        seconds: dict[str, float] = {}
        for plans in _seconds(one, checks).values():
            seconds = {plan: max(plans.get(plan, 0.0), seconds.get(plan, 0.0)) for plan in {**seconds, **plans}}
        rows.append((name, one.title, [c.name for c in one.cohorts], required, len(limits), seconds))
    if output == "json":
        keys = ("name", "title", "cohorts", "required", "limits", "seconds")
        emit("profile list", {"profiles": [dict(zip(keys, row, strict=True)) for row in rows]})
        return
    width = max(len(row[0]) for row in rows)
    for name, title, cohorts, required, limits_, seconds in rows:
        click.echo(f"{name:{width}}  {title}: {', '.join(cohorts)}; {required} of {limits_} limits are required")
        click.echo(f"{'':{width}}  {_plans(seconds)}")


@profile.command("show")
@click.argument("name")
@format_option
def show(name: str, output: str) -> None:
    """Show a profile (NAME or FILE) as it is applied: every layer merged, each value with where it came from."""
    import msgspec

    from gpuaccept.profile.digest import digest
    from gpuaccept.profile.load import load_profile
    from gpuaccept.profile.show import origins, text
    from gpuaccept.run.loading import load_checks

    loaded = load_profile(name)
    seconds = _seconds(loaded.profile, load_checks())
    if output == "json":
        body = {
            "profile": msgspec.to_builtins(loaded.profile),
            "digest": digest(loaded.profile),
            "layers": msgspec.to_builtins(loaded.layers),
            "origins": origins(loaded),
            "seconds": seconds,
        }
        emit("profile show", body)
        return
    click.echo(f"# digest sha256:{digest(loaded.profile)}")
    for layer in loaded.layers:
        click.echo(f"# layer {safe(layer.name)} sha256:{layer.sha256}")
    for cohort, plans in seconds.items():
        click.echo(f"# {safe(cohort)}: {safe(_plans(plans))}")
    click.echo("\n".join(safe(line) for line in text(loaded)))


@profile.command("check")
@click.argument("files", nargs=-1, required=True)
@_checks_option
@format_option
def check(files: tuple[str, ...], checks_dir: Path | None, output: str) -> None:
    """Check profiles (NAME or FILE): form, layers, limits and plans; exit code 2 where something is wrong."""
    import msgspec

    from gpuaccept.errors import EXIT_USAGE, Problem, ProfileError
    from gpuaccept.profile.digest import digest
    from gpuaccept.profile.lint import lint
    from gpuaccept.profile.load import load_profile
    from gpuaccept.run.loading import declarations, load_checks

    checks = load_checks(checks_dir)
    declared = declarations(checks)
    parameters = {name: one.check.parameters for name, one in checks.items()}
    problems: list[Problem] = []
    rows = []
    for file in files:
        row: dict[str, object] = {"file": file}
        try:
            loaded = load_profile(file)
            found = lint(loaded, declared, parameters)
            row |= {"name": loaded.profile.name, "digest": digest(loaded.profile)}
        except ProfileError as error:
            found = error.problems
        problems += found
        rows.append({**row, "ok": not found, "problems": [problem._asdict() for problem in found]})
        if not found and output == "text":
            limits = sum(len(cohort.limits) for cohort in loaded.profile.cohorts)
            cohorts = ", ".join(cohort.name for cohort in loaded.profile.cohorts)
            click.echo(f"{safe(file)}: ok, {limits} limits ({cohorts}), sha256:{digest(loaded.profile)}")
    if output == "json":
        emit("profile check", {"ok": not problems, "profiles": msgspec.to_builtins(rows)})
        if problems:
            click.get_current_context().exit(EXIT_USAGE)
    elif problems:
        raise ProfileError(tuple(problems))


@profile.command("schema")
@click.option("--resolved", is_flag=True, help="Of a resolved profile, instead of the files that people write.")
def schema(resolved: bool) -> None:
    """Print the JSON Schema of profile files, for editors and other programs."""
    import json

    from gpuaccept.profile import schema as schemas

    click.echo(json.dumps(schemas.resolved() if resolved else schemas.authored(), indent=2, ensure_ascii=False))


@profile.command("diff")
@click.argument("before")
@click.argument("after")
@format_option
def diff(before: str, after: str, output: str) -> None:
    """Say what differs between two profiles (NAME or FILE): limits, metrics, plans and the rest."""
    import msgspec

    from gpuaccept.profile.diff import compare
    from gpuaccept.profile.load import load_profile

    changes = compare(load_profile(before).profile, load_profile(after).profile)
    if output == "json":
        emit("profile diff", {"changes": msgspec.to_builtins(changes)})
        return
    for change in changes:
        if change.change == "changed":
            click.echo(safe(f"~ {change.path}: {_short(change.before)} → {_short(change.after)}"))
        elif change.change == "added":
            click.echo(safe(f"+ {change.path}: {_short(change.after)}"))
        else:
            click.echo(safe(f"- {change.path}: {_short(change.before)}"))
    if not changes:
        click.echo("no difference")


profile.add_command(learn)
profile.add_command(fit)


def _seconds(profile: Profile, checks: dict[str, LoadedCheck]) -> dict[str, dict[str, float]]:
    """By cohort and plan, how long its hardware is measured; a plan with checks of a site is left out."""
    from gpuaccept.errors import UsageError
    from gpuaccept.run.plan import estimate_s, make_plan

    found: dict[str, dict[str, float]] = {}
    for cohort in profile.cohorts:
        of = found.setdefault(cohort.name, {})
        for name in cohort.plans:
            try:
                of[name] = round(estimate_s(make_plan(profile, cohort, name, checks), checks, cohort.gpus), 1)
            except UsageError:
                continue
    return found


def _plans(seconds: dict[str, float]) -> str:
    return "plans " + ", ".join(f"{plan} (about {duration(of)})" for plan, of in seconds.items())


def _short(value: object) -> str:
    """A value in one line: of a limit, what it requires; of anything else, compact JSON, cut at 160 characters."""
    import msgspec

    if isinstance(value, dict) and "metric" in value and "effect" in value:
        bounds = {k: v for k, v in value.items() if k in _BOUNDS and v is not None and v is not False}
        said = ", ".join(k if v is True else f"{k} {_short(v)}" for k, v in bounds.items())
        return f"{value['metric']} {said} {value['unit']}".rstrip() + f" ({value['effect']})"
    if isinstance(value, str):
        return value or "nothing"
    if isinstance(value, float):
        return f"{value:.12g}"
    line = msgspec.json.encode(value).decode()
    return line if len(line) <= 160 else f"{line[:159]}…"


_BOUNDS = ("minimum", "maximum", "equals", "one_of", "uniform", "unique", "max_deviation", "matrix")
