"""Statements to render: a node of any number of GPUs, healthy or not, made without device, run or judge.

Figures are invented and set out by plain arithmetic, so that every run of the tests sees the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpuaccept import series
from gpuaccept.data import (
    CheckFacts,
    Cohort,
    Column,
    Coverage,
    Deviation,
    Environment,
    Event,
    Evidence,
    Failure,
    Finding,
    GpuFacts,
    Judged,
    Judgement,
    Layer,
    LedgerPosition,
    Limit,
    MetricDeclaration,
    MetricFacts,
    NodeFacts,
    Part,
    Plan,
    PlannedStep,
    PlanSpec,
    Predicate,
    Profile,
    SeriesGroup,
    Sigma,
    Signer,
    Simulated,
    Statement,
    StatementSubject,
    Step,
    StepRun,
    Verdict,
)
from gpuaccept.record.envelope import sign
from gpuaccept.record.keys import throwaway
from gpuaccept.record.statement import encode

KEY = throwaway(b"certificate samples, not secret!")
LINKS = 18
SOAK_S = 600


def metric(name: str, unit: str, kind: str, subject: str, description: str, better: str = "neither", **more):
    return MetricDeclaration(
        name=name, unit=unit, kind=kind, better=better, subject=subject, description=description, **more
    )


METRICS = (
    metric("inventory.gpu_count_pci", "GPUs", "counted", "node", "GPUs found on the PCI bus"),
    metric("inventory.model", "", "read", "gpu", "Model name"),
    metric("inventory.serial", "", "read", "gpu", "Serial number of the board"),
    metric("inventory.ecc_mode", "", "read", "gpu", "ECC mode in force"),
    metric("inventory.power_limit_enforced", "W", "read", "gpu", "Power limit in force"),
    metric("ecc.dram_uncorrected_aggregate", "errors", "counted", "gpu", "Uncorrected memory errors in life", "lower"),
    metric("ecc.dram_corrected_new", "errors/h", "rate", "gpu", "Corrected memory errors in the run", "lower"),
    metric("nvlink.links_active", "links", "counted", "gpu", "NVLinks that are up", "higher"),
    metric("nvlink.state", "", "read", "link", "State of each NVLink"),
    metric("nvlink.recovery_new", "events", "difference", "link", "Recoveries in the run", "lower"),
    metric("nvlink.p2p_read", "", "read", "pair", "Peer access, read"),
    metric("nvlink.device_to_device_memcpy_read_ce_hot", "GB/s", "sampled", "pair", "Peer read, copy engine", "higher"),
    metric("memory_bandwidth.copy_sm_hot", "GB/s", "sampled", "gpu", "Device memory copy, read and write", "higher"),
    metric("memory_bandwidth.read_sm_hot", "GB/s", "sampled", "gpu", "Device memory read", "higher"),
    metric("memory_bandwidth.wrong_words_hot", "words", "counted", "gpu", "Words that came back wrong", "lower"),
    metric(
        "thermal_soak.margin_min",
        "K",
        "read",
        "gpu",
        "Smallest margin to slowdown",
        "higher",
        series="thermal_soak.margin",
        reduction="minimum",
    ),
    metric(
        "thermal_soak.power_mean",
        "W",
        "read",
        "gpu",
        "Mean power under load",
        "higher",
        series="thermal_soak.power",
        reduction="mean",
    ),
    metric(
        "thermal_soak.duration",
        "s",
        "read",
        "gpu",
        "Time under load",
        "higher",
        series="thermal_soak.power",
        reduction="duration",
    ),
    metric("thermal_soak.mismatches", "results", "counted", "gpu", "Results that differ, bit for bit", "lower"),
)


def limit(id: str, name: str, unit: str, cause: str = "hardware", action: str = "replace", **more) -> Limit:
    more.setdefault("source", "published")
    more.setdefault("reference", "a public health check of this board")
    return Limit(id=id, metric=name, unit=unit, cause=cause, action=action, **more)


def cohort(gpus: int) -> Cohort:
    """One kind of node with `gpus` GPUs."""
    copy = "memory_bandwidth.copy_sm_hot"
    sigma = Sigma(sigma_percent=0.3, degrees_of_freedom=60, source="assumption", reference="until learned")
    configuration = {"cause": "configuration", "action": "correct the setting"}
    return Cohort(
        name="b200",
        hardware="hgx-b200",
        description="HGX B200 board, air",
        pci_device_ids=("2901",),
        gpus=gpus,
        links_per_gpu=LINKS,
        cooling="air",
        slots={str(k + 1): f"SXM {k + 1}" for k in range(gpus)},
        switches=2,
        metrics={copy: MetricFacts(typical=6290.0, ceiling=7672.0, visit=sigma, gpu=sigma, type_b_percent=0.1)},
        limits=(
            limit("gpu_count", "inventory.gpu_count_pci", "GPUs", equals=str(gpus), source="spec"),
            limit("model", "inventory.model", "", equals="NVIDIA B200", source="contract"),
            limit("ecc_on", "inventory.ecc_mode", "", equals="enabled", source="contract", **configuration),
            limit("power_limit", "inventory.power_limit_enforced", "W", equals=1000.0, source="spec", **configuration),
            limit("dram_uncorrected", "ecc.dram_uncorrected_aggregate", "errors", equals="0"),
            limit("dram_corrected", "ecc.dram_corrected_new", "errors/h", maximum=100.0, effect="observe"),
            limit("links", "nvlink.links_active", "links", equals=str(LINKS), source="spec"),
            limit("link_state", "nvlink.state", "", equals="active"),
            limit("link_recovery", "nvlink.recovery_new", "events", equals="0"),
            limit("p2p", "nvlink.p2p_read", "", equals="ok"),
            limit("peer_read", "nvlink.device_to_device_memcpy_read_ce_hot", "GB/s", minimum=725.0),
            limit("copy_floor", copy, "GB/s", minimum=5900.0, source="assumption"),
            limit("copy_straggler", copy, "GB/s", max_deviation=Deviation(sigmas=5.0), source="assumption"),
            limit("read_floor", "memory_bandwidth.read_sm_hot", "GB/s", minimum=6500.0, source="assumption"),
            limit("wrong_words", "memory_bandwidth.wrong_words_hot", "words", equals="0", source="spec"),
            limit("margin", "thermal_soak.margin_min", "K", "facility", "call the facility", minimum=10.0),
            limit(
                "loaded", "thermal_soak.power_mean", "W", minimum=950.0, effect="valid", valid_for=("thermal_soak.*",)
            ),
            limit("mismatches", "thermal_soak.mismatches", "results", equals="0", source="spec"),
        ),
        plans={"acceptance": PlanSpec(purpose="site acceptance", acceptance=True, steps=(Step(check="inventory"),))},
    )


def node(gpus: int, present: tuple[int, ...], host: str) -> NodeFacts:
    return NodeFacts(
        host=host,
        serial="NR8B-004417",
        boot_id="6f0d3b52-9a3e-4a77-9f0e-1c7a4e6d2b10",
        kernel="6.8.0-60-generic",
        operating_system="Ubuntu 24.04.3 LTS",
        driver_version="595.71.05",
        nvml_version="13.595.71.05",
        cuda_driver_version="13.0",
        fabric_manager_version="595.71.05",
        numa_nodes=2,
        gpu_count_pci=len(present),
        gpu_count_nvml=len(present),
        gpu_count_cuda=len(present),
        gpus=tuple(
            GpuFacts(
                index=k,
                name="NVIDIA B200",
                uuid=f"GPU-5e1f20a1-0000-4000-8000-91c4{place:08x}",
                serial=f"16545251{place:05d}",
                board_part_number="965-2G525-0220-000",
                vbios="97.00.A4.00.0C",
                inforom_image="G525.0220.00.03",
                pci_bus_id=f"00000000:{0x1B + 16 * place:02X}:00.0",
                pci_device_id="2901",
                pci_subsystem_id="1999",
                module_id=place + 1,
                memory_total_bytes=192265846784,
                sm_count=148,
                compute_capability="10.0",
            )
            for k, place in enumerate(present)
        ),
    )


def columns(gpus: int, slow: int | None, flapping: tuple[int, int] | None) -> tuple[Column, ...]:
    """Raw samples of every metric that isn't derived; `slow` GPU copies at 0.9, `flapping` link recovers 14 times."""
    every = tuple(f"gpu/{g}" for g in range(gpus))
    links = tuple(f"gpu/{g}/link/{k}" for g in range(gpus) for k in range(LINKS))
    pairs = tuple(f"gpu/{a}>gpu/{b}" for a in range(gpus) for b in range(gpus) if a != b)
    bad_link = f"gpu/{flapping[0]}/link/{flapping[1]}" if flapping else ""

    def one(name: str, subjects: tuple[str, ...], value, visit: int = 1, at: float = 1.0) -> Column:
        samples = tuple(tuple(value(s)) for s in subjects)
        return Column(metric=name, visit=visit, at_s=at + 700.0 * (visit - 1), subjects=subjects, samples=samples)

    def rate(base: float, width: float, k: int, visit: int, slow_by: float = 1.0) -> tuple[float, ...]:
        return tuple(round((base + width * ((k * 7 + visit * 3 + r * 5) % 11 - 5)) * slow_by, 3) for r in range(5))

    out = [
        one("inventory.gpu_count_pci", ("node",), lambda s: (str(gpus),)),
        one("inventory.model", every, lambda s: ("NVIDIA B200",)),
        one("inventory.serial", every, lambda s: (f"165452510{s[4:]}",)),
        one("inventory.ecc_mode", every, lambda s: ("enabled",)),
        one("inventory.power_limit_enforced", every, lambda s: (1000.0,)),
        one("ecc.dram_uncorrected_aggregate", every, lambda s: ("0",)),
        one("nvlink.links_active", every, lambda s: (str(LINKS),)),
        one("nvlink.state", links, lambda s: ("active",)),
        one("nvlink.p2p_read", pairs, lambda s: ("ok",)),
        one("thermal_soak.mismatches", every, lambda s: ("0",)),
        one("memory_bandwidth.wrong_words_hot", every, lambda s: ("0",)),
    ]
    for visit in (1, 2, 3):
        out += [
            one("ecc.dram_corrected_new", every, lambda s, v=visit: (str(3 + v),), visit),
            one("nvlink.recovery_new", links, lambda s, v=visit: (str(7 * v - 7 if s == bad_link else 2),), visit),
            one(
                "memory_bandwidth.copy_sm_hot",
                every,
                lambda s, v=visit: rate(6290, 2.1, int(s[4:]), v, 0.9 if s == f"gpu/{slow}" else 1.0),
                visit,
            ),
            one(
                "memory_bandwidth.read_sm_hot",
                every,
                lambda s, v=visit: rate(7100, 3.0, int(s[4:]), v, 0.9 if s == f"gpu/{slow}" else 1.0),
                visit,
            ),
            one(
                "nvlink.device_to_device_memcpy_read_ce_hot",
                pairs,
                lambda s, v=visit: rate(765, 0.15, int(s[4]) + 3 * int(s[-1]), v),
                visit,
            ),
        ]
    return tuple(column for column in out if column.subjects)


