"""Every value that passes between the rooms of gpuaccept: frozen, typed, and with no behaviour of its own.

Data flows one way (see ARCHITECTURE.md): profile -> plan -> run -> evidence -> judgement -> record -> certificate.
All types are msgspec Structs that refuse unknown fields, so the same definitions validate profiles, decode records
and publish JSON Schemas. Times are seconds; bandwidth is GB/s (10^9 bytes a second); see docs/reference/vocabulary.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=400)]
Name = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")]
MetricName = Annotated[str, Meta(max_length=120, pattern=r"^[a-z][a-z0-9_]*\.[a-z0-9_]+$")]

Source = Literal["spec", "vendor", "published", "measured", "contract", "assumption"]
Effect = Literal["require", "observe", "valid"]
Cause = Literal["hardware", "configuration", "facility", "tool", "unknown"]
Action = Literal[
    "replace",
    "reset and re-run",
    "reboot and re-run",
    "correct the setting",
    "call the facility",
    "measure again",
]
Result = Literal["pass", "fail", "inconclusive", "error", "skipped"]
Decision = Literal["accepted", "accepted with concession", "rejected", "not decided"]
Kind = Literal["sampled", "read", "counted", "difference", "rate"]
Better = Literal["higher", "lower", "neither"]
SubjectKind = Literal["node", "gpu", "link", "pair"]
Reduction = Literal["mean", "minimum", "maximum", "difference", "share", "duration", "largest_gap", "ratio_of_thirds"]
Outcome = Literal["completed", "error", "timed_out", "skipped", "interrupted", "not_reached"]
Scalar = float | str
"""A sample: a float, or text. Counters are decimal strings, since other readers of JSON lose integers above 2^53."""


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all values: immutable, unknown fields refused. Subclasses repeat the flags that type checkers need."""


# --- profile -------------------------------------------------------------------------------------------------------


class Deviation(Value, frozen=True, kw_only=True, rename={"from_": "from"}):
    """A limit relative to the node itself: not farther than `sigmas` pooled sigma_gpu on the bad side of its median."""

    from_: Literal["node_median"] = "node_median"
    sigmas: Annotated[float, Meta(ge=5.0, le=20.0)] = 5.0


