"""Evidence for tests of the judge: a small plan on a node of any size, healthy unless a test changes it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from gpuaccept.data import (
    CheckFacts,
    Cohort,
    Column,
    Deviation,
    Environment,
    Evidence,
    Failure,
    GpuFacts,
    Limit,
    MetricDeclaration,
    MetricFacts,
    NodeFacts,
    Plan,
    PlannedStep,
    PlanSpec,
    Profile,
    Scalar,
    Sigma,
    Step,
    StepRun,
)

COPY = "memory_bandwidth.copy_hot"
PAIR = "nvlink.read_hot"
LINK_STATE = "nvlink.state"
ANCESTOR = "nvlink.common_ancestor"
RECOVERY = "nvlink.recovery_new"
COUNT = "inventory.gpu_count_nvml"
SERIAL = "inventory.serial"
DRIVER = "inventory.driver_version"
PENDING = "ecc.row_remapping_pending"
RATE = "ecc.dram_corrected_new"
POWER = "thermal_soak.power_mean"
MARGIN = "thermal_soak.margin_min"

_METRICS: dict[str, tuple[str, str, str, str, str | None]] = {
    # name: kind, subject, unit, better, reduction
    COPY: ("sampled", "gpu", "GB/s", "higher", None),
    PAIR: ("sampled", "pair", "GB/s", "higher", None),
    LINK_STATE: ("read", "link", "", "neither", None),
    ANCESTOR: ("read", "pair", "", "neither", None),
    RECOVERY: ("difference", "link", "events", "lower", None),
    COUNT: ("counted", "node", "GPUs", "neither", None),
    SERIAL: ("read", "gpu", "", "neither", None),
    DRIVER: ("read", "node", "", "neither", None),
    PENDING: ("counted", "gpu", "", "lower", None),
    RATE: ("rate", "gpu", "errors/h", "lower", None),
    POWER: ("read", "gpu", "W", "neither", "mean"),
    MARGIN: ("read", "gpu", "K", "higher", "minimum"),
}
_STEPS = ("inventory", "ecc", "soak", "memory", "nvlink", "soak", "memory", "nvlink", "soak", "memory", "nvlink")
_CHECKS = {"soak": "thermal_soak", "memory": "memory_bandwidth"}


def limit(id: str, metric: str, **given: Any) -> Limit:
    """A limit with everything that a test does not care about filled in."""
    defaults = {
        "unit": _METRICS[metric][2] if metric in _METRICS else "",
        "cause": "hardware",
        "action": "replace",
        "source": "assumption",
        "reference": "a test",
    }
    return Limit(id=id, metric=metric, **{**defaults, **given})


LIMITS = (
    limit("gpu-count", COUNT, equals=8.0),
    limit("driver", DRIVER, one_of=("580.1", "580.2"), cause="configuration", action="correct the setting"),
    limit("serial", SERIAL, unique=True),
    limit("pending", PENDING, equals=0.0, missed="inconclusive", action="reset and re-run"),
    limit("corrected", RATE, maximum=100.0, effect="observe"),
    limit("link-up", LINK_STATE, equals="active"),
    limit("recovery", RECOVERY, equals=0.0),
    limit("power", POWER, minimum=950.0, effect="valid", valid_for=("thermal_soak.margin_*",), cause="tool"),
    limit("margin", MARGIN, minimum=10.0),
    limit("copy-floor", COPY, minimum=5900.0),
    limit("copy-node", COPY, max_deviation=Deviation(sigmas=5.0)),
    limit("pair-floor", PAIR, minimum=725.0),
)


def sigma(percent: float, degrees: float = 60.0) -> Sigma:
    """A pooled sigma."""
    return Sigma(sigma_percent=percent, degrees_of_freedom=degrees, source="assumption", reference="a test")


def cohort(gpus: int = 8, links: int = 18, limits: Iterable[Limit] = LIMITS, **given: Any) -> Cohort:
    """A cohort with a plan of three soak segments."""
    facts = MetricFacts(typical=6290.0, ceiling=7672.0, visit=sigma(0.15), gpu=sigma(0.25), type_b_percent=0.02)
    steps = [Step(check=_CHECKS.get(s, s), state=_state(s)) for s in (*_STEPS, "ecc", "inventory")]
    defaults: dict[str, Any] = {
        "name": "b200",
        "hardware": "hgx-b200",
        "description": "a test",
        "pci_device_ids": ("2901",),
        "gpus": gpus,
        "links_per_gpu": links,
        "cooling": "air",
        "slots": {str(i + 1): f"GPU {i + 1}" for i in range(gpus)},
        "metrics": {COPY: facts, PAIR: replace(facts, visit=sigma(0.08), gpu=sigma(0.1)), MARGIN: facts},
        "limits": tuple(limits),
        "plans": {"acceptance": PlanSpec(purpose="a test", acceptance=True, steps=tuple(steps))},
    }
    return Cohort(**{**defaults, **given})


def evidence(
    gpus: int = 8, links: int = 18, limits: Iterable[Limit] = LIMITS, looks: int = 1, seed: int = 1, **given: Any
) -> Evidence:
    """A healthy run. `given` replaces fields of the cohort."""
    return _assemble(cohort(gpus, links, limits, **given), gpus, links, looks, random.Random(seed))


def edit(
    found: Evidence, metric: str, change: Callable[[str, tuple[Scalar, ...], Column], tuple[Scalar, ...] | None]
) -> Evidence:
    """Change the samples of a metric: `change(subject, samples, column)` gives new ones, or None to leave them out."""
    columns = []
    for column in found.columns:
        if column.metric != metric:
            columns.append(column)
            continue
        rows = [(s, change(s, x, column)) for s, x in zip(column.subjects, column.samples, strict=True)]
        kept = [(s, x) for s, x in rows if x is not None]
        if kept:
            columns.append(replace(column, subjects=tuple(s for s, _ in kept), samples=tuple(x for _, x in kept)))
    return replace(found, columns=tuple(columns))


def scale(found: Evidence, metric: str, subject: str, factor: float, look: int | None = None) -> Evidence:
    """Multiply all samples of a subject, in one look or in all."""
    return edit(
        found,
        metric,
        lambda s, x, c: tuple(float(v) * factor for v in x) if s == subject and look in (None, c.look) else x,
    )


def lose(found: Evidence, gpu: int, from_step: int, call: str = "nvmlDeviceGetFieldValues", code: int = 15) -> Evidence:
    """A GPU that is lost before the step with this place: no samples from there on, one failure a step."""
    gone = f"gpu/{gpu}"
    steps = list(found.steps)
    start = steps[from_step].started_s
    for place in range(from_step, len(steps)):
        failure = Failure(
            metric=f"{steps[place].check}.*",
            subject=gone,
            call=call,
            code=code,
            reason=f"GPU {gpu}: {call} returned {code} (GPU is lost)",
        )
        steps[place] = replace(steps[place], failures=(failure,))
    columns = []
    for column in found.columns:
        rows = [
            (s, x)
            for s, x in zip(column.subjects, column.samples, strict=True)
            if column.at_s < start
            or gone not in s.replace(">", "/").replace("/gpu", " gpu").replace("/link", " ").split()
        ]
        if rows:
            columns.append(replace(column, subjects=tuple(s for s, _ in rows), samples=tuple(x for _, x in rows)))
    return replace(found, steps=tuple(steps), columns=tuple(columns))


def stop(found: Evidence, made: int, reason: str = "interrupted by Ctrl-C") -> Evidence:
    """The run was stopped in its step number `made`, counted from 0: no samples from there on."""
    steps, start = list(found.steps), found.steps[made].started_s
    for place in range(made, len(steps)):
        outcome = "interrupted" if place == made else "not_reached"
        steps[place] = replace(steps[place], outcome=outcome, reason=reason, started_s=start, ended_s=start)
    return replace(
        found,
        complete=False,
        incomplete_reason=reason,
        ended_at="2026-01-01T00:00:07Z",
        steps=tuple(steps),
        columns=tuple(c for c in found.columns if c.at_s < start or (c.metric in (POWER, MARGIN) and made > 2)),
    )


def leave_out(found: Evidence, check: str, option: str = "--only") -> Evidence:
    """The steps of a check were left out by the command line."""
    steps = tuple(replace(step, skip=option) if step.check == check else step for step in found.plan.steps)
    runs = tuple(replace(run, outcome="skipped") if run.check == check else run for run in found.steps)
    columns = tuple(column for column in found.columns if not column.metric.startswith(f"{check}."))
    return replace(found, plan=replace(found.plan, steps=steps), steps=runs, columns=columns)


def _state(step: str) -> str:
    return "hot" if step in ("memory", "nvlink") else ""


def _metrics_of(check: str) -> tuple[str, ...]:
    return tuple(name for name in _METRICS if name.startswith(f"{check}."))


def _assemble(of: Cohort, gpus: int, links: int, looks: int, noise: random.Random) -> Evidence:
    steps: list[PlannedStep] = []
    seen: dict[str, int] = {}
    for number in range(1, looks + 1):
        names = (*_STEPS, "ecc", "inventory") if number == 1 else ("memory", "nvlink") * 3
        for name in names:
            check = _CHECKS.get(name, name)
            seen[check] = seen.get(check, 0) + 1
            steps.append(
                PlannedStep(
                    check=check,
                    state=_state(name),
                    visit=seen[check],
                    look=number,
                    metrics=_metrics_of(check),  # type: ignore[arg-type]
                )
            )
    ground = {COPY: 6290.0, PAIR: 765.0}
    own = {(m, s): 1 + noise.gauss(0, 0.0005) for m in ground for s in _subjects(m, gpus, links)}
    columns: list[Column] = []
    for place, step in enumerate(steps):
        for name in step.metrics:
            if _METRICS[name][4] is not None:
                continue
            subjects = _subjects(name, gpus, links)
            columns.append(
                Column(
                    metric=name,
                    visit=step.visit,
                    look=step.look,
                    at_s=60.0 * place + 1,
                    subjects=subjects,
                    samples=tuple(_healthy(name, s, gpus, ground, own, noise) for s in subjects),
                )
            )
    for name, value in ((POWER, 991.0), (MARGIN, 27.0)):
        subjects = _subjects(name, gpus, links)
        columns.append(Column(metric=name, visit=1, at_s=700.0, subjects=subjects, samples=((value,),) * len(subjects)))
    runs = tuple(
        StepRun(
            check=s.check,
            state=s.state,
            visit=s.visit,
            look=s.look,
            outcome="completed",
            started_s=60.0 * i,
            ended_s=60.0 * i + 50,
        )
        for i, s in enumerate(steps)
    )
    checks = tuple(dict.fromkeys(s.check for s in steps))
    return Evidence(
        run_id="test",
        started_at="2026-01-01T00:00:00Z",
        ended_at="2026-01-01T01:00:00Z",
        complete=True,
        incomplete_reason="",
        simulated=None,
        profile=Profile(name="test", version="1", title="A test", cohorts=(of,)),
        profile_layers=(),
        plan=Plan(
            name="acceptance",
            acceptance=True,
            cohort=of.name,
            steps=tuple(steps),
        ),
        node=_node(gpus),
        environment=Environment(gpuaccept_version="0", python_version="3", libraries=()),
        checks=tuple(CheckFacts(name=c, purpose="a test", source_sha256="0", metrics=_declared(c)) for c in checks),
        steps=runs,
        columns=tuple(columns),
        series=(),
        series_sha256="",
        events=(),
    )


def _declared(check: str) -> tuple[MetricDeclaration, ...]:
    return tuple(
        MetricDeclaration(
            name=name,
            unit=unit,
            kind=kind,  # type: ignore[arg-type]
            better=better,  # type: ignore[arg-type]
            subject=subject,  # type: ignore[arg-type]
            description=f"Figure {name}",
            series="thermal_soak.series" if reduction else "",
            reduction=reduction,  # type: ignore[arg-type]
        )
        for name, (kind, subject, unit, better, reduction) in _METRICS.items()
        if name.startswith(f"{check}.")
    )


def _subjects(metric: str, gpus: int, links: int) -> tuple[str, ...]:
    kind = _METRICS[metric][1]
    if kind == "node":
        return ("node",)
    if kind == "gpu":
        return tuple(f"gpu/{i}" for i in range(gpus))
    if kind == "link":
        return tuple(f"gpu/{i}/link/{j}" for i in range(gpus) for j in range(links))
    return tuple(f"gpu/{i}>gpu/{j}" for i in range(gpus) for j in range(gpus) if i != j)


def _healthy(
    metric: str,
    subject: str,
    gpus: int,
    ground: dict[str, float],
    own: dict[tuple[str, str], float],
    noise: random.Random,
) -> tuple[Scalar, ...]:
    if metric in ground:
        visit = ground[metric] * own[metric, subject] * (1 + noise.gauss(0, 0.0003))
        return tuple(round(visit * (1 + noise.gauss(0, 0.0002)), 3) for _ in range(5))
    fixed: dict[str, Scalar] = {
        LINK_STATE: "active",
        ANCESTOR: "node",
        RECOVERY: "3",
        COUNT: str(gpus),
        DRIVER: "580.1",
        PENDING: "0",
        RATE: "7",
        SERIAL: f"serial-{subject}",
    }
    return (fixed[metric],)


def _node(gpus: int) -> NodeFacts:
    return NodeFacts(
        host="node-1",
        boot_id="boot",
        kernel="6.8",
        operating_system="test",
        driver_version="580.1",
        nvml_version="13",
        cuda_driver_version="13.0",
        numa_nodes=2,
        gpu_count_pci=gpus,
        gpu_count_nvml=gpus,
        gpu_count_cuda=gpus,
        gpus=tuple(
            GpuFacts(
                index=i,
                name="NVIDIA B200",
                uuid=f"GPU-{i}",
                serial=f"serial-{i}",
                pci_bus_id=f"0000:{i:02x}:00.0",
                pci_device_id="2901",
                pci_subsystem_id="1999",
                module_id=i + 1,
                memory_total_bytes=192 << 30,
            )
            for i in range(gpus)
        ),
    )
