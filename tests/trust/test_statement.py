"""The statement: what it is about, and under which name it is filed."""

from __future__ import annotations

import re

import msgspec
import trust_samples as samples

from gpuaccept.record import statement


def test_the_subjects_are_the_node_and_each_gpu() -> None:
    node = samples.evidence().node
    named = statement.subjects(node)
    assert [subject.name for subject in named] == [
        "urn:gpuaccept:node:CH-4711",
        *(f"urn:gpuaccept:gpu:{gpu.uuid}" for gpu in node.gpus),
    ]
    swapped = msgspec.structs.replace(node, gpus=(node.gpus[0], samples.gpu(7)))
    assert statement.subjects(swapped)[2].digest != named[2].digest
    assert statement.subjects(swapped)[:2] == named[:2]


def test_another_board_under_the_same_uuid_is_another_subject() -> None:
    node = samples.evidence().node
    forged = msgspec.structs.replace(node.gpus[0], serial="9")
    assert statement.subjects(msgspec.structs.replace(node, gpus=(forged,)))[1] != statement.subjects(node)[1]


def test_a_certificate_id_fits_into_print_and_file_names() -> None:
    evidence = samples.evidence()
    assert statement.certificate_id(evidence) == "GA-20260301-NODE042-EXAMPLE-00112233"
    hostile = msgspec.structs.replace(evidence.node, host="../<b>\u202e ä" + "x" * 200)
    name = statement.certificate_id(samples.evidence(node=hostile, ended_at="\x1b[2J", run_id="../"))
    assert re.fullmatch(r"[A-Z0-9-]{1,80}", name)
    assert statement.certificate_id(samples.evidence(node=msgspec.structs.replace(evidence.node, host=""))).count(
        "-NODE-"
    )


def test_a_simulated_run_has_its_own_type_and_number() -> None:
    simulated = samples.made(samples.simulated(), samples.NODE)
    assert simulated.predicate_type == "urn:gpuaccept:simulated-record:v1"
    assert simulated.predicate.certificate_id.startswith("SIM-")
    assert samples.made(samples.evidence(), samples.NODE).predicate_type == "urn:gpuaccept:record:v1"
