"""The statement that a record signs: evidence and judgement, what they are about, and who signs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import msgspec

from gpuaccept import columns
from gpuaccept.data import (
    Evidence,
    GpuFacts,
    Judgement,
    LedgerPosition,
    NodeFacts,
    Predicate,
    Signer,
    Statement,
    StatementSubject,
)
from gpuaccept.errors import EvidenceError, GpuacceptError
from gpuaccept.record.envelope import decode
from gpuaccept.record.keys import PublicKey

RECORD = "urn:gpuaccept:record:v1"
SIMULATED_RECORD = "urn:gpuaccept:simulated-record:v1"
"""Predicate types; a URN, since a type has to be unique and need not resolve."""


def build(
    evidence: Evidence,
    judgement: Judgement,
    ledger: LedgerPosition,
    signers: Sequence[Signer],
    template: str,
    language: str,
) -> Statement:
    """The statement of one run."""
    return Statement(
        subject=subjects(evidence.node),
        predicate_type=predicate_type(evidence),
        predicate=Predicate(
            certificate_id=certificate_id(evidence),
            template=template,
            language=language,
            evidence=evidence,
            judgement=judgement,
            ledger=ledger,
            signers=tuple(signers),
        ),
    )


def encode(statement: Statement) -> bytes:
    """The payload bytes, columns packed. Raises GpuacceptError where they would not read back (NaN, infinity)."""
    evidence = statement.predicate.evidence
    evidence = msgspec.structs.replace(evidence, columns=columns.pack(evidence.columns))
    packed = msgspec.structs.replace(
        statement, predicate=msgspec.structs.replace(statement.predicate, evidence=evidence)
    )
    try:
        payload = msgspec.json.encode(packed)
        decode(payload, Statement, "the statement")
    except (EvidenceError, UnicodeError) as error:
        raise GpuacceptError(f"the record can't be written so that it reads back: {error}") from error
    return payload


def signer(role: str, key: PublicKey) -> Signer:
    """How a payload names a key that will sign it."""
    return Signer(role=role, spki=key.spki_text)


def predicate_type(evidence: Evidence) -> str:
    """Simulated runs have their own type: a program that knows only real records can't take them for one."""
    return SIMULATED_RECORD if evidence.simulated is not None else RECORD


def subjects(node: NodeFacts) -> tuple[StatementSubject, ...]:
    """The node and each GPU. Hardware has no bytes: the digest is over its canonical identity line."""
    return (_node_subject(node), *(_gpu_subject(gpu) for gpu in node.gpus))


def certificate_id(evidence: Evidence) -> str:
    """`GA-20260131-NODE042-1A2B3C4D`, `SIM-…` where simulated; only A-Z, 0-9 and hyphen, for print and file names."""
    kind = "GA" if evidence.simulated is None else "SIM"
    day = re.sub(r"[^0-9]", "", evidence.ended_at[:10])
    host = re.sub(r"[^A-Z0-9]+", "-", evidence.node.host.upper()).strip("-")[:40] or "NODE"
    run = re.sub(r"[^A-Z0-9]", "", evidence.run_id.upper())[:8]
    return f"{kind}-{day}-{host}-{run}"


def _node_subject(node: NodeFacts) -> StatementSubject:
    line = ("gpuaccept-node-v1", node.serial, node.host)
    return StatementSubject(name=f"urn:gpuaccept:node:{_plain(node.serial or node.host)}", digest=_digest(line))


def _gpu_subject(gpu: GpuFacts) -> StatementSubject:
    line = ("gpuaccept-gpu-v1", gpu.uuid, gpu.serial, gpu.board_part_number, gpu.pci_device_id, gpu.pci_subsystem_id)
    return StatementSubject(name=f"urn:gpuaccept:gpu:{_plain(gpu.uuid)}", digest=_digest(line))


def _digest(line: tuple[str | None, ...]) -> dict[str, str]:
    return {"sha256": hashlib.sha256(msgspec.json.encode(line)).hexdigest()}


def _plain(text: str) -> str:
    """A name within a URN; the digest holds the exact text."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)[:120]
