"""verify: the same answer on any machine, or the reason why there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trust_samples as samples
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaccept import series
from gpuaccept.certificate import html
from gpuaccept.data import Limit, Profile
from gpuaccept.errors import UsageError
from gpuaccept.judge import judge
from gpuaccept.record import envelope
from gpuaccept.verify import Verification, verify_path, worst_exit_code

AT = "2026-03-02T00:00:00Z"


@pytest.fixture(scope="module")
def payload() -> bytes:
    return samples.payload(samples.evidence(), samples.NODE)


def checked(path: Path, **options: Any) -> Verification:
    return verify_path(path, at=AT, **({"integrity_only": True} if "trust" not in options else {}), **options)


def problem(path: Path, **options: Any) -> str:
    found = checked(path, **options)
    assert found.exit_code == 4
    assert not found.valid
    return "\n".join(found.problems)


def limits(change: Callable[[Limit], Limit]) -> Profile:
    profile = samples.profile()
    [cohort] = profile.cohorts
    cohort = msgspec.structs.replace(cohort, limits=tuple(map(change, cohort.limits)))
    return msgspec.structs.replace(profile, cohorts=(cohort,))


def stricter(limit: Limit) -> Limit:
    return msgspec.structs.replace(limit, minimum=6500.0) if limit.metric == samples.COPY else limit


def test_a_record_by_a_trusted_node_is_valid_and_accepted(tmp_path: Path) -> None:
    found = checked(samples.leave(tmp_path), trust=samples.trust_file(tmp_path))
    assert (found.valid, found.exit_code, found.decision, found.series) == (True, 0, "accepted", "match")
    assert found.problems == found.notes == ()
    assert found.signers[0].startswith("node: E. Engineer, Supplier GmbH")


def test_a_plan_that_is_no_acceptance_accepts_nothing(tmp_path: Path) -> None:
    plan = msgspec.structs.replace(samples.evidence().plan, acceptance=False)
    found = checked(samples.leave(tmp_path, samples.record(samples.evidence(plan=plan))))
    assert (found.valid, found.decision, found.acceptance, found.exit_code) == (True, "accepted", False, 0)
    assert any("plan node is no acceptance: this record does not accept the node" in note for note in found.notes)


def test_what_another_profile_requires_and_the_run_did_not_measure_is_named(tmp_path: Path) -> None:
    def mistyped(limit: Limit) -> Limit:
        return msgspec.structs.replace(limit, id="typo", metric="ecc.mod") if limit.metric == samples.ERRORS else limit

    found = checked(samples.leave(tmp_path), profile=limits(mistyped))
    assert any("not measured in this run" in note and note.endswith(": typo") for note in found.notes), found.notes


def test_an_unknown_signer_is_refused_unless_integrity_alone_is_asked(tmp_path: Path) -> None:
    path = samples.leave(tmp_path, samples.record(samples.evidence(), samples.OTHER))
    assert "signer is unknown" in problem(path, trust=samples.trust_file(tmp_path))
    assert "signer is unknown" in problem(path, trust=None)
    found = checked(path)
    assert found.valid
    assert any("who signed was not checked" in note for note in found.notes)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"valid_until": "2026-02-28"}, "was valid from"),
        ({"revoked": "2026-02-01"}, "was revoked"),
    ],
)
def test_a_key_that_does_not_count_then_or_there_is_refused(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    assert said in problem(samples.leave(tmp_path), trust=samples.trust_file(tmp_path, **changes))


def test_trust_and_integrity_only_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        verify_path(samples.leave(tmp_path), trust=samples.trust_file(tmp_path), integrity_only=True)


def test_a_simulated_record_is_refused_unless_it_is_asked_for(tmp_path: Path) -> None:
    path = samples.leave(tmp_path, samples.record(samples.simulated()))
    assert "was simulated" in problem(path)
    found = checked(path, allow_simulated=True)
    assert (found.valid, found.simulated) == (True, True)
    assert any("SIMULATED" in note for note in found.notes)


def test_a_simulated_run_under_the_type_of_a_real_one_is_refused(tmp_path: Path) -> None:
    payload = samples.payload(samples.simulated(), samples.NODE)
    for path, value in (("predicateType", "urn:gpuaccept:record:v1"), ("predicate/evidence/simulated", None)):
        forged = samples.resigned(samples.change(payload, path, value))
        assert "predicate type" in problem(samples.leave(tmp_path, forged), allow_simulated=True)


def test_a_run_on_the_stub_driver_that_does_not_say_so_is_refused(tmp_path: Path) -> None:
    node = samples.evidence().node
    stub = msgspec.structs.replace(node.gpus[0], uuid="GPU-57ab57ab-0000-4000-8000-000000000000")
    path = samples.leave(
        tmp_path, samples.record(samples.evidence(node=msgspec.structs.replace(node, gpus=(stub, node.gpus[1]))))
    )
    assert "stub driver" in problem(path)


def test_a_rejected_and_an_undecided_node_have_their_exit_codes(tmp_path: Path) -> None:
    rejected = samples.evidence(profile=limits(stricter))
    assert checked(samples.leave(tmp_path, samples.record(rejected))).exit_code == 5
    incomplete = samples.evidence(complete=False, incomplete_reason="interrupted")
    found = checked(samples.leave(tmp_path, samples.record(incomplete)))
    assert (found.valid, found.exit_code) == (True, 3)
    assert "the run is incomplete: interrupted" in found.notes


# Every one of these is signed anew by the node's own key: what a supplier could do who holds it.
LIES: dict[str, tuple[str, Any, str]] = {
    "verdict": ("predicate/judgement/judged/1/passed", 3, "judged[1].passed: 3 in the record, 2 when computed"),
    "decision": ("predicate/judgement/decision", "rejected", "decision"),
    "reason": ("predicate/judgement/reason", "All is well.", "reason"),
    "assumptions": ("predicate/judgement/assumptions", 9, "assumptions"),
    "sample": ("predicate/evidence/columns/2/samples/1", [5000.5, 5000.5, 5000.5], "does not follow from the evidence"),
    "counter": ("predicate/evidence/columns/6/samples/0/0", "4", "does not follow from the evidence"),
    "limit": ("predicate/evidence/profile/cohorts/0/limits/1/minimum", 6500.0, "does not follow from the evidence"),
    "typical": ("predicate/evidence/profile/cohorts/0/limits/1/source", "assumption", "assumptions: 0 in the record"),
    "GPU serial": ("predicate/evidence/node/gpus/0/serial", "9", "subjects"),
    "host": ("predicate/evidence/node/host", "other", "subjects"),
    "certificate id": ("predicate/certificate_id", "GA-1", "certificate id"),
    "run count": ("predicate/ledger/number", 2, "ledger position is impossible"),
    "end before start": ("predicate/evidence/ended_at", "2026-03-01T07:00:00Z", "before it started"),
    "no time": ("predicate/evidence/started_at", "yesterday", "not a UTC time"),
    "text as sample": ("predicate/evidence/columns/2/samples/0/0", "fast", "is not a number"),
    "fraction as counter": ("predicate/evidence/columns/1/samples/0/0", "0.5", "is not an integer"),
    "nothing as sample": ("predicate/evidence/columns/2/samples/0", [], "has 0 samples"),
    "undeclared metric": ("predicate/evidence/columns/2/metric", "a.b", "no check of the record declares"),
    "subject twice": ("predicate/evidence/columns/2/subjects", ["gpu/0", "gpu/0"], "stands there 2 times"),
    "a subject more": ("predicate/evidence/columns/2/subjects", ["gpu/0", "gpu/1", "gpu/2"], "3 subjects"),
    "visit twice": ("predicate/evidence/columns/4/visit", 2, "stands there 2 times"),
    "GPU twice": ("predicate/evidence/node/gpus/1/index", 0, "GPU index 0 stands there 2 times"),
    "power": ("predicate/evidence/columns/5/samples/0/0", 999.0, "series differ: thermal_soak.power_mean of gpu/0"),
    "envelope of a series": (
        "predicate/evidence/series/0/series/0/maximum",
        1.0,
        "summaries in the record do not follow",
    ),
    "digest of the series": ("predicate/evidence/series_sha256", "0" * 64, "not the file that the record was made"),
    "no digest of the series": ("predicate/evidence/series_sha256", "", "digest of their samples is missing"),
    "a million GPUs": ("predicate/evidence/node/gpus/1/index", 10**6, "index is not between"),
    "a strange subject": ("predicate/evidence/columns/1/subjects", ["gpu/0", "\x1b[2J"], "name that no check gives"),
    "no cohort": ("predicate/evidence/profile/cohorts", [], "does not follow|can't be judged"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_found_though_it_is_signed_by_the_right_key(tmp_path: Path, payload: bytes, lie: str) -> None:
    path, value, said = LIES[lie]
    forged = samples.leave(tmp_path, samples.resigned(samples.change(payload, path, value)))
    assert any(word in problem(forged) for word in said.split("|"))


def test_a_stored_judgement_of_other_evidence_is_refused(tmp_path: Path) -> None:
    weak = samples.evidence(profile=limits(stricter))
    forged = samples.record(weak, samples.NODE, judgement=judge(samples.evidence()))
    assert 'decision: "accepted" in the record, "rejected" when computed again' in problem(
        samples.leave(tmp_path, forged)
    )


def test_a_pattern_that_would_keep_the_judge_busy_for_hours_is_refused(tmp_path: Path) -> None:
    slow = samples.evidence(profile=limits(lambda limit: msgspec.structs.replace(limit, subjects="*g" * 30)))
    assert "more than 4 stars" in problem(samples.leave(tmp_path, samples.record(slow)))


def test_a_small_record_that_names_a_billion_subjects_is_refused(tmp_path: Path, payload: bytes) -> None:
    """Columns are packed: a hundred bytes can stand for ten thousand pairs."""
    column = {"metric": samples.COPY, "at_s": 0.0, "subjects": ["gpu/0..99>gpu/0..99"], "samples": [[1.5]]}
    many = [{**column, "visit": visit} for visit in range(2, 202)]
    order = ("metric", "visit", "at_s", "subjects", "samples")
    bomb = samples.change(payload, "predicate/evidence/columns", [{name: one[name] for name in order} for one in many])
    assert "more than 1000000 subjects" in problem(samples.leave(tmp_path, samples.resigned(bomb)))


def test_another_profile_decides_where_one_is_given(tmp_path: Path) -> None:
    found = checked(samples.leave(tmp_path), profile=limits(stricter))
    assert (found.valid, found.decision, found.rejudged, found.exit_code) == (True, "accepted", "rejected", 5)
    assert "required ≥ 6500" in found.rejudged_reason or "too slow" in found.rejudged_reason, found.rejudged_reason
    other = msgspec.structs.replace(samples.profile().cohorts[0], name="renamed")
    renamed = msgspec.structs.replace(samples.profile(), cohorts=(other,))
    assert checked(samples.leave(tmp_path), profile=renamed).rejudged == "accepted"


def test_absent_series_are_said_and_refused_where_required(tmp_path: Path) -> None:
    path = samples.leave(tmp_path)
    (tmp_path / "series.json.gz").unlink()
    found = checked(path)
    assert (found.valid, found.series) == (True, "absent")
    assert any("series.json.gz is not beside it" in note for note in found.notes)
    assert "series.json.gz is not beside it" in problem(path, require_series=True)


@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"not gzip",
        series.pack(b"[]"),
        series.pack(b"not json"),
        series.pack(b"0" * (series.FILE_LIMIT_BYTES + 1)),
        series.pack(series.encode(samples.groups()))[:-4],
        series.pack(series.encode(samples.groups())) + b"x",
    ],
    ids=["empty", "no gzip", "no series", "no JSON", "bomb", "cut", "continued"],
)
def test_series_that_are_not_those_of_the_record_differ(tmp_path: Path, packed: bytes) -> None:
    path = samples.leave(tmp_path)
    (tmp_path / "series.json.gz").write_bytes(packed)
    found = checked(path)
    assert (found.series, found.exit_code) == ("differ", 4)


# --- pages ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(payload: bytes) -> bytes:
    signed = samples.resigned(payload)
    return html.render(envelope.open_record(signed).statement, signed)


def leave_page(directory: Path, page: bytes) -> Path:
    samples.leave(directory)
    path = directory / "certificate.html"
    path.write_bytes(page)
    return path


def test_a_page_that_shows_its_record_is_exact(tmp_path: Path, page: bytes) -> None:
    found = checked(leave_page(tmp_path, page))
    assert (found.valid, found.page, found.exit_code) == (True, "exact", 0)


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda page: page.replace(b"CH-4711", b"CH-4712", 1), "it differs from line"),
        (lambda page: page.replace(b"color", b"Color", 1), "it differs from line"),
        (lambda page: page.replace(b"\n", b"\r\n"), "record block|line ends"),
        (lambda page: b"\xef\xbb\xbf" + page, "byte order mark"),
        (lambda page: page + b"<p>", "differs|continued"),
        (lambda page: page[: len(page) // 2], "record block|cut short|template"),
        (lambda page: page.replace(b'-template" content="1"', b'-template" content="77"'), "template 77 is not known"),
        (lambda page: page.replace(b"</body>", b'<script id="gpuaccept-record">\n</script></body>'), "exactly one"),
        (lambda page: b"<html></html>", "record block"),
        (lambda page: b"", "the file is empty"),
    ],
    ids=["text", "style", "CRLF", "BOM", "appended", "cut", "template", "second record", "no record", "empty"],
)
def test_an_edited_page_is_refused(tmp_path: Path, page: bytes, edit: Callable[[bytes], bytes], said: str) -> None:
    edited = edit(page)
    assert edited != page
    text = problem(leave_page(tmp_path, edited))
    assert any(word in text for word in said.split("|")), text


# --- any bytes -----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda data: b"{" + data))
@settings(max_examples=100)
def test_any_file_gets_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)
    found = checked(path)
    assert found.exit_code == 4
    assert found.problems[0].isprintable()


def leaves(tree: Any, at: str = "") -> list[str]:
    if isinstance(tree, dict):
        return [path for key, value in tree.items() for path in leaves(value, f"{at}/{key}")]
    if isinstance(tree, list):
        return [
            at.lstrip("/"),
            *(path for number, value in enumerate(tree) for path in leaves(value, f"{at}/{number}")),
        ]
    return [at.lstrip("/")]


@given(st.data())
@settings(max_examples=150)
def test_whatever_a_signer_writes_gets_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, payload: bytes, data: st.DataObject
) -> None:
    """A hostile signer replaces any value by any other: never a traceback, and never another decision that counts."""
    tree = json.loads(payload)
    path = data.draw(st.sampled_from(leaves(tree["predicate"], "/predicate")))
    value = data.draw(
        st.sampled_from(["", "-1", "node", "gpu/9", "\x00\u202e", [], None, True, 0, -1, 0.0, -1e300, 1e300, 1e-300])
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.integers(-(2**53), 2**53)
        | st.text(max_size=5, alphabet=st.characters(exclude_categories=["Cs"]))
    )
    file = tmp_path_factory.getbasetemp() / "record.json"
    file.write_bytes(samples.resigned(samples.change(payload, path, value)))
    found = checked(file)
    assert found.exit_code in (0, 4)
    assert all(text.isprintable() for text in (*found.problems, *found.notes))


def test_a_file_that_is_missing_or_a_directory_is_a_usage_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(UsageError):
            checked(path)


def test_the_worst_of_several_records_counts() -> None:
    assert worst_exit_code([0, 0]) == 0
    assert worst_exit_code([0, 3]) == 3
    assert worst_exit_code([3, 5, 0]) == 5
    assert worst_exit_code([5, 4, 3]) == 4


def test_a_record_of_another_version_is_held_to_its_verdicts_not_to_its_words(tmp_path: Path) -> None:
    environment = msgspec.structs.replace(samples.evidence().environment, gpuaccept_version="0.0.1")
    evidence = samples.evidence(environment=environment)
    worded = msgspec.structs.replace(judge(evidence), reason="in other words")
    decided = msgspec.structs.replace(worded, decision="rejected")

    for judgement, problems in ((worded, 0), (decided, 1)):
        path = tmp_path / f"{problems}.json"
        path.write_bytes(samples.record(evidence, judgement=judgement))
        assert len(verify_path(path, integrity_only=True).problems) == problems
