"""What people demand: profiles, limits, plans."""

from typing import Annotated, Literal

from msgspec import Meta

from gpuaccept.data.base import Action, Cause, Effect, MetricName, Name, Scalar, Source, Tails, Text, Value

STARS_LIMIT = 4
"""Most stars in a pattern of a limit: matching many of them against hostile text takes for ever."""


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
    matrix: tuple[Text, ...] | None = None
    """For text of pairs: a row a GPU that acts, a word a peer, `-` on the diagonal, as in `nvidia-smi topo -m`."""
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
    tails: Tails = "normal"
    """Shape of the declared scatter from visit to visit; the 95 % interval of a figure rests on it, no verdict does."""
    metrics: dict[str, MetricFacts]
    limits: tuple[Limit, ...]
    plans: dict[str, PlanSpec]


class OtherCohort(Value, frozen=True, kw_only=True):
    """A cohort that a node is none of: its place among the profile's cohorts, and the sha256 of its canonical JSON."""

    name: Name
    place: Annotated[int, Meta(ge=0, le=1000)]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]


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
    others: tuple[OtherCohort, ...] = ()
    """In a record, the cohorts that the node does not belong to."""