def soak(gpus: int, hot: int | None) -> tuple[SeriesGroup, ...]:
    """1 Hz sensors of every GPU in two segments; the `hot` GPU has 28 K less margin."""
    names = ("temperature", "margin", "memory_temperature", "power", "sm_clock")
    out = []
    at = tuple(float(t) if t < SOAK_S else float(t) + 100.0 for t in range(2 * SOAK_S))
    for g in range(gpus):
        rows = []
        for t in range(2 * SOAK_S):
            rise = 1 - 0.62 * 0.92 ** min(t % SOAK_S, 90) - 0.38 * 0.993 ** (t % SOAK_S)
            temperature = 27 + (28 + g + (28 if g == hot else 0)) * rise + (t * 7 + g) % 3 * 0.3
            clock = 1965 - 810 * min(1.0, (t % SOAK_S) / 4) + (t * 13 + g * 5) % 9 * 3
            power = 205 + (785 + g) * min(1.0, (t % SOAK_S) / 3) + (t * 5 + g) % 7
            rows.append((temperature, 88 - temperature, temperature + 9, power, 812.0 if (t, g) == (500, 6) else clock))
        values = tuple(tuple(round(row[i], 1) for row in rows) for i in range(len(names)))
        units = ("°C", "K", "°C", "W", "MHz")
        out.append(
            SeriesGroup(
                subject=f"gpu/{g}",
                names=tuple(f"thermal_soak.{name}" for name in names),
                units=units,
                segments=(0, SOAK_S),
                at_s=at,
                values=values,
            )
        )
    return tuple(out)


