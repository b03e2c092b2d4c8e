"""Keys: made once, read with care, and refused where anyone could sign with them."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from gpuaccept.errors import UsageError
from gpuaccept.record import keys

SMALL_ORDER = (
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
)
NOT_CANONICAL = tuple(
    (value | sign << 255).to_bytes(32, "little").hex() for value in range(keys.FIELD, 2**255) for sign in (0, 1)
)


def openssl(*arguments: str | Path, data: bytes = b"") -> bytes:
    return subprocess.run(["openssl", *map(str, arguments)], input=data, capture_output=True, check=True).stdout


def test_a_new_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    made = keys.make(tmp_path / "k")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert keys.read(tmp_path / "k").public == keys.read_public(tmp_path / "k.pub") == made.public
    assert keys.read_public(tmp_path / "k") == made.public


@pytest.mark.needs("openssl")
def test_openssl_finds_the_same_keyid_and_verifies_a_signature(tmp_path: Path) -> None:
    made = keys.make(tmp_path / "k")
    der = openssl("pkey", "-pubin", "-in", tmp_path / "k.pub", "-outform", "DER")
    assert openssl("dgst", "-sha256", "-r", data=der).split()[0].decode() == made.public.keyid
    assert openssl("pkey", "-in", tmp_path / "k", "-pubout").decode() == made.public.pem
    (tmp_path / "m").write_bytes(b"message")
    (tmp_path / "s").write_bytes(made.sign(b"message"))
    openssl(
        *("pkeyutl", "-verify", "-pubin", "-inkey", tmp_path / "k.pub", "-rawin"),
        *("-in", tmp_path / "m", "-sigfile", tmp_path / "s"),
    )


@pytest.mark.parametrize("taken", ["k", "k.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        keys.make(tmp_path / "k")
    assert [path.name for path in tmp_path.iterdir()] == [taken]


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be written: No such file"):
        keys.make(tmp_path / "none" / "k")


def test_a_private_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keys.make(tmp_path / "k")
    (tmp_path / "k").chmod(0o644)
    with pytest.raises(UsageError, match="can be read by others"):
        keys.read(tmp_path / "k")


@pytest.mark.needs("openssl")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"), "not an Ed25519 key"),
        (("genpkey", "-algorithm", "ED25519", "-aes256", "-pass", "pass:x"), "is encrypted"),
    ],
)
def test_other_kinds_of_keys_are_named(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    path = tmp_path / "k"
    path.touch(0o600)
    path.write_bytes(openssl(*arguments))
    with pytest.raises(UsageError, match=said):
        keys.read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "not a private key"), (b"\xff\xfe", "not a private key"), (b"x" * 20_000, "too large")],
)
def test_what_is_no_key_is_said(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "k"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        keys.read(path)


def test_a_missing_file_a_directory_and_a_public_key_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no key file"):
        keys.read(tmp_path / "none")
    with pytest.raises(UsageError, match="Is a directory"):
        keys.read(tmp_path)
    keys.make(tmp_path / "k")
    (tmp_path / "k.pub").chmod(0o600)
    with pytest.raises(UsageError, match="is a public key"):
        keys.read(tmp_path / "k.pub")


@pytest.mark.parametrize("point", SMALL_ORDER)
def test_a_key_that_anyone_can_sign_with_is_refused(point: str) -> None:
    with pytest.raises(ValueError, match="small order"):
        keys.public_key(keys.SPKI_PREFIX + bytes.fromhex(point))


@pytest.mark.parametrize("point", NOT_CANONICAL)
def test_a_second_spelling_of_a_key_is_refused(point: str) -> None:
    with pytest.raises(ValueError, match="canonical"):
        keys.public_key(keys.SPKI_PREFIX + bytes.fromhex(point))


def test_without_that_refusal_one_signature_would_fit_every_message() -> None:
    """The identity point as key: R = identity, S = 0 satisfies the equation whatever was signed."""
    identity = bytes.fromhex(SMALL_ORDER[0])
    anyone = keys.PublicKey(identity)
    assert all(anyone.verifies(identity + bytes(32), str(number).encode()) for number in range(8))


def test_a_signature_in_a_second_spelling_is_refused() -> None:
    """S + L verifies by the equation alone; RFC 8032, 5.1.7 wants S below L."""
    key = keys.throwaway(bytes(32))
    signature = key.sign(b"m")
    assert key.public.verifies(signature, b"m")
    larger = int.from_bytes(signature[32:], "little") + keys.GROUP_ORDER
    assert not key.public.verifies(signature[:32] + larger.to_bytes(32, "little"), b"m")
    assert not key.public.verifies(signature + b"\0", b"m")
    assert not key.public.verifies(b"", b"m")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "AAAA",
        "not base64!",
        base64.b64encode(b"\0" * 44).decode(),
        "-----BEGIN PUBLIC KEY-----\n\n-----END PUBLIC KEY-----",
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----",
        "é",
    ],
)
def test_text_that_is_no_public_key_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(the key|this) is "):
        keys.public_key_from_text(text)
