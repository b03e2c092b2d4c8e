"""Ed25519 keys: made, read from PEM files, named by keyid, and refused where anyone could sign with them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gpuaccept.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SPKI_PREFIX = bytes.fromhex("302a300506032b6570032100")
"""DER of SubjectPublicKeyInfo for Ed25519 up to the 32 key bytes (RFC 8410, 4 and 10.1): there is one encoding."""
FIELD = 2**255 - 19
GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
"""Order of the Ed25519 base point (RFC 8032, 5.1)."""
SIGNATURE_BYTES = 64
KEY_FILE_LIMIT_BYTES = 16_384

_ORDER_EIGHT_Y = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
# A root of d*y^4 + 2*y^2 = 1: its double has y = 0 and so order four.
_SMALL_ORDER_Y = frozenset({0, 1, FIELD - 1, _ORDER_EIGHT_Y, FIELD - _ORDER_EIGHT_Y})
"""y of the eight points whose order divides the cofactor 8 (both signs of x share a y)."""


class PublicKey(Struct, frozen=True):
    """An Ed25519 public key that passed `public_key`."""

    raw: bytes

    @property
    def spki(self) -> bytes:
        """DER SubjectPublicKeyInfo, 44 bytes."""
        return SPKI_PREFIX + self.raw

    @property
    def spki_text(self) -> str:
        """The DER in standard base64, as records and trust files hold it."""
        return base64.b64encode(self.spki).decode()

    @property
    def keyid(self) -> str:
        """sha256 of the DER SubjectPublicKeyInfo in hex: `openssl pkey -pubin -outform DER | openssl dgst -sha256`."""
        return hashlib.sha256(self.spki).hexdigest()

    @property
    def pem(self) -> str:
        """SubjectPublicKeyInfo as PEM, as openssl reads it."""
        return f"-----BEGIN PUBLIC KEY-----\n{self.spki_text}\n-----END PUBLIC KEY-----\n"

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made the signature: 64 bytes, S below the group order (RFC 8032, 5.1.7)."""
        if len(signature) != SIGNATURE_BYTES or int.from_bytes(signature[32:], "little") >= GROUP_ORDER:
            return False
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


class SigningKey:
    """An Ed25519 private key, never shown."""

    def __init__(self, public: PublicKey, private: Ed25519PrivateKey) -> None:
        self.public = public
        self._private = private

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature of a message."""
        return self._private.sign(message)


def public_key(spki: bytes) -> PublicKey:
    """The key of a DER SubjectPublicKeyInfo. Raises ValueError with a sentence.

    Refused: other algorithms and encodings, y not below the field's prime, and the eight points of small order, for
    which one fixed signature fits many messages.
    """
    if len(spki) != len(SPKI_PREFIX) + 32 or not spki.startswith(SPKI_PREFIX):
        raise ValueError("the key is not an Ed25519 SubjectPublicKeyInfo of 44 bytes")
    raw = spki[len(SPKI_PREFIX) :]
    y = int.from_bytes(raw, "little") & (2**255 - 1)
    if y >= FIELD:
        raise ValueError("the key is not in its canonical encoding")
    if y in _SMALL_ORDER_Y:
        raise ValueError("the key is a point of small order: anyone could have signed with it")
    return PublicKey(raw)


def public_key_from_text(text: str) -> PublicKey:
    """The key of a PEM text or of base64 DER. Raises ValueError with a sentence."""
    body = text.strip()
    if "PRIVATE KEY" in body:
        raise ValueError("this is a private key where the public key (FILE.pub) is wanted")
    match = re.fullmatch(r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END PUBLIC KEY-----", body)
    try:
        spki = base64.b64decode("".join((match[1] if match else body).split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("this is neither a PEM public key nor base64 of its DER") from None
    return public_key(spki)


def throwaway(seed: bytes) -> SigningKey:
    """A key that is never stored, from 32 random bytes: simulated runs are signed with it."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return _signing(Ed25519PrivateKey.from_private_bytes(seed))


def make(path: Path) -> SigningKey:
    """Make a key: `path` as PKCS#8 PEM, mode 0600, and `path`.pub as SPKI PEM. Overwrites nothing: UsageError."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    public_path = public_path_of(path)
    for target in (path, public_path):
        if target.exists() or target.is_symlink():
            raise UsageError(f"{target} is there already", "name another file: a key is never overwritten")
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    key = _signing(private)
    _create(path, pem, 0o600)
    _create(public_path, key.public.pem.encode(), 0o644)
    return key


def public_path_of(path: Path) -> Path:
    """Where the public half of a key file lies: FILE.pub."""
    return path.with_name(path.name + ".pub")


def read(path: Path) -> SigningKey:
    """The private key of a PKCS#8 PEM file. Raises UsageError, also where others may read the file."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    data = _read(path)
    if path.stat().st_mode & 0o077:
        raise UsageError(f"the private key {path} can be read by others", f"chmod 600 {path}, or make a new key")
    if b"BEGIN PUBLIC KEY" in data:
        raise UsageError(f"{path} is a public key; signing needs the private one", "name the file without .pub")
    try:
        private = serialization.load_pem_private_key(data, password=None)
    except TypeError:
        raise UsageError(
            f"the private key {path} is encrypted, and gpuaccept asks for no passphrase",
            f"openssl pkey -in {path} -out plain.key (mode 0600)",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise UsageError(f"{path} is not a private key in PEM", "make one: gpuaccept key new --out FILE") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise UsageError(f"{path} is not an Ed25519 key", "make one: gpuaccept key new --out FILE")
    return _signing(private)


def read_public(path: Path) -> PublicKey:
    """The public key of a PEM or base64 file, or of a private key file. Raises UsageError."""
    data = _read(path)
    if b"PRIVATE KEY" in data:
        return read(path).public
    try:
        return public_key_from_text(data.decode("ascii"))
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a public key in PEM") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None


def _signing(private: Ed25519PrivateKey) -> SigningKey:
    raw = private.public_key().public_bytes_raw()
    return SigningKey(public_key(SPKI_PREFIX + raw), private)


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(KEY_FILE_LIMIT_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(f"there is no key file {path}", "make one: gpuaccept key new --out FILE") from None
    except OSError as error:
        raise UsageError(f"the key file {path} can't be read: {error.strerror}") from None
    if len(data) > KEY_FILE_LIMIT_BYTES:
        raise UsageError(f"{path} is too large for a key file")
    return data


def _create(path: Path, data: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UsageError(f"the key file {path} can't be written: {error.strerror}") from None
