"""The envelope: what is signed, and every known way to make a reader see something else."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trust_samples as samples
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuaccept.errors import EvidenceError, GpuacceptError
from gpuaccept.record import envelope, keys, statement


@pytest.fixture(scope="module")
def payload() -> bytes:
    return samples.payload(samples.evidence(), samples.NODE)


@pytest.fixture(scope="module")
def record(payload: bytes) -> bytes:
    return samples.resigned(payload)


def wrapped(payload: bytes, **changes: object) -> bytes:
    """An envelope by hand: any field can be wrong."""
    key = samples.NODE
    whole = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": envelope.PAYLOAD_TYPE,
        "signatures": [
            {
                "keyid": key.public.keyid,
                "sig": base64.b64encode(key.sign(envelope.pae(envelope.PAYLOAD_TYPE, payload))).decode(),
            }
        ],
    }
    return msgspec.json.encode({**whole, **changes})


def refused(data: bytes) -> str:
    with pytest.raises(EvidenceError) as caught:
        envelope.open_record(data)
    return caught.value.fact


def test_what_is_signed_is_read_back_with_its_signers(record: bytes, payload: bytes) -> None:
    opened = envelope.open_record(record)
    assert opened.payload == payload
    assert opened.signers == (("node", samples.NODE.public),)
    assert wrapped(payload) == record


def test_the_bytes_that_are_signed_are_those_of_the_specification() -> None:
    """The example of https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md."""
    assert (
        envelope.pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@pytest.mark.needs("openssl")
def test_a_shell_and_openssl_verify_it_without_us(tmp_path: Path, record: bytes) -> None:
    """The recipe that the documents give to an auditor."""
    (tmp_path / "record.json").write_bytes(record)
    (tmp_path / "key.pub").write_text(samples.NODE.public.pem)
    script = r"""
    set -eu
    one() { grep -o "\"$1\":\"[^\"]*\"" record.json | sed 's/^[^:]*:"//; s/"$//'; }
    one payload | base64 -d > body; T=$(one payloadType); one sig | base64 -d > sig
    { printf 'DSSEv1 %d %s %d ' "$(printf %s "$T" | wc -c)" "$T" "$(wc -c < body)"; cat body; } > pae
    openssl pkeyutl -verify -pubin -inkey key.pub -rawin -in pae -sigfile sig
    openssl pkey -pubin -in key.pub -outform DER | openssl dgst -sha256 -r | cut -c1-64
    """
    done = subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["Signature", "Verified", "Successfully", samples.NODE.public.keyid]
    (tmp_path / "key.pub").write_text(samples.OTHER.public.pem)
    assert subprocess.run(["sh", "-c", script], cwd=tmp_path, capture_output=True, check=False).returncode


def test_a_second_implementation_verifies_it(record: bytes) -> None:
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    public = samples.NODE.public
    key = SSlibKey(public.keyid, "ed25519", "ed25519", {"public": public.raw.hex()})
    assert Envelope.from_dict(json.loads(record)).verify([key], 1) == {public.keyid: key}


def test_two_signers_are_both_needed() -> None:
    both = samples.record(samples.evidence(), samples.NODE, samples.OTHER)
    assert [key for _, key in envelope.open_record(both).signers] == [samples.NODE.public, samples.OTHER.public]
    parsed = json.loads(both)
    parsed["signatures"].pop()
    assert "which did not sign" in refused(msgspec.json.encode(parsed))


def test_a_signature_that_the_record_does_not_list_is_refused(payload: bytes) -> None:
    assert "does not list" in refused(samples.resigned(payload, samples.NODE, samples.OTHER))


def test_one_key_counts_once(payload: bytes, record: bytes) -> None:
    [signature] = json.loads(record)["signatures"]
    assert "by the same key" in refused(wrapped(payload, signatures=[signature, signature]))
    second = {**signature, "keyid": samples.OTHER.public.keyid}
    assert "does not list" in refused(wrapped(payload, signatures=[signature, second]))
    twice = samples.payload(samples.evidence(), samples.NODE, samples.NODE)
    assert "did not sign" in refused(samples.resigned(twice))


def test_the_keyid_must_be_that_of_the_key(payload: bytes, record: bytes) -> None:
    [signature] = json.loads(record)["signatures"]
    wrong = [{**signature, "keyid": "0" * 64}]
    assert "did not sign" in refused(wrapped(payload, signatures=wrong))


def test_a_signature_by_another_key_is_refused(payload: bytes) -> None:
    forged = base64.b64encode(samples.OTHER.sign(envelope.pae(envelope.PAYLOAD_TYPE, payload))).decode()
    assert "does not fit" in refused(wrapped(payload, signatures=[{"keyid": samples.NODE.public.keyid, "sig": forged}]))


def test_another_payload_type_is_refused_though_it_is_signed(payload: bytes) -> None:
    kind = "application/json"
    signature = {
        "keyid": samples.NODE.public.keyid,
        "sig": base64.b64encode(samples.NODE.sign(envelope.pae(kind, payload))).decode(),
    }
    assert "payload type" in refused(wrapped(payload, payloadType=kind, signatures=[signature]))


def test_a_key_of_small_order_is_refused_though_its_signature_verifies(payload: bytes) -> None:
    """Key and R are the identity point and S is 0: it fits any payload, so anyone could have made it."""
    weak = keys.PublicKey(bytes([1]) + bytes(31))
    forged = samples.change(payload, "predicate/signers/0/spki", weak.spki_text)
    signature = weak.raw + bytes(32)
    assert weak.verifies(signature, envelope.pae(envelope.PAYLOAD_TYPE, forged))
    entry = {"keyid": weak.keyid, "sig": base64.b64encode(signature).decode()}
    assert "small order" in refused(wrapped(forged, signatures=[entry]))


TRICKS: dict[str, Callable[[bytes], bytes]] = {
    "duplicate key": lambda p: p.replace(b'"decision":"', b'"decision":"rejected","decision":"', 1),
    "NaN": lambda p: p.replace(b"6001.5", b"NaN", 1),
    "infinity": lambda p: p.replace(b"6001.5", b"Infinity", 1),
    "1e999": lambda p: p.replace(b"6001.5", b"1e999", 1),
    "another spelling of a number": lambda p: p.replace(b"6001.5", b"6001.50", 1),
    "an integer for a float": lambda p: p.replace(b"5700.0", b"5700", 1),
    "huge integer": lambda p: p.replace(b'"numa_nodes":2', b'"numa_nodes":' + b"9" * 5000, 1),
    "huge float": lambda p: p.replace(b"6001.5", b"9" * 5000, 1),
    "deep nesting": lambda p: b"[" * 100_000,
    "deep nesting in a field": lambda p: p.replace(b'"host":"node042.example"', b'"host":' + b"[" * 100_000, 1),
    "byte order mark": lambda p: b"\xef\xbb\xbf" + p,
    "half a surrogate": lambda p: p.replace(b"node042", b"\\ud800", 1),
    "escaped letter": lambda p: p.replace(b"node042", b"\\u006eode042", 1),
    "not UTF-8": lambda p: p.replace(b"node042", b"\xff\xfe", 1),
    "white space": lambda p: p.replace(b'"host":', b'"host": ', 1),
    "line end": lambda p: p + b"\n",
    "something after the end": lambda p: p + b"{}",
    "nothing": lambda p: b"",
    "unknown field": lambda p: p.replace(b'"host":', b'"waiver":"all","host":', 1),
    "a default written out": lambda p: (
        p.replace(b'"uniform"', b'"x"')
        .replace(b'"effect":"require"', b'"effect":"require"')
        .replace(b'"minimum":5700.0', b'"minimum":5700.0,"uniform":false', 1)
    ),
    "fields in another order": lambda p: p.replace(
        b'"complete":true,"incomplete_reason":""', b'"incomplete_reason":"","complete":true', 1
    ),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_payload_that_readers_could_see_differently_is_refused(payload: bytes, trick: str) -> None:
    changed = TRICKS[trick](payload)
    assert changed != payload
    assert refused(samples.resigned(changed)).startswith("the payload")


ENVELOPE_TRICKS: dict[str, Callable[[bytes], bytes]] = {
    "white space": lambda e: e.replace(b'"payloadType":', b'"payloadType": '),
    "another order": lambda e: msgspec.json.encode(dict(reversed(json.loads(e).items()))),
    "an unknown field": lambda e: e[:-1] + b',"x":1}',
    "a second payload": lambda e: e[:-1] + b',"payload":"e30="}',
    "no signature": lambda e: msgspec.json.encode({**json.loads(e), "signatures": []}),
    "many signatures": lambda e: msgspec.json.encode({**json.loads(e), "signatures": json.loads(e)["signatures"] * 17}),
    "base64 of the URL kind": lambda e: e.replace(b'"payload":"', b'"payload":"_-_-'),
    "base64 with a line end": lambda e: e.replace(b'"payload":"', b'"payload":"\\n'),
    "base64 without padding": lambda e: e.replace(b'=="}', b'"}'),
    "slack bits": lambda e: (
        e.replace(b'A=="}', b'B=="}')
        .replace(b'Q=="}', b'R=="}')
        .replace(b'g=="}', b'h=="}')
        .replace(b'w=="}', b'x=="}')
    ),
    "larger than the limit": lambda e: e + b" " * envelope.RECORD_LIMIT_BYTES,
    "deep nesting": lambda e: b'{"payload":' * 50_000,
    "a list": lambda e: b"[]",
    "null": lambda e: b"null",
}


@pytest.mark.parametrize("trick", ENVELOPE_TRICKS)
def test_an_envelope_in_another_spelling_is_refused(record: bytes, trick: str) -> None:
    changed = ENVELOPE_TRICKS[trick](record)
    assert changed != record
    refused(changed)


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_are_refused_in_a_sentence(data: bytes) -> None:
    refused(data)
    refused(samples.resigned(data))


def test_one_changed_byte_anywhere_is_refused(record: bytes) -> None:
    for place in range(0, len(record), 97):
        for bit in (1, 32):
            changed = bytearray(record)
            changed[place] ^= bit
            refused(bytes(changed))


def test_messages_of_hostile_records_are_safe_to_print(payload: bytes) -> None:
    fact = refused(samples.resigned(payload.replace(b'"host":', b'"\\u001b[2J\\u202e":1,"host":', 1)))
    assert fact.isprintable()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_a_statement_that_would_not_read_back_is_never_signed(value: object) -> None:
    made = samples.made(samples.evidence(), samples.NODE)
    column = msgspec.structs.replace(made.predicate.evidence.columns[0], samples=((value,), ("Test GPU",)))
    evidence = msgspec.structs.replace(made.predicate.evidence, columns=(column,))
    predicate = msgspec.structs.replace(made.predicate, evidence=evidence)
    with pytest.raises(GpuacceptError, match="reads back"):
        statement.encode(msgspec.structs.replace(made, predicate=predicate))
