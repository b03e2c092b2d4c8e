"""What the steps of a run need at least: their bytes and operations at the rates that the run itself measured."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from typing import Any

from gpuaccept.check import Parameters
from gpuaccept.data import Evidence, PlannedStep, StepRun
from gpuaccept.run.loading import load_checks
from gpuaccept.run.plan import parameters_of

MIB = 1 << 20
GB = 1e9


class Rates:
    """The figures of a run, by metric, subject and visit."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.checks = load_checks()
        self._samples: dict[tuple[str, str], list[float]] = {}
        for column in evidence.columns:
            for subject, samples in zip(column.subjects, column.samples, strict=True):
                numbers = [float(one) for one in samples if _is_number(one)]
                self._samples.setdefault((column.metric, subject), []).extend(numbers)

    def median(self, metric: str, subject: str) -> float | None:
        """Of all samples of all visits; None where there is none."""
        samples = self._samples.get((metric, subject))
        return statistics.median(samples) if samples else None

    def subjects(self, metric: str) -> list[str]:
        """Which subjects have samples of a metric."""
        return [subject for name, subject in self._samples if name == metric and self._samples[name, subject]]

    def memory_bytes(self, subject: str) -> int:
        """Of a GPU, as NVML reports it."""
        return next((g.memory_total_bytes for g in self.evidence.node.gpus if f"gpu/{g.index}" == subject), 0)

    def steps(self) -> Iterator[tuple[StepRun, PlannedStep]]:
        """Every step that was run, and how it was planned."""
        return zip(self.evidence.steps, self.evidence.plan.steps, strict=False)

    def parameters(self, step: PlannedStep) -> Any:
        """Of a step, with the check's defaults."""
        found: Parameters = parameters_of(self.checks[step.check].check, step.parameters)
        return found

    def module(self, check: str) -> Any:
        """The check's file, for its patterns and rounds."""
        return sys.modules[self.checks[check].check.measure.__module__]


def floor_s(rates: Rates, run: StepRun, step: PlannedStep) -> float:
    """Seconds that a step needs at least: the slowest GPU's, or the sum of all where one goes at a time.

    0 for steps that only read states, and for what was not measured.
    """
    if run.outcome != "completed":
        return 0.0
    if step.check == "thermal_soak":
        return float(rates.parameters(step).duration_s)
    if step.check == "nvlink":
        return _nvlink(rates, step)
    of_one = {"memory_bandwidth": _bandwidth, "memory_integrity": _integrity, "compute": _compute}.get(step.check)
    if of_one is None:
        return 0.0
    each = [of_one(rates, step, f"gpu/{gpu.index}") for gpu in rates.evidence.node.gpus]
    return max(each, default=0.0) if step.at_once else sum(each)


def _bandwidth(rates: Rates, step: PlannedStep, gpu: str) -> float:
    """The timed passes alone: patterns that are written before and verified after are the method's own cost."""
    p = rates.parameters(step)

    def rate(name: str, state: str = step.state) -> float | None:
        return rates.median(f"memory_bandwidth.{name}_{state}", gpu)

    read = rate("read_sm")
    timed = [copy.metric for copy in rates.module("memory_bandwidth").HOST_COPIES if copy.paths == p.paths]
    if timed:
        found = [rate(name) for name in timed]
        size = p.host_buffer_mib * MIB / GB
        return float(p.repeats * size * sum(1 / one for one in found if one)) if all(found) else 0.0
    if not read:
        return 0.0
    if p.paths == "regions":
        covered = (rates.median("memory_bandwidth.region_coverage", gpu) or 0.0) / 100 * rates.memory_bytes(gpu) / GB
        return float(p.region_repeats * covered * p.region_passes / read)
    size = p.buffer_mib * MIB / GB
    counted = {"read_sm": 1, "write_sm": 1, "copy_sm": 2, "triad_sm": 3, "device_local_copy": 1}
    return float(sum(p.repeats * p.passes * size * n / (rate(name) or float("inf")) for name, n in counted.items()))


def _integrity(rates: Rates, step: PlannedStep, gpu: str) -> float:
    """Every pattern is read and written once, at the rate of the copy."""
    copy = rates.median("memory_bandwidth.copy_sm_cold", gpu)
    coverage = rates.median("memory_integrity.coverage", gpu)
    if not copy or not coverage:
        return 0.0
    patterns = len(rates.module("memory_integrity").patterns(rates.parameters(step).march, 0))
    return 2 * coverage / 100 * rates.memory_bytes(gpu) * patterns / (copy * GB)


def _compute(rates: Rates, step: PlannedStep, gpu: str) -> float:
    p, module, spent = rates.parameters(step), rates.module("compute"), 0.0
    for precision in module.asked(p):
        tera = rates.median(f"compute.gemm_{precision}", gpu)
        if tera:
            spent += 2 * p.size**3 * module._passes(p, precision) * p.repeats / (tera * 1e12)
    return float(spent)


def _nvlink(rates: Rates, step: PlannedStep) -> float:
    """Timed copies alone: pairs of a round at the same time, rounds and kinds of copies one after the other."""
    p, module = rates.parameters(step), rates.module("nvlink")
    gpus = tuple(gpu.index for gpu in rates.evidence.node.gpus)
    if not p.copies or len(gpus) < 2:
        return 0.0
    size, spent = p.buffer_mib * MIB / GB, 0.0

    def seconds(name: str, subject: str, bytes_: float) -> float:
        rate = rates.median(f"nvlink.{name}_{step.state}", subject)
        return bytes_ / rate if rate else 0.0

    for pairs in module.rounds(gpus):
        for copy in module.COPIES:
            moved = p.passes * size * (2 if copy.bidirectional else 1)
            spent += p.repeats * max(seconds(copy.name, f"gpu/{a}>gpu/{b}", moved) for a, b in pairs)
    for name, _, _ in module.TOGETHER:
        each = [seconds(name, f"gpu/{gpu}", (len(gpus) - 1) * size) for gpu in gpus]
        spent += p.repeats * (max(each) if name.startswith("all_to_all") else sum(each))
    return float(spent)


def _is_number(sample: object) -> bool:
    if isinstance(sample, int | float):
        return True
    return isinstance(sample, str) and sample.isdigit()
