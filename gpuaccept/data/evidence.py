"""What was planned and measured, and nothing that was concluded."""

from typing import Literal

from msgspec import UNSET, UnsetType

from gpuaccept.data.base import Better, Kind, MetricName, Name, Outcome, Reduction, Scalar, SubjectKind, Value
from gpuaccept.data.node import NodeFacts, Simulated
from gpuaccept.data.profile import Layer, Profile


class MetricDeclaration(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A metric as its check declared it at the time of the run; `name` is complete (check, metric, state).

    `remedy` says how the setting that it shows is put right.
    """

    name: MetricName
    unit: str
    kind: Kind = "read"
    better: Better = "neither"
    subject: SubjectKind = "gpu"
    description: str
    series: str = ""
    reduction: Reduction | None = None
    named_by: str = ""
    remedy: str = ""


class CheckFacts(Value, frozen=True, kw_only=True):
    """A check that took part, the digest of its source file, its metrics, and its series (name to unit)."""

    name: Name
    purpose: str
    source_sha256: str
    metrics: tuple[MetricDeclaration, ...]
    series: dict[str, str] = {}


class PlannedStep(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One step of the plan as it was to run, with every parameter filled in."""

    check: Name
    state: Literal["", "cold", "hot"] = ""
    visit: int = 1
    look: int = 1
    parameters: dict[str, float | int | str | bool] = {}
    at_once: bool = True
    skip: str = ""
    """Why this step is left out (for example --skip), else empty."""
    metrics: tuple[str, ...] = ()
    """Complete names that this step should yield: so a visit that left nothing behind is missed, not forgotten."""


class Plan(Value, frozen=True, kw_only=True):
    """What a run set out to measure: the metrics that its steps list, and no others."""

    name: Name
    acceptance: bool
    cohort: str
    """Empty where the node fits no cohort of the profile."""
    steps: tuple[PlannedStep, ...]


class Failure(Value, frozen=True, kw_only=True):
    """A measurement that could not be made. `metric` is complete, or `check.*` for all of a check's."""

    metric: str
    subject: str
    call: str = ""
    code: int = 0
    reason: str


class StepRun(Value, frozen=True, kw_only=True, omit_defaults=True):
    """How one step of the plan went. Times are seconds since the start of the run."""

    check: Name
    state: Literal["", "cold", "hot"] = ""
    visit: int = 1
    look: int = 1
    outcome: Outcome
    reason: str = ""
    started_s: float
    ended_s: float
    failures: tuple[Failure, ...] = ()


class Column(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One metric in one visit: `samples[i]` are the raw samples of `subjects[i]`, in the metric's unit.

    A record writes it packed (`gpuaccept.columns`).
    """

    metric: MetricName
    visit: int = 1
    look: int = 1
    at_s: float
    subjects: tuple[str, ...]
    samples: tuple[tuple[Scalar, ...], ...]


class SeriesEnvelope(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What the record keeps of one series of a subject.

    `low` and `high` draw the minimum and maximum of each of up to 64 equal parts of the samples, so that a dip of one
    sample stays visible: base64 of one byte a part, from `minimum` (0) to `maximum` (255), rounded outwards; empty for
    counters and for a series that stays the same.
    """

    name: MetricName
    unit: str
    minimum: float
    maximum: float
    mean: float
    low: str = ""
    high: str = ""


class SeriesSummary(Value, frozen=True, kw_only=True):
    """What the record keeps of all series of one subject, on one time base; their samples lie in series.json.gz."""

    subject: str
    count: int
    """Samples of each series."""
    first_s: float
    last_s: float
    largest_gap_s: float
    series: tuple[SeriesEnvelope, ...]


class SeriesGroup(Value, frozen=True, kw_only=True):
    """All series of one subject, on one time base. `values[i]` belongs to `names[i]`; `at_s` rises strictly."""

    subject: str
    names: tuple[MetricName, ...]
    units: tuple[str, ...]
    segments: tuple[int, ...]
    """Index of the first sample of each uninterrupted segment: [0] for one."""
    at_s: tuple[float, ...]
    values: tuple[tuple[float, ...], ...]


class Event(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened: an XID, a lost GPU, a killed worker, Ctrl-C, a deadline."""

    at_s: float
    kind: Name
    subject: str = "node"
    text: str


class Boot(Value, frozen=True, kw_only=True):
    """The node was booted while the run was cut short: `boot_id` holds from `at_s` on, and counters began anew."""

    at_s: float
    boot_id: str


class Environment(Value, frozen=True, kw_only=True):
    """The software that measured, as it was found on the node."""

    gpuaccept_version: str
    python_version: str
    libraries: tuple[Layer, ...]
    """Path and sha256 of each driver library that was loaded; empty on the mock."""


class Evidence(Value, frozen=True, kw_only=True):
    """Everything that was measured, and nothing that was concluded."""

    run_id: str
    started_at: str
    ended_at: str
    complete: bool
    """False where the run was interrupted, ran out of time or lost its journal's end."""
    incomplete_reason: str
    simulated: Simulated | None
    profile: Profile
    profile_layers: tuple[Layer, ...]
    plan: Plan
    node: NodeFacts
    environment: Environment
    checks: tuple[CheckFacts, ...]
    steps: tuple[StepRun, ...]
    columns: tuple[Column, ...]
    series: tuple[SeriesSummary, ...]
    series_sha256: str
    """Over the inflated bytes of series.json.gz; empty where there are no series."""
    events: tuple[Event, ...]
    boots: tuple[Boot, ...] | UnsetType = UNSET
    """Left out where the node was not booted during the run: `node.boot_id` holds for all of it then."""