class Limit(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One requirement on one metric. Exactly one of minimum ... max_deviation is given; the unit is the metric's.

    `effect`: `require` decides; `observe` is shown and counted, never decides; `valid` conditions the metrics that
    `valid_for` names (missed: they are inconclusive). `missed` is the verdict where the limit is not met.
    """

    id: Name
    metric: MetricName
    subjects: Annotated[str, Meta(max_length=80)] = "*"
    minimum: float | None = None
    maximum: float | None = None
    equals: Scalar | None = None
    one_of: tuple[Scalar, ...] | None = None
    uniform: bool = False
    unique: bool = False
    max_deviation: Deviation | None = None
    unit: Annotated[str, Meta(max_length=20)]
    effect: Effect = "require"
    missed: Literal["fail", "inconclusive"] = "fail"
    cause: Cause
    action: Action
    source: Source
    reference: Text
    valid_for: tuple[str, ...] = ()


class Sigma(Value, frozen=True, kw_only=True):
    """Pooled relative standard deviation at one level, declared before the measurement, with its origin."""

    sigma_percent: Annotated[float, Meta(gt=0.0, le=50.0)]
    degrees_of_freedom: Annotated[float, Meta(gt=0.0)]
    source: Source
    reference: Text


class MetricFacts(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What the hardware profile knows of a performance metric.

    `typical` and `ceiling` are in the metric's unit: what good hardware shows, and what physics allows. `visit` is the
    scatter of one GPU from visit to visit, `gpu` from GPU to GPU within a node. `type_b_percent` is the standard
    uncertainty that repetition does not show (timer, counted bytes).
    """

    typical: float | None = None
    ceiling: float | None = None
    visit: Sigma | None = None
    gpu: Sigma | None = None
    type_b_percent: Annotated[float, Meta(ge=0.0, le=50.0)] = 0.0
    source: Source = "assumption"
    reference: Text = ""


class Step(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One visit to one check. `at_once: false` measures one GPU after the other where GPUs share a path."""

    check: Name
    state: Literal["", "cold", "hot"] = ""
    parameters: dict[str, float | int | str | bool] = {}
    at_once: bool = True


class PlanSpec(Value, frozen=True, kw_only=True, omit_defaults=True):
    """An ordered list of steps: the same check and state again is another visit."""

    purpose: Text
    acceptance: bool = False
    """Only plans with this flag issue a certificate titled acceptance."""
    steps: tuple[Step, ...]


class Cohort(Value, frozen=True, kw_only=True):
    """One kind of node of a site, matched by the PCI device id of most of a node's GPUs."""

    name: Name
    hardware: Name
    description: Text
    pci_device_ids: tuple[Annotated[str, Meta(pattern=r"^[0-9A-F]{4}$")], ...]
    gpus: Annotated[int, Meta(ge=1, le=72)]
    links_per_gpu: Annotated[int, Meta(ge=0, le=36)]
    cooling: Literal["air", "liquid"]
    slots: dict[str, Annotated[str, Meta(max_length=40)]]
    """Module id (as decimal text) to the name printed at the slot: NVML's index is not the slot."""
    switches: Annotated[int, Meta(ge=0, le=36)] = 0
    visits: Annotated[int, Meta(ge=3, le=20)] = 3
    """Visits that a sampled metric needs before it is judged."""
    looks: Annotated[int, Meta(ge=1, le=3)] = 3
    coverage_factor: Annotated[float, Meta(ge=1.0, le=6.0)] = 2.29
    """k of the guard band: Pocock's constant for three looks (docs/explanation/decision.md)."""
    metrics: dict[str, MetricFacts]
    limits: tuple[Limit, ...]
    plans: dict[str, PlanSpec]


class Layer(Value, frozen=True, kw_only=True):
    """One file that a profile was resolved from."""

    name: str
    sha256: str


class Profile(Value, frozen=True, kw_only=True):
    """A resolved profile: every default filled in, every `extends:` layer merged."""

    name: Name
    version: Annotated[str, Meta(max_length=40)]
    title: Text
    site: Text = ""
    operator: Text = ""
    country: Annotated[str, Meta(max_length=2)] = ""
    notes: tuple[Text, ...] = ()
    cohorts: tuple[Cohort, ...]


# --- node ----------------------------------------------------------------------------------------------------------


class GpuFacts(Value, frozen=True, kw_only=True):
    """Identity of one GPU as NVML, CUDA and PCI name it. `index` is PCI order. Unknown is None."""

    index: int
    name: str
    uuid: str
    serial: str | None = None
    board_part_number: str | None = None
    vbios: str | None = None
    inforom_image: str | None = None
    pci_bus_id: str
    pci_device_id: str
    pci_subsystem_id: str
    module_id: int | None = None
    memory_total_bytes: int
    sm_count: int | None = None
    compute_capability: str | None = None


class NodeFacts(Value, frozen=True, kw_only=True):
    """What the node says of itself before anything is measured."""

    host: str
    serial: str | None = None
    boot_id: str
    kernel: str
    operating_system: str
    driver_version: str
    nvml_version: str
    cuda_driver_version: str
    fabric_manager_version: str | None = None
    numa_nodes: int
    gpu_count_pci: int
    gpu_count_nvml: int
    gpu_count_cuda: int
    gpus: tuple[GpuFacts, ...]


class Simulated(Value, frozen=True, kw_only=True, omit_defaults=True):
    """Why a run is not real: the mock's scenario, the stub driver, or a replayed record."""

    by: Literal["mock", "stub", "replay"]
    scenario: str = ""
    seed: int = 0
    faults: tuple[str, ...] = ()
    digest: str = ""
    """Of the scenario file or of the replayed record."""


# --- evidence ------------------------------------------------------------------------------------------------------


class MetricDeclaration(Value, frozen=True, kw_only=True, omit_defaults=True):
    """A metric as its check declared it at the time of the run; `name` is complete (check, metric, state)."""

    name: MetricName
    unit: str
    kind: Kind
    better: Better
    subject: SubjectKind
    description: str
    series: str = ""
    reduction: Reduction | None = None


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
    visit: int
    look: int = 1
    parameters: dict[str, float | int | str | bool] = {}
    at_once: bool = True
    skip: str = ""
    """Why this step is left out (for example --skip), else empty."""
    metrics: tuple[str, ...] = ()
    """Complete names that this step should yield: so a visit that left nothing behind is missed, not forgotten."""


class Plan(Value, frozen=True, kw_only=True):
    """What a run set out to measure. `metrics` are all the complete metric names that its steps should yield."""

    name: Name
    acceptance: bool
    cohort: str
    """Empty where the node fits no cohort of the profile."""
    steps: tuple[PlannedStep, ...]
    metrics: tuple[str, ...]


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
    visit: int
    look: int = 1
    outcome: Outcome
    reason: str = ""
    started_s: float
    ended_s: float
    failures: tuple[Failure, ...] = ()


class Column(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One metric in one visit: `samples[i]` are the raw samples of `subjects[i]`, in the metric's unit."""

    metric: MetricName
    visit: int
    look: int = 1
    at_s: float
    subjects: tuple[str, ...]
    samples: tuple[tuple[Scalar, ...], ...]


class SeriesSummary(Value, frozen=True, kw_only=True):
    """What the record keeps of one series of one subject; the samples themselves lie in series.json.gz.

    `low` and `high` are the minimum and maximum of each of up to 200 equal parts of the samples, so that a dip of one
    sample stays visible. `sha256` is over the series' own canonical JSON.
    """

    name: MetricName
    unit: str
    subject: str
    count: int
    first_s: float
    last_s: float
    largest_gap_s: float
    minimum: float
    maximum: float
    mean: float
    low: tuple[float, ...]
    high: tuple[float, ...]
    sha256: str


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


# --- judgement -----------------------------------------------------------------------------------------------------


class Part(Value, frozen=True, kw_only=True, omit_defaults=True):
    """What to put a hand on. Fields that are not known stay empty."""

    subject: str
    gpu: int | None = None
    link: int | None = None
    peer: int | None = None
    name: str = ""
    serial: str = ""
    uuid: str = ""
    pci_bus_id: str = ""
    module_id: int | None = None
    slot: str = ""


class Verdict(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One limit on one subject. `value` is the judged median or reading; `expanded_uncertainty` is U in its unit."""

    subject: str
    result: Result
    value: Scalar | None = None
    expanded_uncertainty: float | None = None
    reason: str


class Judged(Value, frozen=True, kw_only=True):
    """One limit over all its subjects: counts, the worst subject, and every verdict that is not a pass."""

    limit: Name
    metric: MetricName
    effect: Effect
    passed: int
    failed: int
    inconclusive: int
    errors: int
    skipped: int
    worst: Verdict | None
    missed: tuple[Verdict, ...]


class Finding(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to act on: verdicts that are no pass, of one part, of one cause; the leading one is written out."""

    result: Result
    part: Part
    title: str
    metric: MetricName
    limit: Name
    value: Scalar | None = None
    expanded_uncertainty: float | None = None
    unit: str
    requirement: str
    """The limit in words, for example `≥ 5900 GB/s`."""
    reason: str
    cause: Cause
    action: Action
    advice: tuple[str, ...]
    also: tuple[str, ...] = ()
    """Other limit ids that the same part misses."""


class Coverage(Value, frozen=True, kw_only=True):
    """Planned against measured, for one kind of subject or quantity."""

    what: str
    unit: str
    planned: float
    measured: float


class Judgement(Value, frozen=True, kw_only=True):
    """The conclusion from evidence and profile alone: any machine comes to the same one."""

    decision: Decision
    reason: str
    plan: str
    cohort: str
    judged: tuple[Judged, ...]
    findings: tuple[Finding, ...]
    coverage: tuple[Coverage, ...]
    not_in_plan: tuple[str, ...]
    """Required limits on metrics that this plan does not measure: they do not decide."""
    assumptions: int
    """Number of required limits whose source is `assumption`."""
    observed_misses: int
    """Number of `observe` limits that are not met."""


class Look(Value, frozen=True, kw_only=True):
    """What has to be measured again before a verdict can be reached: these checks, in these states."""

    checks: tuple[tuple[str, str], ...]


# --- record --------------------------------------------------------------------------------------------------------


class Signer(Value, frozen=True, kw_only=True):
    """A public key that signed, for integrity only: trust comes from the verifier's own file."""

    role: Name
    spki: str
    """DER SubjectPublicKeyInfo, standard base64."""


class LedgerPosition(Value, frozen=True, kw_only=True):
    """Where this run stands among all that were started with this key. `persistent: false`: the ledger may vanish."""

    number: int
    started: int
    unfinished: int
    head: str
    persistent: bool


class Predicate(Value, frozen=True, kw_only=True):
    """The body of a record."""

    schema_version: Literal[1] = 1
    certificate_id: str
    template: str
    """Template version that the page beside the record was rendered with."""
    language: str
    evidence: Evidence
    judgement: Judgement
    ledger: LedgerPosition
    signers: tuple[Signer, ...]


class StatementSubject(Value, frozen=True, kw_only=True):
    """What the record is about: the node, and each GPU; the digest is over its canonical identity line."""

    name: str
    digest: dict[str, str]


class Statement(Value, frozen=True, kw_only=True, rename={"type_": "_type", "predicate_type": "predicateType"}):
    """in-toto Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md)."""

    type_: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
    subject: tuple[StatementSubject, ...]
    predicate_type: str
    predicate: Predicate
