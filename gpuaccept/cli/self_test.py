"""`gpuaccept checks matrix` and `checks prove`: whether the checks find what they must, tried in simulation."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gpuaccept.cli.output import emit, format_option, safe, say

if TYPE_CHECKING:
    from gpuaccept.matrix import Matrix
    from gpuaccept.proof import Cell, Shown

CAUGHT, UNMEASURED, FOLLOWS = "X", "o", "-"


@click.command()
@click.option("--run", "run_now", is_flag=True, help="Try all faults now, in about a minute, and store nothing.")
@format_option
def matrix(run_now: bool, output: str) -> None:
    """Show which checks catch which fault, from a run of all faults on simulated nodes.

    The result that comes with gpuaccept is shown only where it was made with these checks and profiles. A site's own
    checks are tried by `gpuaccept checks prove`.
    """
    from gpuaccept import matrix as made
    from gpuaccept.device.open import faults
    from gpuaccept.run.loading import load_checks

    checks = load_checks()
    if run_now:
        rows = []
        for number, fault in enumerate(faults(), 1):
            _progress(number, len(faults()), fault.name)
            rows.append(made.try_one(fault))
        found = made.whole(tuple(rows), checks)
    else:
        found = made.fitting(checks)
    _show_matrix(found, list(checks), "made now" if run_now else "stored", output)


def _show_matrix(found: Matrix, checks: list[str], how: str, output: str) -> None:
    from gpuaccept.device.open import faults

    shown = {row.fault: row for row in found.rows}
    if output == "json":
        rows = [
            {
                "fault": fault.name,
                "summary": fault.summary,
                "verdict": fault.verdict,
                "cause": fault.cause,
                "action": fault.action,
                "keys": fault.defaults,
                "device": shown[fault.name].device,
                "detected_by": shown[fault.name].caught_by,
                "measured": shown[fault.name].measured,
                "follows": shown[fault.name].follows,
            }
            for fault in faults()
        ]
        about = {"gpuaccept_version": found.gpuaccept_version, "plan": found.plan, "seed": found.seed}
        emit("checks matrix", {**about, "digest": found.digest, "made": how, "faults": rows})
        return
    for fault in faults():
        keys = ",".join(f"{key}={value}" for key, value in fault.defaults.items())
        click.echo(fault.name + (f":{keys}" if keys else ""))
        click.echo(f"  {fault.summary}")
        click.echo(f"  expected {fault.verdict}, cause {fault.cause}, action: {fault.action}")
    click.echo(f"\nChecks x faults in simulation, each fault at its defaults, plan {found.plan}, seed {found.seed}")
    click.echo(f"{how}, gpuaccept {found.gpuaccept_version}, checks and profiles {found.digest[:12]}")
    click.echo(f"{CAUGHT} misses a limit by what it measured   {UNMEASURED} could not measure, and no limit is missed")
    click.echo(f"{FOLLOWS} not measured or not counted, since another check caught it\n")
    width = max(map(len, shown))
    for number, name in enumerate(checks):
        click.echo(" " * (width + 2) + "| " * number + name)
    for row in found.rows:
        click.echo(f"{row.fault:{width}}  " + " ".join(mark(row, name) for name in checks).rstrip())


def mark(row: Shown, check: str) -> str:
    """How a check stands to a fault, in one character."""
    if check in row.caught_by:
        return CAUGHT if row.measured else UNMEASURED
    return FOLLOWS if check in row.follows else " "


@click.command()
@click.option("--profile", "profile_name", required=True, metavar="NAME|FILE", help="Profile to judge by.")
@click.option("--plan", default="acceptance", show_default=True, help="Plan of the profile.")
@click.option("--checks", "checks_dir", type=click.Path(path_type=Path), help="A directory with the site's own checks.")
@click.option("--quiet", is_flag=True, help="No progress.")
@format_option
def prove(profile_name: str, plan: str, checks_dir: Path | None, quiet: bool, output: str) -> int:
    """Inject each check's faults into the mock of the profile's hardware, and see whether they are found.

    Profile, checks and engine are those of a real run; only the device is simulated, so this proves the logic and
    nothing about any hardware.

    A fault for which the profile has no limit that decides is named, and no failure.

    Exit codes: 0 every other fault was found as the catalogue states and its part named, 3 one was not, 2 usage or
    profile error, 130 interrupted.
    """
    from gpuaccept.acceptance import Request, check_request
    from gpuaccept.device.open import DeviceSpec
    from gpuaccept.errors import EXIT_ACCEPTED, EXIT_NOT_DECIDED, UsageError
    from gpuaccept.profile.load import load_profile
    from gpuaccept.proof import cells, device_of, show
    from gpuaccept.run.loading import load_checks

    profile, checks = load_profile(profile_name), load_checks(checks_dir)
    spec = DeviceSpec(device=device_of(profile.profile.cohorts[0]))
    check_request(Request(profile=profile, spec=spec, plan=plan, checks_dir=checks_dir), checks)
    todo = cells(profile, plan, checks)
    if not todo.cells:
        raise UsageError(f"--plan {plan}: no check in it detects a fault that its hardware can have")
    rows: list[tuple[Cell, Shown]] = []
    for number, cell in enumerate(todo.cells, 1):
        if not quiet:
            _progress(number, len(todo.cells), f"{cell.fault.name} on {cell.device}")
        rows.append((cell, show(profile, cell.fault, cell.device, plan, checks_dir)))
    passed = _passed(rows)

    def answer() -> None:
        if output == "json":
            _emit_proof(profile.profile.name, plan, rows, todo.not_in_plan, todo.silent)
        else:
            _show_proof(profile.profile.name, plan, rows, todo.not_in_plan, todo.silent)

    say(answer, "every fault was found" if passed else "not every fault was found")
    return EXIT_ACCEPTED if passed else EXIT_NOT_DECIDED


def _emit_proof(
    profile: str, plan: str, rows: Sequence[tuple[Cell, Shown]], not_in_plan: Sequence[str], silent: Sequence[str]
) -> None:
    entries = [
        {
            "fault": cell.fault.name,
            "device": cell.device,
            "found": cell.holds(shown),
            "expected": {"verdict": cell.fault.verdict, "cause": cell.fault.cause, "action": cell.fault.action},
            "got": {"verdict": shown.verdict, "cause": shown.cause, "action": shown.action},
            "has_limit": cell.judged,
            "part": shown.part,
            "part_named": shown.named,
            "decision": shown.decision,
            "title": shown.title,
            "caught_by": shown.caught_by,
            "own_checks": cell.own,
        }
        for cell, shown in rows
    ]
    body = {"profile": profile, "plan": plan, "simulated": True, "passed": _passed(rows)}
    apart = {"not_in_plan": not_in_plan, "without_limit": _without_limit(rows), "checks_without_fault": silent}
    emit("checks prove", {**body, "faults": entries, **apart})


def _passed(rows: Sequence[tuple[Cell, Shown]]) -> bool:
    """Whether all were found that the profile has a limit for, and that is more than none."""
    return any(cell.holds(shown) for cell, shown in rows) and all(
        cell.holds(shown) or cell.left_open(shown) for cell, shown in rows
    )


def _without_limit(rows: Sequence[tuple[Cell, Shown]]) -> list[str]:
    return [cell.fault.name for cell, shown in rows if cell.left_open(shown)]


def _show_proof(
    profile: str, plan: str, rows: Sequence[tuple[Cell, Shown]], not_in_plan: Sequence[str], silent: Sequence[str]
) -> None:
    click.echo(f"Logic self-test (simulated): profile {safe(profile)}, plan {safe(plan)}. No hardware was tested.\n")
    table = [("", "fault", "on", "expected", "got", "part named")]
    for cell, shown in rows:
        fault, found = cell.fault, cell.holds(shown)
        expected = f"{fault.verdict}, {fault.cause}, {fault.action}"
        got = f"{shown.verdict}, {shown.cause}, {shown.action}" if shown.cause else shown.title
        if cell.left_open(shown):
            kind = f" with `{fault.limit}`" if fault.limit else ""
            got = f"no limit in this profile: none on {'.'.join(fault.detects)}{kind} decides"
        part = shown.part if shown.named else "" if cell.left_open(shown) else f"no: {shown.part or 'none'}"
        device = cell.device.removeprefix("mock:")
        mark = "ok" if found else "--" if cell.left_open(shown) else "NO"
        table.append((mark, fault.name, device, expected, "as expected" if shown.expected else got, part))
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    for row in table:
        click.echo(safe("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()))
    for cell, shown in rows:
        if missing := sorted(set(cell.own) - set(shown.caught_by)):
            click.echo(safe(f"\n{', '.join(missing)} says that it detects {cell.fault.name}, and did not"))
    if not_in_plan:
        click.echo(f"\nnot tried, since this plan or hardware can't show them: {', '.join(not_in_plan)}")
    if silent:
        click.echo(safe(f"\nproven by no fault, since they say of none that they detect it: {', '.join(silent)}"))
    open_ = _without_limit(rows)
    if open_:
        click.echo(safe(f"\nno limit in this profile, so nothing decides on them: {', '.join(dict.fromkeys(open_))}"))
    count = sum(cell.holds(shown) for cell, shown in rows)
    click.echo(f"\n{count} of {len(rows) - len(open_)} found as expected, with the part named")
    if _passed(rows):
        click.echo("logic self-test (simulated) passed: it says nothing about any hardware")


def _progress(number: int, of: int, what: str) -> None:
    """Where it stands: one line that is written over on a terminal, lines elsewhere."""
    text = f"{number:3}/{of}  {what}"
    if sys.stderr.isatty():
        end = "\r\x1b[K" if number == of else ""
        print(f"\r\x1b[K{text}{end}", end="", file=sys.stderr, flush=True)
    elif number % 10 == 1 or number == of:
        print(text, file=sys.stderr, flush=True)
