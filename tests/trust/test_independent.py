"""A second program, written from the rule in words, comes to the same verdicts: on good, bad and edited records."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
import trust_samples as samples
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from gpuaccept.certificate import html
from gpuaccept.columns import pack
from gpuaccept.data import (
    Boot,
    CheckFacts,
    Cohort,
    Column,
    Deviation,
    Evidence,
    Failure,
    Limit,
    MetricDeclaration,
    MetricFacts,
    PlannedStep,
    PlanSpec,
    Sigma,
    Step,
    StepRun,
)
from gpuaccept.judge import judge
from gpuaccept.record import envelope

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "verify_independent.py"


@pytest.fixture(scope="module")
def second() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_independent", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ran(path: Path, *more: Path | str) -> tuple[int, str]:
    # -I: nothing of this environment can be imported, so nothing of gpuaccept is.
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, path, *more], capture_output=True, text=True, check=False
    )
    assert (done.stderr == "") == (done.returncode != 2)
    return done.returncode, done.stdout or done.stderr


def test_it_can_be_read_in_one_sitting() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 300
    assert "import gpuaccept" not in text
    assert "from gpuaccept" not in text


def test_it_says_how_it_is_used_where_it_is_asked() -> None:
    code, out = ran(Path("--help"))
    assert (code, "Usage: verify_independent.py" in out) == (2, True)


@pytest.mark.needs("openssl")
def test_it_agrees_on_a_record_and_on_its_page(tmp_path: Path) -> None:
    record = samples.leave(tmp_path)
    (tmp_path / "key.pub").write_text(samples.NODE.public.pem)
    code, out = ran(record, tmp_path / "key.pub")
    assert (code, "agree" in out, "the given key" in out) == (0, True, True), out
    assert "A KEY THAT ONLY THE RECORD ITSELF NAMES" in ran(record)[1]
    page = tmp_path / "certificate.html"
    page.write_bytes(html.render(envelope.open_record(record.read_bytes()).statement, record.read_bytes()))
    assert ran(page)[0] == 0


@pytest.mark.needs("openssl")
def test_it_refuses_another_key_an_edit_and_a_lie(tmp_path: Path) -> None:
    record = samples.leave(tmp_path)
    (tmp_path / "other.pub").write_text(samples.OTHER.public.pem)
    assert ran(record, tmp_path / "other.pub")[0] == 4
    good = record.read_bytes()
    record.write_bytes(good.replace(b'"sig":"', b'"sig":"A', 1))
    assert ran(record)[0] == 4
    payload = envelope.open_record(good).payload
    lies = {
        "predicate/judgement/decision": "rejected",
        "predicate/judgement/judged/0/passed": 1,
        "predicate/evidence/columns/6/samples/0/0": "4",
        "predicate/evidence/profile/cohorts/0/limits/1/minimum": 6500.0,
    }
    for path, value in lies.items():
        record.write_bytes(samples.resigned(samples.change(payload, path, value)))
        code, out = ran(record)
        assert (code, "differ" in out) == (4, True), path
    for edit in (b'"decision":"accepted","decision":"', b'"decision":NaN,"x":"'):
        record.write_bytes(samples.resigned(payload.replace(b'"decision":"', edit, 1)))
        assert ran(record)[0] == 4


@pytest.mark.needs("openssl")
def test_a_file_that_is_not_there_says_nothing_about_the_record(tmp_path: Path) -> None:
    record = samples.leave(tmp_path)
    for arguments in ((tmp_path / "none.json",), (record, tmp_path / "none.pub")):
        code, said = ran(*arguments)
        assert (code, said) == (2, f"{arguments[-1]}: No such file or directory\n")
    assert ran(record, "a", "b")[0] == 2
    assert ran(record, record) == (
        4,
        "not valid: ValueError: 'no signature by the given key, or not one for each listed signer'\n",
    )


@pytest.mark.needs("openssl")
def test_a_simulated_record_needs_to_be_asked_for_and_never_passes_as_a_real_one(tmp_path: Path) -> None:
    record = samples.leave(tmp_path, samples.record(samples.simulated()))
    code, out = ran(record)
    assert (code, "--allow-simulated" in out, "agree" in out) == (4, True, False)
    code, out = ran(record, "--allow-simulated")
    assert (code, "SIMULATED" in out) == (0, True)
    payload = envelope.open_record(record.read_bytes()).payload
    for path, value in (("predicateType", "urn:gpuaccept:record:v1"), ("predicate/evidence/simulated", None)):
        record.write_bytes(samples.resigned(samples.change(payload, path, value)))
        code, out = ran(record, "--allow-simulated")
        assert (code, "predicate type" in out) == (4, True), path


@pytest.mark.needs("openssl")
def test_an_envelope_has_one_spelling_and_holds_nothing_else(tmp_path: Path) -> None:
    record = samples.leave(tmp_path)
    good = record.read_bytes()
    whole = msgspec.json.decode(good)
    spellings = (
        good + b"\n",
        good + b"\n</script>",
        msgspec.json.format(good),
        msgspec.json.encode({**whole, "note": "accepted by the buyer"}),
        msgspec.json.encode({**whole, "signatures": [{**whole["signatures"][0], "x": 1}]}),
        msgspec.json.encode(dict(reversed(whole.items()))),
        msgspec.json.encode({**whole, "payloadType": "text/plain"}),
        good.replace(b"A", b"\\u0041", 1),
    )
    for one in spellings:
        record.write_bytes(one)
        assert ran(record)[0] == 4, one[-60:]
    page = html.render(envelope.open_record(good).statement, good)
    record.write_bytes(page + page)
    assert ran(record)[0] == 4


# --- any evidence: both programs, verdict by verdict ---------------------------------------------------------------

numbers = st.sampled_from([0.0, 90.0, 99.0, 99.5, 99.9, 100.0, 100.1, 101.0, 110.0])
counters = st.sampled_from(["0", "1", "2", "7", "-1"])
words = st.sampled_from(["a", "b"])
KINDS = ("sampled", "read", "counted", "difference", "rate")
SUBJECTS = {
    "node": ["node"],
    "gpu": [f"gpu/{i}" for i in range(4)],
    "link": [f"gpu/{i}/link/{j}" for i in range(4) for j in range(2)],
    "pair": [f"gpu/{i}>gpu/{j}" for i in range(3) for j in range(3) if i != j],
}
requirements = st.one_of(
    numbers.map(lambda n: {"minimum": n}),
    numbers.map(lambda n: {"maximum": n}),
    st.sampled_from(
        [
            *({"equals": value} for value in ("a", "1", 100.0)),
            *({"one_of": values} for values in (("a", 100.0), ("1", "2"), (1.0, 2.0))),
            {"uniform": True},
            {"unique": True},
            {"max_deviation": Deviation(sigmas=5.0)},
        ]
    ),
)
matrices = st.sampled_from([{"matrix": ("- a b", "a - a", "b a -")}, {"matrix": ("- a", "b -")}, {"matrix": ()}])
BOOTS: list[tuple[float, ...]] = [(), (), (), (102.0,), (200.0,), (101.0, 150.0)]
ALL_SUBJECTS = [*SUBJECTS["node"], *SUBJECTS["gpu"], *SUBJECTS["link"][:3], *SUBJECTS["pair"][:3]]


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    """Four GPUs, up to three metrics of one check, visits and looks, failures, skips, conditions."""
    metrics, columns, limits = [], [], []
    facts = {}
    for number in range(draw(st.integers(1, 3))):
        kind, name = draw(st.sampled_from(KINDS)), f"c.m{number}"
        subject = draw(st.sampled_from(["gpu", "gpu", "link", "pair", "node"]))
        derived = {"series": "c.s", "reduction": "mean"} if kind == "read" and draw(st.booleans()) else {}
        metrics.append(
            MetricDeclaration(
                name=name,
                unit="",
                kind=kind,
                better=draw(st.sampled_from(["higher", "lower", "neither"])),
                subject=subject,
                description="",
                **derived,
            )
        )
        sigma = Sigma(
            sigma_percent=draw(st.sampled_from([0.05, 0.5])),
            degrees_of_freedom=draw(st.sampled_from([3.0, 29.0, 30.0])),
            source="assumption",
            reference="",
        )
        if draw(st.integers(0, 4)):
            facts[name] = MetricFacts(
                visit=sigma,
                gpu=sigma if draw(st.integers(0, 4)) else None,
                type_b_percent=draw(st.sampled_from([0.0, 0.2])),
            )
        sample = {"sampled": numbers, "read": st.one_of(numbers, words)}.get(kind, counters)
        if kind == "read":
            sample = draw(st.sampled_from([numbers, words, sample]))
        for look in range(1, draw(st.integers(1, 3)) + 1):
            for visit in range(1, draw(st.integers(1, 3)) + 1):
                measured = [one for one in SUBJECTS[subject] if draw(st.integers(0, 15))]
                columns.append(
                    Column(
                        metric=name,
                        visit=visit,
                        look=look,
                        at_s=100.0 * look + visit * draw(st.sampled_from([0.0, 1.0])),
                        subjects=tuple(measured),
                        samples=tuple(
                            tuple(draw(st.lists(sample, min_size=1, max_size=draw(st.integers(1, 2)))))
                            for _ in measured
                        ),
                    )
                )
    names = [metric.name for metric in metrics]
    of_pairs = {one.name for one in metrics if one.subject == "pair" and one.kind == "read" and not one.reduction}
    for number in range(draw(st.integers(1, 4))):
        metric = draw(st.sampled_from([*names, *names, "c.none"]))
        effect = draw(st.sampled_from(["require", "require", "observe", "valid"]))
        conditioned = draw(st.sampled_from([(), ("c.*",), ("c.m0",), ("*1", "c.m2")])) if effect == "valid" else ()
        limits.append(
            Limit(
                id=f"l{number}",
                metric=metric,
                subjects=draw(
                    st.sampled_from(["*", "*", "*", "gpu/*", "gpu/1", "gpu/*/link/1", "gpu/0>*", "gpu/0>gpu/*"])
                ),
                unit="",
                effect=effect,
                missed=draw(st.sampled_from(["fail", "fail", "inconclusive"])),
                cause="hardware",
                action="replace",
                source="contract",
                reference="",
                valid_for=conditioned,
                **draw(st.one_of(requirements, matrices) if metric in of_pairs else requirements),
            )
        )
    lists = [tuple(names)] * 4 + [(), tuple(names[:1]), tuple(names[1:])]
    steps = tuple(
        PlannedStep(
            check="c",
            visit=number + 1,
            look=draw(st.sampled_from([1, 1, 2])),
            skip=draw(st.sampled_from(["", "", "", "asked"])),
            metrics=draw(st.sampled_from(lists)),
            parameters=draw(st.sampled_from([{}, {"n": 1}, {"n": 1.0}, {"n": 2}])),
        )
        for number in range(draw(st.integers(0, 3)))
    )
    failures = tuple(
        Failure(
            metric=draw(st.sampled_from([*names, "c.*", "d.*"])), subject=draw(st.sampled_from(ALL_SUBJECTS)), reason=""
        )
        for _ in range(draw(st.integers(0, 2)))
    )
    wanted = draw(
        st.sampled_from([(), (Step(check="c"),), (Step(check="c", parameters={"n": 1}),), (Step(check="d"),)])
    )
    cohort = msgspec.structs.replace(
        samples.profile().cohorts[0],
        gpus=draw(st.sampled_from([3, 4])),
        links_per_gpu=draw(st.sampled_from([0, 2])),
        visits=3,
        metrics=facts,
        limits=tuple(limits),
        plans={"node": PlanSpec(purpose="", steps=wanted)},
        pci_device_ids=draw(st.sampled_from([("2901",)] * 9 + [("FFFF",)])),
    )
    base = samples.evidence()
    ids = draw(st.sampled_from([("2901",) * 4] * 8 + [("2901", "2901", "BEEF", "BEEF"), ()]))
    gpus = tuple(msgspec.structs.replace(samples.gpu(i), pci_device_id=one) for i, one in enumerate(ids))
    return samples.evidence(
        complete=draw(st.integers(0, 9)) > 0,
        profile=msgspec.structs.replace(base.profile, cohorts=_cohorts(draw, cohort)),
        plan=msgspec.structs.replace(
            base.plan,
            name=draw(st.sampled_from(["node"] * 9 + ["other"])),
            steps=steps,
        ),
        node=msgspec.structs.replace(base.node, gpus=gpus),
        checks=(CheckFacts(name="c", purpose="", source_sha256="", metrics=tuple(metrics)),),
        steps=(StepRun(check="c", visit=1, outcome="completed", started_s=0.0, ended_s=1.0, failures=failures),),
        columns=tuple(columns),
        series=(),
        series_sha256="",
        boots=tuple(Boot(at_s=at, boot_id="another") for at in draw(st.sampled_from(BOOTS))) or UNSET,
    )


def _cohorts(draw: st.DrawFn, cohort: Cohort) -> tuple[Cohort, ...]:
    other = msgspec.structs.replace(cohort, name="other", pci_device_ids=("BEEF",))
    return draw(st.sampled_from([(cohort,), (cohort,), (other, cohort), (cohort, other)]))


@given(evidences())
@settings(max_examples=150, derandomize=True)
def test_both_programs_agree_on_any_evidence(second: ModuleType, evidence: Evidence) -> None:
    packed = msgspec.structs.replace(evidence, columns=pack(evidence.columns))
    plain: Any = msgspec.json.decode(msgspec.json.encode(packed))
    stored: Any = msgspec.json.decode(msgspec.json.encode(judge(evidence)))
    assert second.compare(stored, *second.Judge(plain).judge()) == []
