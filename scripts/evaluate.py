"""`make evaluate`: how often good nodes are sent back and faults are found, in simulation; writes the reference page.

Stop it whenever you like (Ctrl-C): the same command goes on where it was, and the page is of what there is. Beside the
page lies every result that it rests on; a fresh clone goes on from there.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import fields
from pathlib import Path

from gpuaccept.device.open import DeviceSpec, model
from gpuaccept.errors import GpuacceptError
from gpuaccept.evaluation import campaign, page, results, sections
from gpuaccept.profile.digest import digest
from gpuaccept.profile.load import load_profile
from gpuaccept.run.loading import load_checks
from gpuaccept.run.plan import estimate_s, make_plan

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "evaluation.md"
PUBLISHED = ".jsonl.xz"
"""Suffix of the file of results beside a page."""


def arguments(given: list[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--form", choices=campaign.FORMS, default="short", help="sizes (default: short)")
    parser.add_argument("--profile", default="", help="default: de-industrial-ai-cloud; of scenarios, their hardware's")
    parser.add_argument("--model", default="hgx-b200", help="simulated hardware (default: hgx-b200)")
    parser.add_argument("--scenarios", type=Path, metavar="DIR", help="run the scenario files of DIR instead; print")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the page goes")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "evaluation", help="results and varied scenarios")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="default: as many as cores")
    parser.add_argument("--minutes", type=float, help="stop after so long; go on with the same command")
    parser.add_argument(
        "--only", action="append", choices=campaign.GROUPS, help="simulate these groups only; repeat it"
    )
    for field in fields(campaign.Sizes):
        if field.name != "losses":
            option = "--" + field.name.replace("_", "-")
            parser.add_argument(option, type=int, metavar="N", help=f"nodes (default: the form's); {field.name}")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Simulate, and write the page."""
    asked = arguments(given)
    names = [field.name for field in fields(campaign.Sizes) if field.name != "losses"]
    sizes = campaign.scaled_to(campaign.FORMS[asked.form], **{name: getattr(asked, name) for name in names})
    profile = asked.profile or "de-industrial-ai-cloud"
    if asked.scenarios:
        made = campaign.scenarios(sizes, asked.scenarios, asked.profile)
    else:
        made = campaign.campaign(sizes, profile, asked.model, asked.work / "scenarios")
    tasks, counted, began = campaign.interleaved(made.tasks), [0, 0], time.monotonic()

    def progress(done: int, all_: int) -> None:
        counted[0] = counted[0] or done + 1
        counted[1] = done
        if sys.stderr.isatty() or done % 50 == 0 or done == all_:
            print(f"\r{done} of {all_}", end="" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)

    if asked.only:
        tasks = [task for task in tasks if task.group in asked.only]
    stop = asked.minutes * 60 if asked.minutes is not None else None
    program = results.program_digest()
    results.adopt(asked.page.with_suffix(PUBLISHED), asked.work / "results.jsonl", asked.work / "scenarios")
    interrupted = False
    try:
        results.evaluate(tasks, asked.work / "results.jsonl", asked.processes, stop, progress, program)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the page is written first: a second Ctrl-C can wait for seconds
        interrupted = True
    wanted = {task.key for task in made.tasks}
    found = {key: one for key, one in results.read(asked.work / "results.jsonl", program).items() if key in wanted}
    fresh = max(0, counted[1] - counted[0] + 1)
    pace = f"{fresh / (time.monotonic() - began):.1f} in {asked.processes} processes, beside whatever else ran"
    speed = pace if fresh > 20 else ""
    if asked.scenarios:
        done = [sections.Done(task, found[task.key]) for task in made.tasks if task.key in found]
        print("\n".join(["Every rate is in simulation.", "", *sections.scenario_lines(done)]))
        for one in done:
            if one.result.broke:
                print(f"- {one.task.label}, {one.task.plan}, seed {one.task.seed}: {one.result.broke}")
    else:
        about = page.About(
            profile=profile,
            profile_digest=digest(load_profile(profile).profile),
            model=asked.model,
            program=program,
            minutes=plan_minutes(profile, asked.model),
            form=asked.form,
            speed=speed,
        )
        asked.page.write_text(page.page(made, found, about), encoding="utf-8")
        results.publish(asked.page.with_suffix(PUBLISHED), program, found, asked.work / "scenarios")
        print(f"{len(found)} of {len(made.tasks)} trials; {asked.page}")
    return 130 if interrupted else 0


def plan_minutes(profile: str, name: str) -> dict[str, float]:
    """Estimated minutes of each plan that the evaluation uses."""
    loaded, cohort, checks = load_profile(profile).profile, campaign.cohort_for(profile, name), load_checks()
    gpus = model(DeviceSpec(device=f"mock:{name}")).gpus
    plans = [plan for plan in campaign.PLANS if plan in cohort.plans]
    return {plan: estimate_s(make_plan(loaded, cohort, plan, checks), checks, gpus) / 60 for plan in plans}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except GpuacceptError as problem:
        sys.exit(f"{problem}")
