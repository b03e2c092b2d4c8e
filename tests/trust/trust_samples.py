"""A small made-up node of two GPUs: evidence that is accepted, and records of it signed by keys of the tests."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import msgspec

from gpuaccept import __version__, series
from gpuaccept.certificate import html
from gpuaccept.data import (
    CheckFacts,
    Cohort,
    Column,
    Environment,
    Evidence,
    GpuFacts,
    Judgement,
    LedgerPosition,
    Limit,
    MetricDeclaration,
    MetricFacts,
    NodeFacts,
    Plan,
    PlannedStep,
    PlanSpec,
    Profile,
    SeriesGroup,
    Sigma,
    Simulated,
    Step,
    StepRun,
)
from gpuaccept.judge import judge
from gpuaccept.record import envelope, keys, statement

NODE = keys.throwaway(hashlib.sha256(b"node").digest())
OTHER = keys.throwaway(hashlib.sha256(b"other").digest())
COPY = "memory_bandwidth.copy_sm_hot"
ERRORS = "ecc.dram_uncorrected_new"
MODEL = "inventory.model"
POWER = "thermal_soak.power_mean"
STEPS = (("inventory", ""), ("ecc", ""), *(("memory_bandwidth", "hot"),) * 3, ("thermal_soak", "hot"), ("ecc", ""))
METRICS = {"inventory": MODEL, "ecc": ERRORS, "memory_bandwidth": COPY, "thermal_soak": POWER}


def limit(name: str, metric: str, unit: str, **requirement: Any) -> Limit:
    return Limit(
        id=name,
        metric=metric,
        unit=unit,
        cause="hardware",
        action="replace",
        source="contract",
        reference="made up for the tests",
        **requirement,
    )


def profile() -> Profile:
    sigma = Sigma(sigma_percent=0.2, degrees_of_freedom=60.0, source="assumption", reference="made up for the tests")
    return Profile(
        name="test-site",
        version="1",
        title="A site of the tests",
        cohorts=(
            Cohort(
                name="two",
                hardware="test",
                description="two GPUs",
                pci_device_ids=("2901",),
                gpus=2,
                links_per_gpu=0,
                cooling="air",
                slots={"1": "SXM1", "2": "SXM2"},
                metrics={COPY: MetricFacts(typical=6000.0, ceiling=8000.0, visit=sigma, gpu=sigma)},
                limits=(
                    limit(MODEL, MODEL, "", equals="Test GPU"),
                    limit(COPY, COPY, "GB/s", minimum=5700.0),
                    limit(ERRORS, ERRORS, "errors", maximum=0.0),
                    limit(POWER, POWER, "W", minimum=800.0),
                ),
                plans={
                    "node": PlanSpec(
                        purpose="for the tests", steps=tuple(Step(check=check, state=state) for check, state in STEPS)
                    )
                },
            ),
        ),
    )


def gpu(index: int) -> GpuFacts:
    return GpuFacts(
        index=index,
        name="Test GPU",
        uuid=f"GPU-0000000{index}-0000-4000-8000-000000000000",
        serial=f"165000000000{index}",
        pci_bus_id=f"00000000:{index + 1:02X}:00.0",
        pci_device_id="2901",
        pci_subsystem_id="10DE:1234",
        module_id=index + 1,
        memory_total_bytes=1 << 36,
    )


def groups() -> tuple[SeriesGroup, ...]:
    """Ten minutes of power at 1 Hz, around 950 W."""
    at = tuple(float(second) for second in range(601))
    return tuple(
        SeriesGroup(
            subject=f"gpu/{index}",
            names=("thermal_soak.power",),
            units=("W",),
            segments=(0,),
            at_s=at,
            values=(tuple(950.0 + index + (second % 7) / 10 for second in range(601)),),
        )
        for index in range(2)
    )


def declared() -> tuple[CheckFacts, ...]:
    def check(name: str, *metrics: MetricDeclaration) -> CheckFacts:
        return CheckFacts(name=name, purpose="for the tests", source_sha256="0" * 64, metrics=metrics)

    def metric(name: str, unit: str, kind: Any, better: Any, **derived: Any) -> MetricDeclaration:
        return MetricDeclaration(
            name=name, unit=unit, kind=kind, better=better, subject="gpu", description="for the tests", **derived
        )

    return (
        check("inventory", metric(MODEL, "", "read", "neither")),
        check("ecc", metric(ERRORS, "errors", "difference", "lower")),
        check("memory_bandwidth", metric(COPY, "GB/s", "sampled", "higher")),
        check("thermal_soak", metric(POWER, "W", "read", "neither", series="thermal_soak.power", reduction="mean")),
    )


def columns() -> tuple[Column, ...]:
    both = ("gpu/0", "gpu/1")
    power = series.derive(groups(), [metric for check in declared() for metric in check.metrics])[POWER]
    return (
        Column(metric=MODEL, visit=1, at_s=0.0, subjects=both, samples=(("Test GPU",), ("Test GPU",))),
        Column(metric=ERRORS, visit=1, at_s=1.0, subjects=both, samples=(("3",), ("0",))),
        *(
            Column(
                metric=COPY,
                visit=visit,
                at_s=10.0 * visit,
                subjects=both,
                samples=((6000.25 + visit, 6001.5, 6002.125), (5990.5, 5991.5 + visit, 5992.5)),
            )
            for visit in (1, 2, 3)
        ),
        Column(metric=POWER, visit=1, at_s=40.0, subjects=both, samples=((power["gpu/0"],), (power["gpu/1"],))),
        Column(metric=ERRORS, visit=2, at_s=700.0, subjects=both, samples=(("3",), ("0",))),
    )


def evidence(**changes: Any) -> Evidence:
    """Evidence of a healthy node, with any field replaced."""
    visits: dict[tuple[str, str], int] = {}
    planned, ran = [], []
    for number, (check, state) in enumerate(STEPS):
        visit = visits[check, state] = visits.get((check, state), 0) + 1
        planned.append(PlannedStep(check=check, state=state, visit=visit, metrics=(METRICS[check],)))
        ran.append(
            StepRun(
                check=check, state=state, visit=visit, outcome="completed", started_s=number * 1.0, ended_s=number + 0.5
            )
        )
    raw = series.encode(groups())
    whole: dict[str, Any] = {
        "run_id": "00112233445566778899aabbccddeeff",
        "started_at": "2026-03-01T08:00:00Z",
        "ended_at": "2026-03-01T08:30:00Z",
        "complete": True,
        "incomplete_reason": "",
        "simulated": None,
        "profile": profile(),
        "profile_layers": (),
        "plan": Plan(name="node", acceptance=True, cohort="two", steps=tuple(planned)),
        "node": NodeFacts(
            host="node042.example",
            serial="CH-4711",
            boot_id="b",
            kernel="6.8",
            operating_system="Test OS",
            driver_version="580.1",
            nvml_version="13.580",
            cuda_driver_version="13.0",
            numa_nodes=2,
            gpu_count_pci=2,
            gpu_count_nvml=2,
            gpu_count_cuda=2,
            gpus=(gpu(0), gpu(1)),
        ),
        "environment": Environment(gpuaccept_version=__version__, python_version="3", libraries=()),
        "checks": declared(),
        "steps": tuple(ran),
        "columns": columns(),
        "series": series.summarise(groups(), [metric for check in declared() for metric in check.metrics]),
        "series_sha256": hashlib.sha256(raw).hexdigest(),
        "events": (),
    }
    return Evidence(**{**whole, **changes})


def simulated() -> Evidence:
    return evidence(simulated=Simulated(by="mock", scenario="test", seed=1))


def payload(of: Evidence, *signers: keys.SigningKey, judgement: Judgement | None = None) -> bytes:
    """Payload bytes that list these signers as `node`."""
    return statement.encode(made(of, *signers, judgement=judgement))


def made(of: Evidence, *signers: keys.SigningKey, judgement: Judgement | None = None) -> Any:
    return statement.build(
        of,
        judgement or judge(of),
        LedgerPosition(number=1, started=1, unfinished=0, head="0" * 64, persistent=True),
        [statement.signer("node", key.public) for key in signers],
        html.TEMPLATE,
        "en",
    )


def record(of: Evidence | None = None, *signers: keys.SigningKey, judgement: Judgement | None = None) -> bytes:
    """A signed record; by the test's node key where no other is named."""
    by = signers or (NODE,)
    return envelope.sign(payload(of or evidence(), *by, judgement=judgement), by)


