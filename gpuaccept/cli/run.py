"""`gpuaccept run`: the main job. Measure this node, judge it, sign the record, render the certificate."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from gpuaccept.cli.output import Directory, emit, format_option, safe, say, seconds

if TYPE_CHECKING:
    from gpuaccept.ambient import Ambient
    from gpuaccept.errors import Interrupted
    from gpuaccept.run.clock import Clock


@click.command()
@click.option("--profile", "profile_name", required=True, metavar="NAME|FILE", help="Limits to judge by.")
@click.option(
    "--device",
    default="nvidia",
    show_default=True,
    metavar="nvidia|mock:NAME|mock:PATH|replay:RECORD",
    help="What to measure, or to judge again.",
)
@click.option("--plan", help="One of the profile's plans  [default: acceptance; of a replay, the record's]")
@click.option("--only", multiple=True, metavar="CHECK", help="Only this check (repeatable); the rest is not measured.")
@click.option("--skip", multiple=True, metavar="CHECK", help="Leave this check out (repeatable).")
@click.option("--fault", "faults", multiple=True, metavar="NAME[:key=value,…]", help="Simulate a fault (mock only).")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=None, help="Of the simulation (mock only).")
@click.option("--real-time", is_flag=True, help="Play the simulation at the pace of real time (mock only).")
@click.option("--out", type=Directory(path_type=Path), help="Result directory  [default: gpuaccept-NODE-TIME]")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[DIR]",
    help="Go on with a run that was cut short, in this directory or in --out: the same command, with its journal.",
)
@click.option("--force-busy", is_flag=True, help="Measure although others compute on the GPUs; the record says so.")
@click.option("--deadline", metavar="DURATION", help="End in this time with what was measured: 20s, 30m, 2h.")
@click.option("--key", type=click.Path(path_type=Path), help="Sign with this key instead of the node's own.")
@click.option("--checks", "checks_dir", type=click.Path(path_type=Path), help="A directory with the site's own checks.")
@click.option("--quiet", is_flag=True, help="No progress; the answer only.")
@format_option
def run(
    profile_name: str,
    device: str,
    plan: str | None,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    faults: tuple[str, ...],
    seed: int | None,
    real_time: bool,
    out: Path | None,
    resume: str | None,
    force_busy: bool,
    deadline: str | None,
    key: Path | None,
    checks_dir: Path | None,
    quiet: bool,
    output: str,
) -> int:
    """Measure this node, judge it, and issue a signed record and certificate.

    With replay:RECORD nothing is measured: the samples of an earlier record are judged by the profile, as a simulated
    run.

    Exit codes: 0 accepted, 5 rejected, 3 not decided, 2 usage or profile error, 4 the record of a replay is not valid,
    130 interrupted.
    """
    from gpuaccept import acceptance
    from gpuaccept.ambient import Ambient
    from gpuaccept.certificate import text
    from gpuaccept.cli import progress
    from gpuaccept.device.open import DeviceSpec
    from gpuaccept.errors import UsageError
    from gpuaccept.profile.load import load_profile
    from gpuaccept.run.clock import Clock

    if not device.startswith("mock:"):
        for given, option in ((faults, "--fault"), (seed is not None, "--seed"), (real_time, "--real-time")):
            if given:
                raise UsageError(f"{option} is for simulated devices", "add --device mock:hgx-b200")
    ambient = Ambient()
    request = acceptance.Request(
        profile=load_profile(profile_name),
        spec=DeviceSpec(device=device, seed=seed or 0, faults=faults, real_time=real_time),
        plan=plan or ("" if device.startswith("replay:") else "acceptance"),
        only=only,
        skip=skip,
        out=_resumed(resume, out) or Path(f"gpuaccept-{_node_name(device, ambient)}-{ambient.utc().replace(':', '')}"),
        deadline_s=seconds(deadline, "--deadline") if deadline is not None else None,
        checks_dir=checks_dir,
        key=key,
        resume=resume is not None,
        force_busy=force_busy,
    )
    clock = Clock(ambient, request.deadline_s)
    out = request.out
    assert out is not None
    _stop_on_signals(clock)
    watching = progress.observer(quiet)
    try:
        accepted = acceptance.run_node(request, ambient, watching, clock)
    except KeyboardInterrupt:
        raise _stopped_twice(out) from None
    finally:
        progress.close(watching)

    def answer() -> None:
        if output == "json":
            import msgspec

            summary = msgspec.json.decode(text.summary_json(accepted.statement))
            emit("run", {**summary, "exit_code": accepted.exit_code, "out": str(out), "notes": accepted.notes})
            return
        click.echo(text.summary(accepted.statement).rstrip())
        if accepted.notes:
            click.echo("\n" + "\n".join(f"note         {safe(note)}" for note in accepted.notes))
        click.echo(f"\nrecord       {safe(str(out / 'record.json'))}")
        click.echo(f"certificate  {safe(str(out / 'certificate.html'))}")

    say(answer, f"the run is complete: its record is {out / 'record.json'}")
    return accepted.exit_code


def _resumed(resume: str | None, out: Path | None) -> Path | None:
    """The result directory: `--resume DIR` says in one what `--out DIR --resume` says in two."""
    from gpuaccept.errors import UsageError

    if resume and out is not None and Path(resume) != out:
        raise UsageError(f"--resume {safe(resume)} and --out {safe(str(out))} differ", "name one directory")
    if resume == "" and out is None:
        raise UsageError("--resume: which run?", "name its directory: --resume DIR")
    return Path(resume) if resume else out


def _node_name(device: str, ambient: Ambient) -> str:
    if device.startswith("replay:"):
        return "replay"
    name = Path(device.removeprefix("mock:")).stem if device.startswith("mock:") else ambient.hostname()
    return "".join(char if char.isalnum() or char in "-_" else "-" for char in name)[:60] or "node"


def _stop_on_signals(clock: Clock) -> None:
    """Ctrl-C, SIGTERM and a terminal that goes away end the run with a readable record; a second Ctrl-C without.

    Under nohup SIGHUP is ignored, and stays so. Where a terminal goes, both the kernel and the shell send it: a second
    SIGHUP asks for nothing more than the first.
    """
    began = time.monotonic()
    names = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP (its terminal went away)"}

    def stop(number: int, frame: FrameType | None) -> None:
        if not clock.asked:
            clock.stop(f"stopped by {names[signal.Signals(number)]} after {time.monotonic() - began:.0f} s")
        elif number != signal.SIGHUP:
            for one in names:  # a third must not come between ending and saying so
                signal.signal(one, signal.SIG_IGN)
            raise KeyboardInterrupt

    for number in names:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


def _stopped_twice(out: Path) -> Interrupted:
    """What is left of a run that nobody let conclude."""
    from gpuaccept.errors import Interrupted
    from gpuaccept.run.resume import JOURNAL

    journal = out / JOURNAL
    if not journal.exists():
        return Interrupted("interrupted", "nothing was measured")
    return Interrupted(
        "interrupted before there was a record",
        f"what was measured is in {journal}; the same command with --resume {out} goes on from there",
    )
