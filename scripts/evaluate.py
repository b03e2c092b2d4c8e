"""`make evaluate`: how often good nodes are sent back and faults are found, in simulation; writes the reference page.

Usage: evaluate.py [NODES]   (default 2000 good nodes; about 5 minutes on two cores)
"""

from __future__ import annotations

import math
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

from gpuaccept import __version__
from gpuaccept.device.open import faults
from gpuaccept.evaluation import names_the_part, run, smallest_severity
from gpuaccept.profile.digest import digest
from gpuaccept.profile.load import load_profile

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reference" / "evaluation.md"
PROFILE, DEVICE = "de-industrial-ai-cloud", "mock:hgx-b200"
SEEDS = 20
"""Of each fault at each severity."""


class Good(NamedTuple):
    """One good node: what was decided, and in how many looks."""

    decision: str
    looks: int
    reasons: tuple[str, ...]


class Found(NamedTuple):
    """One faulty node."""

    decision: str
    part: bool


def good(seed: int) -> Good:
    """Judge one good node."""
    trial = run(load_profile(PROFILE), DEVICE, seed)
    titles = tuple(f"{finding.limit}: {finding.title}" for finding in trial.judgement.findings)
    return Good(trial.judgement.decision, trial.looks, titles)


def faulty(asked: tuple[str, str, int]) -> Found:
    """Judge one node with a fault."""
    name, text, seed = asked
    fault = next(one for one in faults() if one.name == name)
    trial = run(load_profile(PROFILE), DEVICE, seed, (text,))
    named = names_the_part(fault, trial.leading, DEVICE, dict(fault.defaults))
    return Found(trial.judgement.decision, named)


def interval(successes: int, trials: int) -> str:
    """Rate with its 95 % Wilson interval, percent."""
    z, p = 1.96, successes / trials
    middle = (p + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * math.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials)) / (1 + z * z / trials)
    return f"{100 * p:.2f} % ({100 * max(0.0, middle - half):.2f}–{100 * min(1.0, middle + half):.2f})"


def main() -> None:
    """Run everything and write the page."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    profile = load_profile(PROFILE)
    cohort = profile.profile.cohorts[0]
    out = [
        "# Evaluation, in simulation",
        "",
        "Written by `make evaluate`. Every rate here is **in simulation**: it holds for the parameters declared",
        f"in `profiles/scenarios/hgx-b200.yaml`, profile `{PROFILE}` (`{digest(profile.profile)[:16]}…`), plan",
        f"`acceptance`, gpuaccept {__version__}. No card has confirmed any of it. Noise is heavy-tailed (Student t,",
        "ν = 4) from repeat to repeat and from visit to visit, and normal from GPU to GPU.",
        "",
    ]
    with ProcessPoolExecutor() as pool:
        trials = list(pool.map(good, range(1, nodes + 1), chunksize=20))
        accepted = sum(trial.decision == "accepted" for trial in trials)
        rejected = sum(trial.decision == "rejected" for trial in trials)
        again = sum(trial.looks > 1 for trial in trials)
        out += [
            f"## {nodes} good nodes",
            "",
            "| outcome | nodes | rate and 95 % interval |",
            "|---|---|---|",
            f"| accepted | {accepted} | {interval(accepted, nodes)} |",
            f"| rejected | {rejected} | {interval(rejected, nodes)} |",
            f"| not decided | {nodes - accepted - rejected} | {interval(nodes - accepted - rejected, nodes)} |",
            f"| needed a second or third look | {again} | {interval(again, nodes)} |",
            "",
        ]
        reasons = sorted({reason for trial in trials for reason in trial.reasons})
        out += [*(f"- {reason}" for reason in reasons), ""] if reasons else []
        out += [
            "## Faults",
            "",
            "*Smallest*: the least severity that the profile's limits must reject (`gpuaccept.evaluation`), over all",
            f"limits, deviation rules included. {SEEDS} seeds each. *Found*: not accepted; *part*: the leading finding",
            "names the GPU, link, slot or node at fault.",
            "",
            "| fault | smallest | found at default | part | found at 1.2 × | part | failed at 0.5 × |",
            "|---|---|---|---|---|---|---|",
        ]
        for fault in faults():
            smallest = smallest_severity(fault, cohort, DEVICE)

            def at(text: str, name: str = fault.name) -> list[Found]:
                return list(pool.map(faulty, [(name, text, seed) for seed in range(1, SEEDS + 1)]))

            cells = [f"`{fault.name}`", f"{fault.severity_key} {smallest:.4g}" if smallest else "–"]
            asked = [fault.name]
            if smallest:
                asked += [f"{fault.name}:{fault.severity_key}={factor * smallest:.6f}" for factor in (1.2, 0.5)]
            for number, text in enumerate(asked):
                found = at(text)
                if number < 2:
                    cells += [f"{sum(one.decision != 'accepted' for one in found)} of {SEEDS}"]
                    cells += [f"{sum(one.part for one in found)} of {SEEDS}"]
                else:
                    cells += [f"{sum(one.decision == 'rejected' for one in found)} of {SEEDS}"]
            out.append("| " + " | ".join([*cells, *["–"] * (7 - len(cells))]) + " |")
            print(out[-1], flush=True)
    PAGE.write_text("\n".join([*out, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