def evidence(
    gpus: int = 8,
    present: tuple[int, ...] | None = None,
    host: str = "fra3-b07-u29",
    slow: int | None = None,
    flapping: tuple[int, int] | None = None,
    hot: int | None = None,
    empty: bool = False,
    acceptance: bool = True,
    simulated: bool = True,
) -> Evidence:
    """What was measured. `present` are the places with a GPU; `empty`: interrupted before the first measurement."""
    places = tuple(range(gpus)) if present is None else present
    groups = () if empty else soak(len(places), hot)
    declared = {check: tuple(m for m in METRICS if m.name.startswith(f"{check}.")) for check in _checks()}
    measured = () if empty else columns(len(places), slow, flapping)
    if not empty:
        derived = series.derive(groups, METRICS)
        measured += tuple(
            Column(
                metric=name, visit=1, at_s=1300.0, subjects=tuple(found), samples=tuple((v,) for v in found.values())
            )
            for name, found in derived.items()
            if found
        )
    steps = tuple(
        PlannedStep(check=check, visit=1, metrics=tuple(m.name for m in METRICS if m.name.startswith(f"{check}.")))
        for check in _checks()
    )
    return Evidence(
        run_id="7c1e0b8a52d94f60",
        started_at="2026-11-24T09:06:12Z",
        ended_at="2026-11-24T09:41:50Z",
        complete=not empty,
        incomplete_reason="interrupted by Ctrl-C" if empty else "",
        simulated=Simulated(by="mock", scenario="hgx-b200", seed=7) if simulated else None,
        profile=Profile(
            name="example-fra3",
            version="2.1.0",
            title="Example Cloud, Frankfurt",
            site="Example Cloud FRA3, hall B",
            cohorts=(cohort(gpus),),
        ),
        profile_layers=(Layer(name="profiles/hardware/hgx-b200.yaml", sha256="4b" * 32),),
        plan=Plan(
            name="acceptance" if acceptance else "node",
            acceptance=acceptance,
            cohort="b200",
            steps=steps,
        ),
        node=node(gpus, places, host),
        environment=Environment(gpuaccept_version="0.1.0", python_version="3.12.1", libraries=()),
        checks=tuple(
            CheckFacts(name=check, purpose=f"What {check} is for.", source_sha256="5a" * 32, metrics=metrics)
            for check, metrics in declared.items()
        ),
        steps=()
        if empty
        else tuple(
            StepRun(check=step.check, visit=1, outcome="completed", started_s=10.0 * k, ended_s=10.0 * k + 8.5)
            for k, step in enumerate(steps)
        ),
        columns=measured,
        series=series.summarise(groups, METRICS),
        series_sha256="c4" * 32 if groups else "",
        events=(Event(at_s=1.5, kind="interrupted", text="Ctrl-C"),) if empty else (),
    )


