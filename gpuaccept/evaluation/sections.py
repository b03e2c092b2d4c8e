"""The tables of the evaluation: from tasks and results to lines of Markdown, each rate with n and interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from gpuaccept.device.open import faults as known_faults
from gpuaccept.evaluation.campaign import ONSETS, OTHER_SHAPES, PLANS, SIGMAS
from gpuaccept.evaluation.rates import Rate, upper95
from gpuaccept.evaluation.trials import Result, Task

SHAPES = {
    "t3": "heavier tails: Student t with 3 degrees of freedom",
    "normal": "no tails: normal",
    "correlated": "repeats of a visit correlated by 0.8",
}
"""What each of `OTHER_SHAPES` is, in words."""


class Done(NamedTuple):
    """A task and what came out of it."""

    task: Task
    result: Result

    @property
    def found(self) -> bool:
        """Whether the node was kept from being accepted."""
        return self.result.decision != "accepted"

    @property
    def fault(self) -> str:
        """Name of the task's fault."""
        return self.task.faults[0].partition(":")[0] if self.task.faults else ""


def pick(done: Iterable[Done], group: str, **wanted: object) -> list[Done]:
    """Those of a group that have these values, and a verdict."""
    return [
        one
        for one in done
        if one.task.group == group
        and not one.result.broke
        and all(getattr(one.task, name) == value for name, value in wanted.items())
    ]


def rate(done: Sequence[Done], counts: Callable[[Done], bool]) -> Rate:
    """How many of these count."""
    return Rate(sum(map(counts, done)), len(done))


def bounded(done: Sequence[Done], counts: Callable[[Done], bool]) -> str:
    """A rate that should be small: how many of how many, and its one-sided upper 95 % bound."""
    if not done:
        return "none tried"
    return at_most(sum(map(counts, done)), len(done))


def at_most(number: int, of: int) -> str:
    """How many of how many, and the one-sided upper 95 % bound of the rate."""
    return f"{number} of {of}; at most {100 * upper95(number, of):.3g} %" if of else "none tried"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table; a line that says so where it has no rows."""
    lines = ["| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in rows]
    if not lines:
        return ["Nothing was tried in this run.", ""]
    return ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *lines, ""]


def rejected(one: Done) -> bool:
    """Rejected: on a good node, false."""
    return one.result.decision == "rejected"


def undecided(one: Done) -> bool:
    """Neither accepted nor rejected, after the last look."""
    return one.result.decision == "not decided"


def further(one: Done) -> bool:
    """Needed more than the plan."""
    return one.result.looks > 1


def good_nodes(done: Sequence[Done]) -> list[str]:
    """False rejects, not decided, further looks."""
    rows = []
    for plan in PLANS:
        nodes = pick(done, "healthy", plan=plan)
        if nodes:
            rows.append([plan, str(len(nodes)), *(bounded(nodes, what) for what in (rejected, undecided, further))])
    out = table(["plan", "good nodes", "rejected", "not decided", "further looks"], rows)
    reasons = Counter(one.result.finding for one in pick(done, "healthy") if one.result.finding)
    return out + [f"- {count} × {reason}" for reason, count in reasons.most_common(20)] + ([""] if reasons else [])


def recall(done: Sequence[Done], minutes: dict[str, float]) -> list[str]:
    """By area, severity and plan."""
    area = {fault.name: fault.detects[0] for fault in known_faults()}
    every = pick(done, "fault")
    heads = ["area", "severity", *(f"{plan}, {minutes[plan]:.1f} min" for plan in PLANS if plan in minutes)]
    out: list[str] = []
    for what, counts, base in (
        ("Found (not accepted)", lambda one: one.found, lambda one: True),
        ("Right part named, of those found", lambda one: one.result.named, lambda one: one.found),
    ):
        rows = []
        for name in (*sorted(set(area.values())), "all"):
            for label in ("default", "1.2 ×"):
                mine = [
                    one for one in every if one.task.label == label and name in ("all", area[one.fault]) and base(one)
                ]
                if mine:
                    cells = [rate([one for one in mine if one.task.plan == p], counts) for p in PLANS if p in minutes]
                    rows.append([name, label, *map(str, cells)])
        out += [f"**{what}**, in simulation: rate and 95 % interval.", "", *table(heads, rows)]
    half = [one for one in every if one.task.label == "0.5 ×"]
    rows = [
        [plan, bounded([one for one in half if one.task.plan == plan], rejected)] for plan in ("node", "acceptance")
    ]
    return [*out, "**Rejected at half of the smallest severity** (it should not be), in simulation.", "",
            *table(["plan", "rejected"], rows)]  # fmt: skip


def elsewhere(done: Sequence[Done]) -> list[str]:
    """Faults that the model can't have, on the one that can."""
    every = [one for one in pick(done, "fault") if one.task.label.startswith("on ")]
    if not every:
        return []
    rows = []
    for fault, label in sorted({(one.fault, one.task.label) for one in every}):
        mine = [one for one in every if (one.fault, one.task.label) == (fault, label)]
        for plan in PLANS:
            nodes = [one for one in mine if one.task.plan == plan]
            if nodes:
                found = [one for one in nodes if one.found]
                cells = [str(rate(nodes, lambda one: one.found)), str(rate(found, lambda one: one.result.named))]
                rows.append([f"`{fault}`", label, plan, *cells])
    return ["**On another model**, in simulation; not counted in the figures.", "",
            *table(["fault", "model", "plan", "found", "right part named, of those found"], rows)]  # fmt: skip


