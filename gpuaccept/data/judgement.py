"""What was concluded from evidence and profile."""

from gpuaccept.data.base import Action, Cause, Decision, Effect, MetricName, Name, Result, Scalar, Value


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
    """One limit on one subject. `value` is the judged median or reading; `expanded_uncertainty` is U in its unit.

    A record leaves out the reason of a pass, which is always the same.
    """

    subject: str
    result: Result
    value: Scalar | None = None
    expanded_uncertainty: float | None = None
    reason: str = "meets the limit"


class Judged(Value, frozen=True, kw_only=True, omit_defaults=True):
    """One limit over all its subjects: counts, the worst subject, and every verdict that is not a pass."""

    limit: Name
    metric: MetricName
    effect: Effect
    passed: int = 0
    failed: int = 0
    inconclusive: int = 0
    errors: int = 0
    skipped: int = 0
    worst: Verdict | None = None
    missed: tuple[Verdict, ...] = ()


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