def statement(proof: Evidence, judgement: Judgement) -> Statement:
    """What a record signs, as it reads back: whole numbers become the floats that the types ask for."""
    made = Statement(
        subject=(StatementSubject(name="urn:gpuaccept:node:NR8B-004417", digest={"sha256": "ab" * 32}),),
        predicate_type="urn:gpuaccept:simulated-record:v1" if proof.simulated else "urn:gpuaccept:record:v1",
        predicate=Predicate(
            certificate_id="SIM-20261124-FRA3-B07-U29-7C1E0B8A",
            template="1",
            language="en",
            evidence=proof,
            judgement=judgement,
            ledger=LedgerPosition(number=2, started=2, unfinished=1, head="9d" * 32, persistent=True),
            signers=(Signer(role="node", spki=KEY.public.spki_text),),
        ),
    )
    return msgspec.json.decode(msgspec.json.encode(made), type=Statement)


def part(proof: Evidence, subject: str) -> Part:
    """The part that a subject of a GPU or link names."""
    gpu = int(subject.split("/")[1].split(">")[0])
    facts = proof.node.gpus[gpu]
    return Part(
        subject=subject,
        gpu=gpu,
        link=int(subject.rsplit("/", 1)[1]) if "/link/" in subject else None,
        name=facts.name,
        serial=facts.serial or "",
        uuid=facts.uuid,
        pci_bus_id=facts.pci_bus_id,
        module_id=facts.module_id,
        slot=f"SXM {facts.module_id}",
    )


