"""The page of an evaluation: what was simulated, the figures to reach beside what was reached, and every table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpuaccept import __version__
from gpuaccept.device.open import faults as known_faults
from gpuaccept.evaluation import sections
from gpuaccept.evaluation.campaign import ELSEWHERE, Campaign, can_have, faults_elsewhere
from gpuaccept.evaluation.rates import needed, upper95
from gpuaccept.evaluation.sections import Done, pick, rate
from gpuaccept.evaluation.trials import Result

FALSE_REJECTS = 1 / 12_500
"""The most good nodes that may be rejected, as the upper 95 % bound."""


@dataclass(frozen=True)
class About:
    """What the page says of the run."""

    profile: str
    profile_digest: str
    model: str
    program: str
    minutes: Mapping[str, float]
    """Estimated duration of each plan."""
    form: str
    speed: str = ""
    """Nodes a second, in words; empty where nothing was simulated this time."""


def page(campaign: Campaign, results: Mapping[str, Result], about: About) -> str:
    """The reference page, as Markdown."""
    done = [Done(task, results[task.key]) for task in campaign.tasks if task.key in results]
    broke = [one for one in done if one.result.broke]
    out = [
        "# Evaluation, in simulation",
        "",
        "Written by `make evaluate`. **Every rate on this page is in simulation**: it holds for the parameters",
        f"declared in `profiles/scenarios/{about.model}.yaml`, profile `{about.profile}`",
        f"(`{about.profile_digest[:16]}…`), gpuaccept {__version__} (program `{about.program}`). No card has confirmed",
        "any of it. Nodes are simulated, measured by the real engine and judged by the real judge. Intervals are",
        "two-sided 95 % (Wilson); *at most* is the one-sided upper 95 % bound (Clopper and Pearson).",
        "",
        *_size(campaign, done, about),
        "## Figures to reach",
        "",
        *figures(done, about),
        "## Good nodes",
        "",
        "In simulation. A *further look* is a second or third visit to figures that were too near a limit.",
        "",
        *sections.good_nodes(done),
        "## Faults found, by area and severity, against minutes of test",
        "",
        "*Default*: as the catalogue has it. *1.2 ×*: of the smallest severity that the limits must reject in the plan",
        "`acceptance` (`gpuaccept/severities.py`), for faults that have a severity; shorter plans may see less by",
        "design. Minutes are the plan's estimate. The area is the check that must detect the fault.",
        *_left_out(about.model),
        "",
        *sections.recall(done, dict(about.minutes)),
        *sections.elsewhere(done),
        "## Not found, or not named right",
        "",
        "Every fault of which a node was accepted, another part led, or another verdict, cause or action than the",
        "catalogue states was given, in the plans `node` and `acceptance`; worst first. In simulation.",
        "",
        *sections.misses(done),
        "## Faults that come in mid-run",
        "",
        "No physics says when a GPU falls off the bus, a driver call hangs, a process dies or a clock locks. By the",
        "moment at which it comes: found, and the right part named. In simulation. The tables above have the moments",
        "of the catalogue, 400 s for most.",
        "",
        *sections.onsets(done, dict(about.minutes)),
        "## What the plan node can't see, by design",
        "",
        *sections.blind(dict(about.minutes)),
        "## Sensitivity: loss of one GPU's memory bandwidth",
        "",
        "How often memory bandwidth of the right GPU did not pass, plan `node`, in simulation. Both the profile's",
        "pooled σ and the simulated scatter are multiplied (σ × 1: 0.25 % from GPU to GPU, 0.15 % from",
        "visit to visit).",
        "",
        *sections.sensitivity(done),
        "## Test and re-test",
        "",
        "The same node on another day (plan `acceptance`, in simulation): its parts are drawn by the seed, the scatter",
        "of visits and repeats, the inlet and all counters by time as well. *Near its limit*: one GPU's memory",
        "bandwidth at the smallest loss that must be rejected; *at its limit*: at 0.75 of it (5 of 6.645 σ), where the",
        "limit itself lies and any rule must waver.",
        "",
        *sections.retests(done),
        "## Coverage of the stated 95 % intervals",
        "",
        "Whether the 95 % interval of a figure ([decision rule](../explanation/decision.md), section 5) holds the true",
        "value, which a twin of the node shows: the same parts, no scatter of visits and repeats, timers that are",
        "right. In simulation; figures of one node share its temperature and timers. The interval rests on the shape",
        "of scatter that the profile declares; other shapes show what that is worth. Sums over all pairs of a GPU",
        "(`all_to_one` and the like) scatter less than the pairs whose sigma is declared for them: too wide.",
        "",
        *sections.coverage(done),
        "## Variations",
        "",
        "Good nodes, plan `acceptance`, in simulation, with each number of the model that is judgement halved and",
        "doubled, noise with other tails, correlated repeats and correlated GPUs; the profile stays as it is. Worst",
        "first. A variation may make the node really unfit (an inlet of 50 °C): it shows what the verdict hangs on.",
        "",
        *sections.varied(done),
        *[f"- Not possible: {one.label}: {one.why}" for one in campaign.refused],
        *([""] if campaign.refused else []),
        "Lists (the stages of the thermal path) and numbers whose own line is not marked as judgement are not varied.",
        "Tails and correlation are those of copies and matrix products; sensors keep theirs. Correlated GPUs share",
        "part of their lasting difference, not the scatter of a visit.",
        "",
        *[f"- The program broke: {one.task.label} {one.task.faults}: {one.result.broke}" for one in broke],
        *([""] if broke else []),
        "## Run it",
        "",
        "```sh",
        "make evaluate                                    # the short form, and this page",
        "make evaluate EVALUATE='--form full'             # 40,000 good nodes and all the rest",
        "make evaluate EVALUATE='--form full --only healthy --only fault'   # these first; the page is of all there is",
        "make evaluate EVALUATE='--only variation --variation 1000'         # so many nodes for each variation",
        "make evaluate EVALUATE='--form full --minutes 0'                   # the page alone, of what was made",
        "make evaluate EVALUATE='--scenarios my-faults/'  # scenario files of your own: prints, writes no page",
        "```",
        "",
        "It uses as many processes as there are cores. Each result is a line in `build/evaluation/results.jsonl` as",
        "soon as it is there. Stop it with Ctrl-C or `--minutes`: the page is of what there is, and the same command",
        "again goes on from it, unless the program, its checks or profiles changed. `evaluation.jsonl.xz` beside this",
        "page holds what it rests on, each trial with its seed: any of them can be repeated, and a fresh clone goes",
        "on from there.",
    ]
    return "\n".join([*out, ""])


def figures(done: Sequence[Done], about: About) -> list[str]:
    """The figures to reach, each with what was reached and how much the number of trials allows to say."""
    good = pick(done, "healthy", plan="acceptance")
    bad = [one for one in pick(done, "fault") if one.task.label == "default"]
    rows = [["good nodes rejected", "at most 0.008 %", sections.bounded(good, sections.rejected)]]
    rows.append(["good nodes not decided", "at most 0.5 %", sections.bounded(good, sections.undecided)])
    for plan, wanted in (("acceptance", "99 %"), ("node", "95 %")):
        mine = [one for one in bad if one.task.plan == plan]
        found = [one for one in mine if one.found]
        rows.append([f"faults found, plan {plan}", f"at least {wanted}", str(rate(mine, lambda one: one.found))])
        named = str(rate(found, lambda one: one.result.named))
        rows.append([f"right part named, plan {plan}", "at least 99 %", named])
    loss = [one for one in pick(done, "sensitivity", sigma=1.0) if float(one.task.label) == 2.0]
    seen = str(rate(loss, lambda one: one.result.seen))
    rows.append(["2 % loss of one GPU's memory bandwidth seen, σ 0.25 %", "at least 95 %", seen])
    pairs = sections.pairs_of(done)
    for label in ("good", "near its limit", "at its limit"):
        mine_ = pairs.get(label, [])
        flips = sum(sections.flipped(a, b) for a, b in mine_)
        rows.append([f"accepted ↔ rejected on re-test, {label}", "at most 0.01 %", sections.at_most(flips, len(mine_))])
        verdicts = sections.at_most(*sections.verdict_flips(mine_))
        rows.append([f"verdicts that went from pass to fail or back, {label}", "at most 0.01 %", verdicts])
    held = str(sections.total(sections.covered(done)))
    rows.append(["stated 95 % intervals that hold the true value", "95 ± 1 %", held])
    rows.append(["simulated nodes a second, two cores", "at least 20", about.speed or "not timed"])
    return sections.table(["figure (in simulation)", "wanted", "reached: n, rate, 95 % interval or bound"], rows)


def _left_out(name: str) -> list[str]:
    lacking = [fault for fault in known_faults() if not can_have(name, fault)]
    tried = faults_elsewhere(name)
    out = []
    for faults, where in (
        (tried, f"tried on `{ELSEWHERE}` by its own profile (below)"),
        ([fault for fault in lacking if fault not in tried], "not tried"),
    ):
        if faults:
            names = ", ".join(f"`{fault.name}`" for fault in faults)
            out.append(f"This model can't have, so {where}: {names}.")
    return out


def _size(campaign: Campaign, done: Sequence[Done], about: About) -> list[str]:
    good = pick(done, "healthy", plan="acceptance")
    wanted = needed(FALSE_REJECTS)
    out = [f"This is the form `{about.form}`: {len(done)} of its {len(campaign.tasks)} trials were made."]
    if len(good) < wanted:
        bound = f"{100 * upper95(0, len(good)):.3g} %" if good else "nothing"
        out[0] += (
            f" **It is smaller than the figures need**: {len(good)} good nodes without a reject bound false rejects to"
            f" {bound} (one in 12,500, 0.008 %, needs {wanted:,} nodes without one). Rates of a few trials a line show"
            " gross effects only; their intervals say so."
        )
    return [*out, ""]
