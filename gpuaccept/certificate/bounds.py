"""What the certificate does not prove, and how much could have gone unseen."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from gpuaccept.certificate.lookup import Lookup, words
from gpuaccept.certificate.numbers import duration, number, plain
from gpuaccept.certificate.words import plural
from gpuaccept.data import Evidence, Failure, Limit
from gpuaccept.judge.statistics import median
from gpuaccept.judge.subjects import order

SHOWN = 12
"""Measurements that could not be made, shown one by one; the rest are counted."""

ABSOLUTE = (
    ("memory_bandwidth.copy_sm_hot", "memory bandwidth of every GPU alike"),
    ("memory_bandwidth.host_to_device_memcpy_ce_cold", "host bandwidth of every GPU alike"),
    ("nvlink.device_to_device_memcpy_read_ce_hot", "NVLink bandwidth of every pair alike"),
)


class Bound(Struct, frozen=True):
    """Something that could be there, how much of it, and why that is not known better."""

    what: str
    bound: str
    why: str


class Gap(Struct, frozen=True):
    """Something that was planned and not measured."""

    what: str
    count: str
    why: str


def bounds(look: Lookup) -> tuple[Bound, ...]:
    """Upper bounds at 95 % confidence where there is one, and what was not tested at all."""
    simulated = look.evidence.simulated is not None
    fixed: tuple[Bound, ...] = (
        _cells(look),
        Bound("Row hammer, retention, rare data patterns", "not tested", "needs the memory's physical geometry"),
        Bound("Faults that need hours or years", "not tested", "state at the test date; no statement on the future"),
        _cooling(look),
        Bound(
            "Network between nodes, storage, host memory",
            "not in scope",
            "this certificate is about GPUs and their links",
        ),
        Bound(
            "Forged readings", "not excluded", "root on the node can fake what software reads; no GPU endorsed this run"
        ),
    )
    if simulated:
        fixed = (Bound("A real GPU", "not tested", "the run was simulated: it says nothing about any hardware"), *fixed)
    return (*_corruption(look), *_links(look), *_loss(look), *fixed)


def gaps(look: Lookup) -> tuple[Gap, ...]:
    """Steps that were left out or failed, and measurements that could not be made, in words."""
    evidence = look.evidence
    out = [
        Gap(_step(step.check, step.state), f"visit {step.visit}", step.skip)
        for step in evidence.plan.steps
        if step.skip
    ]
    out += [
        Gap(
            _step(run.check, run.state),
            f"visit {run.visit}",
            f"{run.outcome.replace('_', ' ')}{': ' if run.reason else ''}{run.reason}",
        )
        for run in evidence.steps
        if run.outcome not in ("completed", "skipped")
    ]
    out += [
        Gap(_step(check, state), plural(count, "visit"), "not reached")
        for (check, state), count in _unreached(evidence)
    ]
    out += _failures(look)
    if len(out) > SHOWN:
        rest = len(out) - SHOWN
        out = [*out[:SHOWN], Gap("and more", plural(rest, "entry", "entries"), "listed in the record")]
    return tuple(out)


def rule_of_three(hours: float) -> str:
    """Upper bound at 95 % of a rate of which nothing was seen in this time: 3/t (Hanley, Lippman-Hand 1983)."""
    rate = 3 / hours
    return number(rate, 0 if rate >= 100 else 1 if rate >= 10 else 2 if rate >= 0.1 else 4)


def _corruption(look: Lookup) -> tuple[Bound, ...]:
    what = "Silent data corruption under load"
    wrong, loaded = look.values("thermal_soak.mismatches"), look.values("thermal_soak.duration")
    both = wrong.keys() & loaded.keys()
    hours = sum(loaded[subject] for subject in both) / 3600
    if hours <= 0:
        return (Bound(what, "not bounded", "no soak was measured"),)
    count = sum(wrong[subject] for subject in both)
    if count:
        return (Bound(what, "seen", f"{plain(count)} results differed in {number(hours, 1)} GPU hours"),)
    odd = sum(look.values("thermal_soak.odd_sms").values())
    if odd:
        return (Bound(what, "seen", f"{plain(odd)} SMs computed something else than the others"),)
    why = f"no mismatch in {number(hours, 1)} GPU hours of load (rule of three)"
    return (Bound(what, f"< {rule_of_three(hours)} a GPU hour", why),)


def _links(look: Lookup) -> tuple[Bound, ...]:
    at = [column.at_s for column in look.evidence.columns if column.metric == "nvlink.recovery_new"]
    values = look.values("nvlink.recovery_new")
    seconds = max(at) - min(at) if at else 0.0
    if not values or seconds <= 0:
        return ()
    count, hours = sum(values.values()), seconds / 3600 * len(values)
    if count:
        return (Bound("NVLink recoveries", "seen", f"{plain(count)} in {number(hours, 1)} link hours"),)
    why = f"none on {len(values)} links in {duration(seconds)} (rule of three)"
    return (Bound("NVLink recoveries", f"< {rule_of_three(hours)} a link hour", why),)


def _loss(look: Lookup) -> tuple[Bound, ...]:
    """How much every part could have lost alike and still pass, and how much one part against its node."""
    out: list[Bound] = []
    metrics = look.cohort.metrics if look.cohort else {}
    for metric, what in ABSOLUTE:
        facts = metrics.get(metric)
        floor = next((li for li in look.limits.values() if li.metric == metric and li.minimum is not None), None)
        us = [e.expanded_uncertainty or 0.0 for e in look.estimates.get(metric, {}).values()]
        if facts is None or facts.typical is None or floor is None or floor.minimum is None or not us:
            continue
        loss = 100 * (facts.typical - floor.minimum - max(us)) / facts.typical
        if loss > 0:
            why = f"floor {plain(floor.minimum)} {floor.unit} + U, typical {plain(facts.typical)} ({facts.source})"
            out.append(Bound(f"Lost {what}", f"≤ {number(loss, 1)} %", why))
    for limit in look.limits.values():
        facts, values = metrics.get(limit.metric), list(look.values(limit.metric).values())
        declared = look.declared.get(limit.metric)
        if declared is None or declared.kind != "sampled":  # what follows speaks of rates
            continue
        if limit.max_deviation is None or facts is None or facts.gpu is None or len(values) < 2:
            continue
        share = limit.max_deviation.sigmas * facts.gpu.sigma_percent
        typical = plain(float(f"{median(values):.4g}"))
        why = f"{plain(limit.max_deviation.sigmas)} σ below the node's median of {typical} {limit.unit}"
        out.append(Bound(f"One part slower than its node: {limit.metric}", f"≤ {number(share, 1)} %", why))
    return tuple(out[:6])


def _cells(look: Lookup) -> Bound:
    """The share of memory that no pattern was written to, on the GPU where it is largest."""
    what, covered = "Bad cells in memory that was not tested", _lowest(look, "memory_integrity.coverage")
    if covered is None:
        return Bound(what, "not tested", "no pattern was written to the memory of every GPU")
    why = f"patterns were written to {number(covered, 2)} % and more of each GPU's memory, and read back"
    return Bound(what, f"≤ {number(100 - covered, 2)} % of memory", why)


def _cooling(look: Lookup) -> Bound:
    """At what inlet the soak ran, and the margin that would be left at the highest inlet that the profile allows.

    Each kelvin more at the inlet is one less of margin while resistance and power stay the same: that is said only
    where no GPU was slowed for heat.
    """
    what, inlet = "Cooling on a hot day", _lowest(look, "thermal_soak.inlet_temperature")
    if inlet is None:
        reason = next((f.reason for f in _failed(look) if f.metric == "thermal_soak.inlet_temperature"), "")
        return Bound(what, "not tested", f"the inlet's temperature is not known{': ' if reason else ''}{reason}")
    tested = f"tested at an inlet of {number(inlet, 1)} °C"
    highest = min((e.maximum for e in _maxima(look, "thermal_soak.inlet_temperature") if e.maximum), default=None)
    margins = (_lowest(look, f"thermal_soak.{name}") for name in ("margin_bound", "margin_min"))
    margin = next((one for one in margins if one is not None), None)
    slowed = [
        *look.values("thermal_soak.sw_thermal_share").values(),
        *look.values("thermal_soak.hw_thermal_share").values(),
    ]
    if highest is not None and inlet >= highest:
        return Bound(
            what, "tested", f"at an inlet of {number(inlet, 1)} °C; the profile's highest is {plain(highest)} °C"
        )
    if highest is None or margin is None or not slowed or any(slowed):
        return Bound(what, "not tested", f"{tested} only")
    left = margin - (highest - inlet)
    why = f"{tested}, margin {number(margin, 1)} K and more; as much less as the inlet gets warmer, at the same power"
    return Bound(what, f"margin ≥ {number(left, 1)} K at {plain(highest)} °C", why)


def _lowest(look: Lookup, metric: str) -> float | None:
    """The lowest value of a figure that every GPU has; None where one lacks it."""
    values = look.values(metric)
    return min(values.values()) if values and len(values) >= len(look.gpus) else None


def _maxima(look: Lookup, metric: str) -> list[Limit]:
    return [limit for limit in look.limits.values() if limit.metric == metric and limit.maximum is not None]


def _failed(look: Lookup) -> list[Failure]:
    return [failure for run in look.evidence.steps for failure in run.failures]


def _failures(look: Lookup) -> list[Gap]:
    """Measurements that could not be made, by check and reason, those on which a limit stands first."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for run in look.evidence.steps:
        for failure in run.failures:
            found.setdefault((run.check, failure.reason), []).append((failure.metric, failure.subject))
    limited = {limit.metric for limit in look.limits.values()}
    ordered = sorted(
        found.items(), key=lambda item: not any(metric in limited or metric.endswith(".*") for metric, _ in item[1])
    )
    out = []
    for (check, reason), parts in ordered:
        metrics, subjects = sorted({metric for metric, _ in parts}), sorted({s for _, s in parts}, key=order)
        what = metrics[0] if len(metrics) == 1 else f"{check}, {len(metrics)} metrics"
        where = words(subjects[0]) + (f" and {len(subjects) - 1} more" if len(subjects) > 1 else "")
        times = f", {plain(len(parts))} times in all" if len(parts) > 1 else ""
        out.append(Gap(what, f"{where}{times}", reason))
    return out


def _unreached(evidence: Evidence) -> list[tuple[tuple[str, str], int]]:
    """Planned steps of which the run has no trace."""
    ran = {(run.check, run.state, run.visit, run.look) for run in evidence.steps}
    missing = [s for s in evidence.plan.steps if not s.skip and (s.check, s.state, s.visit, s.look) not in ran]
    return list(Counter((step.check, step.state) for step in missing).items())


def _step(check: str, state: str) -> str:
    return f"{check}, {state}" if state else check
