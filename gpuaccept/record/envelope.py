"""DSSE v1 envelopes: the bytes that are signed, and a strict reader of them.

Protocol: https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md. The payload bytes are the truth: what
is verified is what came, and it is encoded anew only to compare.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec

from gpuaccept import columns
from gpuaccept.data import Statement, Value
from gpuaccept.errors import EvidenceError
from gpuaccept.record.keys import PublicKey, SigningKey, public_key

PAYLOAD_TYPE = "application/vnd.in-toto+json"
RECORD_LIMIT_BYTES = 8 << 20
"""Largest envelope that is read; a record of an HGX B200 is about 0.35 MB."""
SIGNATURES_LIMIT = 16
SUBJECTS_LIMIT = 1_000_000
"""Most subjects that the columns of one record may name, ranges counted in full: a GB300 rack of 72 GPUs with all
pairs in 11 visits of 8 metrics has 450,000."""

T = TypeVar("T")


class Signature(Value, frozen=True, kw_only=True):
    """One signature over the PAE; `keyid` is a hint that has to be right here."""

    keyid: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    sig: Annotated[str, msgspec.Meta(max_length=88)]


class Envelope(Value, frozen=True, kw_only=True, rename="camel"):
    """The envelope as it is written: this order, no white space."""

    payload: str
    payload_type: str
    signatures: Annotated[tuple[Signature, ...], msgspec.Meta(min_length=1, max_length=SIGNATURES_LIMIT)]


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A record whose bytes are in order and whose every listed signer signed. Says nothing on who they are."""

    envelope: bytes
    payload: bytes
    statement: Statement
    signers: tuple[tuple[str, PublicKey], ...]
    """(role, key) of each signer, in the payload's order."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding: what is signed. Lengths are bytes in decimal."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, keys: Sequence[SigningKey]) -> bytes:
    """The envelope of a payload, signed by each key in turn."""
    message = pae(PAYLOAD_TYPE, payload)
    return msgspec.json.encode(
        Envelope(
            payload=base64.b64encode(payload).decode(),
            payload_type=PAYLOAD_TYPE,
            signatures=tuple(
                Signature(keyid=key.public.keyid, sig=base64.b64encode(key.sign(message)).decode()) for key in keys
            ),
        )
    )


def open_record(data: bytes) -> Opened:
    """Parse and check a record's envelope. Raises EvidenceError with what is wrong.

    Envelope and payload must equal our own encoding of what they decode to: that refuses duplicate keys, reordering,
    white space, slack bits and every second spelling of a number. The nesting of the types bounds the depth.
    """
    envelope = decode(data, Envelope, "the envelope")
    if envelope.payload_type != PAYLOAD_TYPE:
        raise EvidenceError(f"the payload type is not {PAYLOAD_TYPE}")
    payload = from_base64(envelope.payload, "the payload")
    statement = _unpacked(decode(payload, Statement, "the payload"))
    return Opened(
        envelope=data, payload=payload, statement=statement, signers=_verified(envelope.signatures, payload, statement)
    )


def _unpacked(statement: Statement) -> Statement:
    predicate = statement.predicate
    named = (len(columns.expand(subject)) for column in predicate.evidence.columns for subject in column.subjects)
    if sum(named) > SUBJECTS_LIMIT:
        raise EvidenceError(f"the record's columns name more than {SUBJECTS_LIMIT} subjects")
    evidence = msgspec.structs.replace(predicate.evidence, columns=columns.unpack(predicate.evidence.columns))
    return msgspec.structs.replace(statement, predicate=msgspec.structs.replace(predicate, evidence=evidence))


def decode(data: bytes, kind: type[T], what: str) -> T:
    """A typed value from exactly the bytes that we would write for it. Raises EvidenceError."""
    if len(data) > RECORD_LIMIT_BYTES:
        raise EvidenceError(f"{what} is larger than {RECORD_LIMIT_BYTES >> 20} MiB")
    try:
        value = msgspec.json.decode(data, type=kind)
        same = msgspec.json.encode(value) == data
    except (msgspec.MsgspecError, RecursionError, UnicodeError, ValueError) as error:
        raise EvidenceError(f"{what} can't be read: {printable(str(error))}") from None
    if not same:
        raise EvidenceError(f"{what} is not in canonical encoding: it was altered, or written by another program")
    return value


def from_base64(text: str, what: str) -> bytes:
    """Bytes from the one standard spelling of them (RFC 4648, 4), without slack bits. Raises EvidenceError."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise EvidenceError(f"{what} is not standard base64") from None
    if base64.b64encode(data).decode() != text:
        raise EvidenceError(f"{what} is not in the one base64 spelling of its bytes")
    return data


def printable(text: str, limit: int = 200) -> str:
    """Hostile text for a terminal or a log: control and format characters shown as escapes, length limited."""
    shown = "".join(c if c.isprintable() else f"\\u{{{ord(c):X}}}" for c in text[:limit])
    return shown + "…" if len(text) > limit else shown


def _verified(
    signatures: Sequence[Signature], payload: bytes, statement: Statement
) -> tuple[tuple[str, PublicKey], ...]:
    """Each listed signer, after its one signature was verified. Raises EvidenceError."""
    found = {signature.keyid: signature for signature in signatures}
    if len(found) != len(signatures):
        raise EvidenceError("two signatures are by the same key")
    message = pae(PAYLOAD_TYPE, payload)
    out: list[tuple[str, PublicKey]] = []
    for signer in statement.predicate.signers:
        try:
            key = public_key(from_base64(signer.spki, f"the key of the signer as {signer.role}"))
        except ValueError as error:
            raise EvidenceError(f"signer as {signer.role}: {error}") from None
        signature = found.pop(key.keyid, None)
        if signature is None:
            raise EvidenceError(f"the record lists key sha256:{key.keyid[:16]}… as {signer.role}, which did not sign")
        if not key.verifies(from_base64(signature.sig, "a signature"), message):
            raise EvidenceError(
                f"the signature by key sha256:{key.keyid[:16]}… does not fit: the record was altered after signing"
            )
        out.append((signer.role, key))
    if found:
        raise EvidenceError(f"a signature is by key sha256:{next(iter(found))[:16]}…, which the record does not list")
    return tuple(out)