def resigned(changed_payload: bytes, *signers: keys.SigningKey) -> bytes:
    """An envelope around any bytes: what a hostile signer can make."""
    return envelope.sign(changed_payload, signers or (NODE,))


def change(data: bytes, path: str, value: Any) -> bytes:
    """Payload bytes with one value replaced, in canonical encoding: `predicate/evidence/columns/0/samples/0/0`."""
    tree = msgspec.json.decode(data)
    at = tree
    *parents, last = path.split("/")
    for name in parents:
        at = at[int(name)] if isinstance(at, list) else at[name]
    at[int(last) if isinstance(at, list) else last] = value
    return msgspec.json.encode(tree)


def leave(directory: Path, record_bytes: bytes | None = None) -> Path:
    """A result directory: record and series. Returns the record's path."""
    path = directory / "record.json"
    path.write_bytes(record_bytes or record())
    (directory / "series.json.gz").write_bytes(series.pack(series.encode(groups())))
    return path


def trust_file(directory: Path, key: str = "", **changes: Any) -> Path:
    """A trust file with the test's node key, as YAML (JSON is YAML)."""
    entry = {
        "key": key or NODE.public.spki_text,
        "person": "E. Engineer",
        "organisation": "Supplier GmbH",
        "roles": ["node"],
        "valid_from": "2026-01-01",
        "valid_until": "2026-12-31",
        **changes,
    }
    path = directory / "trust.yaml"
    path.write_bytes(msgspec.json.encode({"keys": [entry]}))
    return path
