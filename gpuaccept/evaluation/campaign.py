"""Which nodes an evaluation simulates: sizes, and the tasks that follow from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import msgspec

from gpuaccept.bundled import bundled
from gpuaccept.data import Cohort
from gpuaccept.device.open import DeviceSpec, Fault, check_spec, faults, model, simulated
from gpuaccept.errors import UsageError
from gpuaccept.evaluation import variations
from gpuaccept.evaluation.trials import Task, smallest_severity
from gpuaccept.judge import POWER
from gpuaccept.profile.load import load_profile

PLANS = ("quick", "node", "acceptance")
DAY_S = 86_400.0
"""From a test of a node to its re-test: long enough that nothing of the first remains but the node."""
AT_LIMIT = 5 / (5 + POWER)
"""Of the smallest severity seen with 95 % power (5 sigma and POWER more): half of the nodes are rejected there."""
GROUPS = ("healthy", "fault", "onset", "sensitivity", "retest", "coverage", "variation")
"""What can be simulated by itself."""
SIGMAS = (0.5, 1.0, 2.0)
ONSETS = (60.0, 150.0, 300.0, 450.0, 900.0, 1500.0)
"""Moments at which faults that come in mid-run are tried, s after its start."""
ELSEWHERE = "gb200-nvl72"
"""The model on which faults are tried that the evaluated one can't have: it has coolant, pumps and C2C links."""
ONSET_KEY = "at_s"
"""The key of a fault that says when it comes."""
OTHER_SHAPES = ("t3", "normal", "correlated")
"""Scatter of another shape than the profile declares, under which coverage is shown too."""
MARGINAL = "hbm_bandwidth_low"
"""The fault whose re-test is the hardest: at the smallest severity that must be rejected, it is near the limit."""


@dataclass(frozen=True)
class Sizes:
    """How many nodes of each kind. All but `healthy`, `healthy_node` and `retest` count per line of a table."""

    healthy: int
    """Good nodes by the plan acceptance."""
    healthy_node: int
    """Good nodes by the plan node."""
    fault: int
    """Nodes for each fault at its default, in each plan."""
    severity: int
    """Nodes for each fault at 1.2 and 0.5 of its smallest severity, in the plans acceptance and node."""
    sensitivity: int
    """Nodes for each loss and sigma."""
    losses: tuple[float, ...]
    """Losses of one GPU's memory bandwidth, percent."""
    retest: int
    """Good nodes, and nodes with a part near its limit, that are tested twice."""
    coverage: int
    """Nodes whose stated intervals are compared with the true values."""
    variation: int
    """Nodes for each variation."""
    onset: int = 0
    """Nodes for each fault that comes in mid-run, at each of `ONSETS`, in the plans acceptance and node."""
    shape: int = 0
    """As `coverage`, for each of `OTHER_SHAPES`."""
    scenario: int = 20
    """Nodes for each file of a directory of scenarios, in each plan."""


FORMS = {
    "tiny": Sizes(2, 1, 0, 0, 1, (3.0,), 1, 1, 0, 0, 0, 1),
    "short": Sizes(250, 60, 1, 1, 4, (1.0, 1.5, 2.0, 3.0, 4.0), 16, 10, 1, 1, 2, 5),
    "full": Sizes(
        40_000, 1_000, 20, 20, 200, (0.0, 0.5, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0), 10_000, 500, 1_000, 20, 50
    ),
}
"""By name: the test's, the one whose results are published with each change, and that of the stated figures."""


@dataclass(frozen=True)
class Campaign:
    """Tasks, and the variations that could not be made."""

    tasks: tuple[Task, ...]
    refused: tuple[variations.Refused, ...] = ()


def cohort_for(profile: str, name: str) -> Cohort:
    """The cohort of a profile for a simulated model. Raises UsageError where it has none."""
    device_id = model(DeviceSpec(device=f"mock:{name}")).gpu.pci_device_id
    for cohort in load_profile(profile).profile.cohorts:
        if device_id in cohort.pci_device_ids:
            return cohort
    raise UsageError(f"profile {profile} has no cohort for mock:{name}", "give --profile and --model that fit")