def finding(proof: Evidence, subject: str, id: str, title: str, value: float | str, **more) -> Finding:
    """A finding on one limit."""
    one = next(li for li in proof.profile.cohorts[0].limits if li.id == id)
    least = f"≥ {one.minimum:g} {one.unit}" if one.minimum is not None else f"= {one.equals} {one.unit}"
    defaults = {
        "result": "fail",
        "reason": "The whole interval y ± U lies beyond the limit, in every one of 3 visits.",
        "advice": (
            "Power-cycle the node, then `gpuaccept run --only memory_bandwidth`.",
            "Still so: open an RMA for the part named here and attach record.json.",
        ),
    }
    return Finding(
        part=part(proof, subject),
        title=title,
        metric=one.metric,
        limit=id,
        value=value,
        unit=one.unit,
        requirement=least.strip(),
        cause=one.cause,
        action=one.action,
        **{**defaults, **more},
    )


def judged(proof: Evidence, missed: Mapping[str, tuple[Verdict, ...]], measured: bool = True) -> tuple[Judged, ...]:
    """Every limit passed by all its subjects but those in `missed`; all skipped where nothing was measured."""
    subjects = {column.metric: column.subjects for column in proof.columns}
    out = []
    for one in proof.profile.cohorts[0].limits:
        found = missed.get(one.id, ())
        count = len(subjects.get(one.metric, ()))
        failed = sum(1 for v in found if v.result == "fail")
        errors = sum(1 for v in found if v.result == "error")
        worst = found[0] if found else None
        out.append(
            Judged(
                limit=one.id,
                metric=one.metric,
                effect=one.effect,
                passed=count - failed,
                failed=failed,
                inconclusive=0,
                errors=errors if measured else 1,
                skipped=0,
                worst=worst,
                missed=found,
            )
        )
    return tuple(out)


def judgement(
    proof: Evidence,
    decision: str = "accepted",
    reason: str = "Every required limit was met on every planned subject.",
    findings: tuple[Finding, ...] = (),
    missed: Mapping[str, tuple[Verdict, ...]] | None = None,
) -> Judgement:
    """A conclusion in the given words."""
    gpus = len(proof.node.gpus)
    measured = bool(proof.columns)
    return Judgement(
        decision=decision,
        reason=reason,
        plan=proof.plan.name,
        cohort="b200",
        judged=judged(proof, missed or {}, measured),
        findings=findings,
        coverage=(
            Coverage(what="GPUs", unit="", planned=proof.profile.cohorts[0].gpus, measured=gpus if measured else 0),
            Coverage(what="links", unit="", planned=gpus * LINKS, measured=gpus * LINKS if measured else 0),
            Coverage(what="soak", unit="s", planned=1200, measured=1198 if measured else 0),
        ),
        not_in_plan=("pcie_width",),
        assumptions=3,
        observed_misses=0,
    )


def healthy(**more) -> Statement:
    """Accepted."""
    proof = evidence(**more)
    return statement(proof, judgement(proof))


def faulty(**more) -> Statement:
    """Rejected for two parts: slow memory on GPU 3, and a link of GPU 5 that goes down and comes back."""
    proof = evidence(slow=3, flapping=(5, 11), **more)
    slow = Verdict(
        subject="gpu/3", result="fail", value=5661.2, expanded_uncertainty=31.4, reason="y + U is below the limit"
    )
    flap = Verdict(subject="gpu/5/link/11", result="fail", value="14", reason="14 is not 0")
    missed = {"copy_floor": (slow,), "copy_straggler": (slow,), "read_floor": (slow,), "link_recovery": (flap,)}
    findings = (
        finding(
            proof,
            "gpu/3",
            "copy_floor",
            "GPU 3: device memory is slow",
            5661.2,
            expanded_uncertainty=31.4,
            also=("copy_straggler", "read_floor"),
        ),
        finding(proof, "gpu/5/link/11", "link_recovery", "GPU 5: NVLink 11 goes down and comes back", "14"),
    )
    reason = "2 parts fail: GPU 3 (memory_bandwidth.copy_sm_hot) and GPU 5 link 11 (nvlink.recovery_new)."
    return statement(proof, judgement(proof, "rejected", reason, findings, missed))


