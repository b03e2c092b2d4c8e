"""The signed statement."""

from typing import Literal

from gpuaccept.data.base import Name, Value
from gpuaccept.data.evidence import Evidence
from gpuaccept.data.judgement import Judgement


class Signer(Value, frozen=True, kw_only=True):
    """A public key that signed, for integrity only: trust comes from the verifier's own file."""

    role: Name
    spki: str
    """DER SubjectPublicKeyInfo, standard base64."""


class LedgerPosition(Value, frozen=True, kw_only=True):
    """Where this run stands among all that were started with this key. `persistent: false`: the ledger may vanish."""

    number: int
    started: int
    unfinished: int
    head: str
    persistent: bool


class Predicate(Value, frozen=True, kw_only=True):
    """The body of a record."""

    schema_version: Literal[1] = 1
    certificate_id: str
    template: str
    """Template version that the page beside the record was rendered with."""
    language: str
    evidence: Evidence
    judgement: Judgement
    ledger: LedgerPosition
    signers: tuple[Signer, ...]


class StatementSubject(Value, frozen=True, kw_only=True):
    """What the record is about: the node, and each GPU; the digest is over its canonical identity line."""

    name: str
    digest: dict[str, str]


class Statement(Value, frozen=True, kw_only=True, rename={"type_": "_type", "predicate_type": "predicateType"}):
    """in-toto Statement v1 (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md)."""

    type_: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
    subject: tuple[StatementSubject, ...]
    predicate_type: str
    predicate: Predicate