def misses(done: Sequence[Done]) -> list[str]:
    """Faults that were not found, or with the wrong part or cause; worst first."""
    groups: dict[tuple[str, str, str], list[Done]] = {}
    for one in pick(done, "fault"):
        if one.task.label != "0.5 ×" and one.task.plan != "quick":
            groups.setdefault((one.fault, one.task.label, one.task.plan), []).append(one)
    rows = []
    for (fault, label, plan), members in groups.items():
        lost = sum(not one.found for one in members)
        wrong = [one for one in members if one.found and not one.result.named]
        other = [one for one in members if one.found and one.result.named and not one.result.expected]
        if lost or wrong or other:
            shown = next((one.result for one in (*wrong, *other)), None)
            said = f"{shown.subject}: {shown.finding}" if shown else "–"
            order = (-lost / len(members), -len(wrong) / len(members), -len(other) / len(members), fault, plan)
            cells = [f"`{fault}`", label, plan, str(len(members)), str(lost), str(len(wrong)), str(len(other)), said]
            rows.append((order, cells))
    heads = ["fault", "severity", "plan", "nodes", "not found", "wrong part", "other verdict, cause or action", "said"]
    return table(heads, [cells for _, cells in sorted(rows)])


def onsets(done: Sequence[Done], minutes: dict[str, float]) -> list[str]:
    """Faults that come in mid-run: found and the right part named, by the moment at which they come."""
    every = pick(done, "onset")
    plans = [plan for plan in ("node", "acceptance") if plan in minutes]
    rows = []
    for onset in ONSETS:
        at = [one for one in every if float(one.task.label) == onset]
        if at:
            each = [[one for one in at if one.task.plan == plan] for plan in plans]
            lost = sorted({f"`{one.fault}`" for one in at if one.task.plan == "node" and not one.found})
            named = [str(rate(mine, lambda one: one.found and one.result.named)) for mine in each]
            rows.append([f"{onset:g} s", *named, ", ".join(lost) or "–"])
    return table(["comes after", *(f"{plan}, {minutes[plan]:.1f} min" for plan in plans), "not found in node"], rows)


RARE = {
    "nvlink_recoveries_creeping": "recoveries of a link",
    "nvlink_errors": "errors of a link",
    "sm_silent_corruption_intermittent": "wrong results under load",
    "pcie_replays": "replays",
}
"""Faults that show by events that come so many times an hour."""


def blind(minutes: dict[str, float]) -> list[str]:
    """What a plan of minutes misses: rare events, by their rate and the plan's length."""
    if "node" not in minutes:
        return []
    hours = minutes["node"] / 60
    rows = []
    for fault in known_faults():
        if fault.name in RARE:
            rate_ = float(fault.defaults["per_hour"])
            missed = 100 * math.exp(-rate_ * hours)
            shown = f"{missed:.2g} %" if missed >= 0.01 else "less than 0.01 %"
            rows.append([f"`{fault.name}`", f"{rate_:g} {RARE[fault.name]}", f"{rate_ * hours:.3g}", shown])
    seen = 3 / hours
    return [
        f"- **Rare events.** {minutes['node']:.1f} minutes without one leave {seen:.0f} an hour possible (3/t, 95 %).",
        "  The simulator lets events come evenly, so what comes once in the plan is seen; where they come at random,",
        "  as real ones do, a share of nodes shows none (Poisson), also of those that are counted as found above:",
        "",
        *table(["fault, default", "an hour", "in the plan, at most", "nodes that show none"], rows),
        "- **What begins later** than the plan lasts, and what needs more than minutes of heat to begin.",
        "- **Slow warming** it sees as not shown to be safe (`margin_bound`), not as a failure: the longer soak of the",
        "  plan `acceptance` tells which.",
        "- **Severities near the limits of the plan `acceptance`** where these count events over half an hour (1.2 ×).",
        "",
    ]


def sensitivity(done: Sequence[Done]) -> list[str]:
    """Loss against power, at each sigma."""
    losses = sorted({float(one.task.label) for one in pick(done, "sensitivity")})
    rows = []
    for loss in losses:
        cells = []
        for sigma in SIGMAS:
            mine = [one for one in pick(done, "sensitivity", sigma=sigma) if float(one.task.label) == loss]
            cells.append(str(rate(mine, lambda one: one.result.seen)))
        rows.append([f"{loss:g} %", *cells])
    return table(["loss", *(f"σ × {sigma:g}" for sigma in SIGMAS)], rows)