def interrupted() -> Statement:
    """Ended before anything was measured."""
    proof = evidence(empty=True)
    return statement(proof, judgement(proof, "not decided", "The run was interrupted before anything was measured."))


def missing_gpu() -> Statement:
    """Seven of eight GPUs: slot SXM 5 is empty, and one GPU stopped answering."""
    proof = evidence(present=(0, 1, 2, 3, 5, 6, 7), hot=2)
    count = Verdict(subject="node", result="fail", value="7", reason="7 is not 8")
    hot = Verdict(subject="gpu/2", result="fail", value=3.4, reason="below the limit")
    gone = Finding(
        result="fail",
        part=Part(subject="node", name="GPU in slot SXM 5", module_id=5, slot="SXM 5"),
        title="A GPU is missing: nothing answers in slot SXM 5",
        metric="inventory.gpu_count_pci",
        limit="gpu_count",
        value="7",
        unit="GPUs",
        requirement="= 8 GPUs",
        reason="PCI, NVML and CUDA all find 7 GPUs; module 5 is the one that is not there.",
        cause="hardware",
        action="replace",
        advice=("Look whether the GPU in slot SXM 5 is seated; power-cycle the node and run again.",),
    )
    warm = finding(proof, "gpu/2", "margin", "GPU 2 comes too close to slowdown", 3.4)
    proof = msgspec.structs.replace(
        proof,
        steps=(
            *proof.steps,
            StepRun(
                check="ecc",
                visit=2,
                outcome="error",
                reason="no answer for 2 s",
                started_s=60.0,
                ended_s=62.0,
                failures=(
                    Failure(
                        metric="ecc.*",
                        subject="gpu/6",
                        call="nvmlDeviceGetTotalEccErrors",
                        code=15,
                        reason="GPU is lost",
                    ),
                ),
            ),
        ),
        events=(Event(at_s=61.2, kind="gpu_lost", subject="gpu/6", text="XID 79: GPU has fallen off the bus"),),
    )
    return statement(
        proof,
        judgement(
            proof,
            "rejected",
            "A GPU is missing in slot SXM 5.",
            (gone, warm),
            {"gpu_count": (count,), "margin": (hot,)},
        ),
    )


def hostile(text: str) -> Statement:
    """A healthy node whose every free text is `text`."""
    proof = evidence(gpus=2, host=text)
    gpus = tuple(
        msgspec.structs.replace(gpu, serial=text, vbios=text, name=text, board_part_number=text)
        for gpu in proof.node.gpus
    )
    profile = msgspec.structs.replace(proof.profile, title=text[:400], site=text[:400], notes=(text[:400],))
    proof = msgspec.structs.replace(
        proof,
        node=msgspec.structs.replace(proof.node, gpus=gpus, operating_system=text, driver_version=text),
        profile=profile,
        incomplete_reason=text,
        complete=False,
        events=(Event(at_s=1.0, kind="xid", subject="gpu/0", text=text),),
    )
    bad = finding(proof, "gpu/0", "model", text, text, reason=text, advice=(text,))
    missed = {"model": (Verdict(subject="gpu/0", result="fail", value=text, reason=text),)}
    made = statement(proof, judgement(proof, "rejected", text, (bad,), missed))
    return msgspec.structs.replace(made, predicate=msgspec.structs.replace(made.predicate, certificate_id=text))


def _checks() -> tuple[str, ...]:
    return tuple(dict.fromkeys(m.name.partition(".")[0] for m in METRICS))


def envelope(made: Statement) -> bytes:
    """The statement as a record, signed by a key that is good for nothing else."""
    return sign(encode(made), [KEY])