def campaign(sizes: Sizes, profile: str, name: str, folder: Path) -> Campaign:
    """Every task of an evaluation of a model by a profile; scenario files are written to `folder`."""
    device, cohort = f"mock:{name}", cohort_for(profile, name)
    base = Task(group="", profile=profile, device=device, of=_digest(device), seed=0)
    tasks: list[Task] = []

    def add(number: int, **changes: object) -> None:
        tasks.extend(_changed(base, seed=seed, **changes) for seed in range(1, number + 1))

    add(sizes.healthy, group="healthy")
    add(sizes.healthy_node, group="healthy", plan="node")
    for fault in applicable(name):
        for plan in PLANS:
            add(sizes.fault, group="fault", label="default", plan=plan, faults=(fault.name,))
        smallest = smallest_severity(fault, cohort, device)
        for factor in (1.2, 0.5) if smallest else ():
            text = f"{fault.name}:{fault.severity_key}={factor * (smallest or 0):.6f}"
            for plan in ("node", "acceptance"):
                add(sizes.severity, group="fault", label=f"{factor} ×", plan=plan, faults=(text,))
        for onset in ONSETS if ONSET_KEY in fault.defaults else ():
            text = f"{fault.name}:{ONSET_KEY}={onset:g}"
            for plan in ("node", "acceptance"):
                add(sizes.onset, group="onset", label=f"{onset:g}", plan=plan, faults=(text,))
    other = f"mock:{ELSEWHERE}"
    for fault in faults_elsewhere(name):
        for plan in ("node", "acceptance"):
            add(
                sizes.fault,
                group="fault",
                label=f"on {ELSEWHERE}",
                plan=plan,
                profile=ELSEWHERE,
                device=other,
                of=_digest(other),
                faults=(fault.name,),
            )
    for sigma in SIGMAS:
        scaled = variations.write_scaled(name, sigma, folder)
        for loss in sizes.losses:
            text = f"{MARGINAL}:loss_percent={loss}"
            add(
                sizes.sensitivity,
                group="sensitivity",
                label=f"{loss:g}",
                plan="node",
                sigma=sigma,
                device=scaled,
                of=_digest(scaled),
                faults=(text,),
            )
    add(sizes.retest, group="retest", label="good", start_s=DAY_S)
    near = smallest_severity(next(one for one in faults() if one.name == MARGINAL), cohort, device)
    for label, factor in (("near its limit", 1.0), ("at its limit", AT_LIMIT)) if near else ():
        text = f"{MARGINAL}:loss_percent={factor * (near or 0):.6f}"
        for start_s in (0.0, DAY_S):
            add(sizes.retest, group="retest", label=label, start_s=start_s, faults=(text,))
    twin = variations.write_twin(name, folder)
    add(sizes.coverage, group="coverage", twin=twin)
    for label, shaped in variations.write_shapes(name, OTHER_SHAPES, folder).items():
        add(sizes.shape, group="coverage", label=label, device=shaped, of=_digest(shaped), twin=twin)
    made, refused = variations.write_variations(name, scenario_file(name), folder) if sizes.variation else ([], [])
    for one in made:
        add(sizes.variation, group="variation", label=one.label, device=one.device, of=_digest(one.device))
    return Campaign(tuple(tasks), tuple(refused))


def scenarios(sizes: Sizes, folder: Path, profile: str = "") -> Campaign:
    """Every scenario file of a directory, whoever wrote it; by the profile of its hardware where none is given."""
    tasks: list[Task] = []
    files = sorted(path for path in folder.glob("*.y*ml") if path.is_file())
    if not files:
        raise UsageError(f"--scenarios {folder}: there is no .yaml file in it", "name a directory of scenario files")
    for path in files:
        device = f"mock:{path}"
        check_spec(DeviceSpec(device=device))
        by = profile or model(DeviceSpec(device=device)).name
        plans = load_profile(by).profile.cohorts[0].plans
        for plan in PLANS:
            if plan in plans:
                base = Task(group="scenario", label=path.name, profile=by, device=device, of=_digest(device), seed=0)
                tasks.extend(with_seed(base, plan, seed) for seed in range(1, sizes.scenario + 1))
    return Campaign(tuple(tasks))


def interleaved(tasks: Iterable[Task]) -> list[Task]:
    """In an order in which every group has its share done whenever the evaluation is stopped."""
    placed = []
    for _, members in groupby(sorted(tasks, key=lambda task: (*_kind(task), task.seed, task.key)), key=_kind):
        group = list(members)
        placed += [((place + 0.5) / len(group), task.key, task) for place, task in enumerate(group)]
    return [task for _, _, task in sorted(placed, key=lambda one: one[:2])]


def applicable(name: str) -> list[Fault]:
    """The faults that a model can have, and that a bundled plan can show."""
    return [fault for fault in faults() if can_have(name, fault) and not fault.needs_agreement]


def faults_elsewhere(name: str) -> list[Fault]:
    """The faults that a model can't have, and `ELSEWHERE` can."""
    here = {fault.name for fault in faults() if can_have(name, fault) or fault.needs_agreement}
    return [fault for fault in faults() if fault.name not in here and can_have(ELSEWHERE, fault)]


def can_have(name: str, fault: Fault) -> bool:
    """Whether a model can have a fault: a board without pumps has no dead one."""
    if fault.applies_to and name not in fault.applies_to:
        return False
    try:
        check_spec(DeviceSpec(device=f"mock:{name}", faults=(fault.name,)))
    except UsageError:
        return False
    return True


def scaled_to(sizes: Sizes, **given: int | None) -> Sizes:
    """Sizes with those that were given in place of the form's."""
    return replace(sizes, **{name: number for name, number in given.items() if number is not None})  # type: ignore[arg-type]


def scenario_file(name: str) -> Path:
    """The file of a model that comes with gpuaccept."""
    return bundled("profiles") / "scenarios" / f"{name}.yaml"


def with_seed(task: Task, plan: str, seed: int) -> Task:
    """The same task of another node, by another plan."""
    return _changed(task, plan=plan, seed=seed)


def _kind(task: Task) -> tuple[str, str, str]:
    return task.group, task.plan, task.label if task.group in ("fault", "retest", "coverage") else ""


def _changed(task: Task, **changes: object) -> Task:
    return msgspec.structs.replace(task, **changes)


def _digest(device: str) -> str:
    found = simulated(DeviceSpec(device=device))
    assert found is not None  # every device here is a mock
    return found.digest[:16]