def retests(done: Sequence[Done]) -> list[str]:
    """Agreement of two tests of the same node on different days."""
    rows = []
    for label, pairs in pairs_of(done).items():
        same = Rate(sum(a.result.decision == b.result.decision for a, b in pairs), len(pairs))
        flips = sum(flipped(a, b) for a, b in pairs)
        rows.append([label, str(same), at_most(flips, len(pairs)), at_most(*verdict_flips(pairs))])
    return table(["nodes", "same decision", "accepted ↔ rejected", "verdicts: pass ↔ fail"], rows)


def pairs_of(done: Sequence[Done]) -> dict[str, list[tuple[Done, Done]]]:
    """Test and re-test of each node, by kind of node."""
    first = {("good", one.task.seed): one for one in pick(done, "healthy", plan="acceptance")}
    again: dict[tuple[str, int], Done] = {}
    for one in pick(done, "retest"):
        (again if one.task.start_s else first)[one.task.label, one.task.seed] = one
    out: dict[str, list[tuple[Done, Done]]] = {}
    for key, one in again.items():
        if key in first:
            out.setdefault(key[0], []).append((first[key], one))
    return out


def flipped(one: Done, other: Done) -> bool:
    """From accepted to rejected or back."""
    return {one.result.decision, other.result.decision} == {"accepted", "rejected"}


def verdict_flips(pairs: Sequence[tuple[Done, Done]]) -> tuple[int, int]:
    """Verdicts that went from pass to fail or back, and all that were one of both in test and re-test."""
    flips = both = 0
    for one, other in pairs:
        first, again = one.result.missed, other.result.missed
        results = [{first.get(key, "pass"), again.get(key, "pass")} for key in {**first, **again}]
        flips += results.count({"pass", "fail"})
        both += one.result.passed + len(first) - sum(not two <= {"pass", "fail"} for two in results)
    return flips, both


def covered(done: Sequence[Done], shape: str = "") -> dict[str, Rate]:
    """Metric -> stated 95 % intervals that hold the true value, where copies scatter in this shape."""
    inside, all_ = Counter[str](), Counter[str]()
    for one in pick(done, "coverage", label=shape):
        for metric, (held, number) in one.result.covered.items():
            inside[metric] += held
            all_[metric] += number
    return {metric: Rate(inside[metric], all_[metric]) for metric in all_}


def coverage(done: Sequence[Done]) -> list[str]:
    """Of each metric, farthest from 95 % first."""
    by_metric = covered(done)
    rows = sorted(by_metric.items(), key=lambda item: (-abs(item[1].share - 0.95), item[0]))
    shapes = [["as the profile declares it", str(total(by_metric))]] if rows else []
    shapes += [[SHAPES[shape], str(total(of))] for shape in OTHER_SHAPES if (of := covered(done, shape))]
    return [
        *table(["scatter of the simulated figures", "intervals that hold the true value, all metrics"], shapes),
        *table(
            ["metric, scatter as declared", "intervals that hold the true value"], [[f"`{m}`", str(r)] for m, r in rows]
        ),
    ]


def total(by_metric: dict[str, Rate]) -> Rate:
    """Of all metrics together."""
    return Rate(sum(one.successes for one in by_metric.values()), sum(one.trials for one in by_metric.values()))


def varied(done: Sequence[Done]) -> list[str]:
    """Each variation, worst first; those in which every node was accepted at once in one line."""
    by_label: dict[str, list[Done]] = {}
    for one in pick(done, "variation"):
        by_label.setdefault(one.task.label, []).append(one)
    rows, quiet = [], []
    for label, nodes in by_label.items():
        counts = [sum(map(what, nodes)) for what in (rejected, undecided, further)]
        if not any(counts):
            quiet.append(f"{label} [{len(nodes)}]")
            continue
        reason = Counter(one.result.finding for one in nodes if one.result.finding).most_common(1)
        order = [-count / len(nodes) for count in counts]
        shown = [bounded(nodes, what) for what in (rejected, undecided, further)]
        rows.append((order, label, [label, *shown, reason[0][0] if reason else "–"]))
    out = table(
        ["what hangs on", "rejected", "not decided", "further looks", "most frequent leading finding"],
        [cells for _, _, cells in sorted(rows, key=lambda row: row[:2])],
    )
    if quiet:
        out += ["Every node accepted in the first look [nodes]: " + "; ".join(sorted(quiet)) + ".", ""]
    return out


def scenario_lines(done: Sequence[Done]) -> list[str]:
    """Each scenario file by plan: decisions, and what was said first."""
    groups: dict[tuple[str, str], list[Done]] = {}
    for one in pick(done, "scenario"):
        groups.setdefault((one.task.label, one.task.plan), []).append(one)
    rows = []
    for (label, plan), nodes in sorted(groups.items(), key=lambda item: (item[0][0], PLANS.index(item[0][1]))):
        said = Counter(f"{one.result.subject}: {one.result.finding}" for one in nodes if one.result.finding)
        lead = said.most_common(1)
        rows.append([f"`{label}`", plan, str(rate(nodes, lambda one: one.found)),
                     str(rate(nodes, rejected)), lead[0][0] if lead else "–"])  # fmt: skip
    return table(["scenario", "plan", "not accepted", "rejected", "most frequent leading finding"], rows)
