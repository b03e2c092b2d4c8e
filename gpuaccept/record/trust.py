"""The buyer's trust file: which key belongs to whom, in which role, from when until when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from gpuaccept.data import Text, Value
from gpuaccept.errors import EvidenceError, Problem, ProfileError, UsageError
from gpuaccept.record.keys import PublicKey, public_key_from_text, read_public

Day = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\dZ)?$")]
"""A day, or a time to the second, UTC."""
Role = Literal["node"]
"""What a key may sign as: a mistyped role would give no trust to anybody, and nobody would be told."""


class TrustedKey(Value, frozen=True, kw_only=True):
    """One key as the buyer enrolled it. `key` is a PEM text, base64 of its DER, or a file beside the trust file.

    `valid_from` and `valid_until` are inclusive. Every record of a key that is `revoked` is refused, older ones too:
    whoever stole a key can write any date. A key that only went out of use gets a `valid_until`.
    """

    key: Annotated[str, Meta(min_length=1, max_length=2000)]
    person: Text
    organisation: Text
    roles: Annotated[tuple[Role, ...], Meta(min_length=1)]
    valid_from: Day
    valid_until: Day
    revoked: Day | None = None


class TrustFile(Value, frozen=True, kw_only=True):
    """What stands in the file."""

    keys: Annotated[tuple[TrustedKey, ...], Meta(min_length=1)]


class Trust(Struct, frozen=True):
    """A trust file with its keys read, by keyid."""

    file: Path
    by_keyid: dict[str, TrustedKey]

    def vouch(self, role: str, key: PublicKey, at: str) -> TrustedKey:
        """The entry that makes `key` count in `role` at a time (RFC 3339, UTC). Raises EvidenceError."""
        entry = self.by_keyid.get(key.keyid)
        name = f"key sha256:{key.keyid[:16]}…"
        if entry is None:
            raise EvidenceError(f"the signer is unknown: {name} is not in {self.file}")
        name = f"the key of {entry.person} ({name})"
        if entry.revoked is not None:
            raise EvidenceError(f"{name} was revoked on {entry.revoked}: nothing that it signed counts any more")
        if role not in entry.roles:
            raise EvidenceError(f"{name} may sign as {', '.join(entry.roles)}, not as {role}")
        if not _first(entry.valid_from) <= at <= _last(entry.valid_until):
            raise EvidenceError(
                f"{name} was valid from {entry.valid_from} until {entry.valid_until}, and the run ended {at}"
            )
        return entry


def read_trust(path: Path) -> Trust:
    """Read a trust file. Raises ProfileError with every problem, each with file:line:column."""
    from gpuaccept.reading.convert import convert
    from gpuaccept.reading.yaml import parse_bytes, read_bytes

    written, places = convert(parse_bytes(read_bytes(path, str(path)), str(path)), TrustFile)
    by_keyid: dict[str, TrustedKey] = {}
    problems: list[Problem] = []
    for number, entry in enumerate(written.keys):
        at = f"keys[{number}]"
        try:
            keyid = _public_key(entry.key, path).keyid
        except ValueError as error:
            problems.append(places[f"{at}.key"].problem(f"{at}.key", str(error)))
            continue
        if keyid in by_keyid:
            said = f"is the key of {by_keyid[keyid].person} again: one key belongs to one person, in one entry"
            problems.append(places[f"{at}.key"].problem(f"{at}.key", said))
        if _first(entry.valid_from) > _last(entry.valid_until):
            said = f"{entry.valid_from} is after valid_until {entry.valid_until}"
            problems.append(places[f"{at}.valid_from"].problem(f"{at}.valid_from", said))
        by_keyid[keyid] = entry
    if problems:
        raise ProfileError(tuple(problems))
    return Trust(path, by_keyid)


def _public_key(text: str, file: Path) -> PublicKey:
    """Raises ValueError."""
    beside = file.parent / text.strip()
    try:
        return public_key_from_text(text)
    except ValueError as error:
        if "-----BEGIN" in text or "\n" in text.strip() or not _is_file(beside):
            hint = "give a PEM text, base64 of its DER, or the name of a file beside this one"
            raise ValueError(f"{error}; {hint}") from None
    try:
        return read_public(beside)
    except UsageError as error:
        raise ValueError(str(error).replace("\n", ";")) from None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _first(day: str) -> str:
    return day if "T" in day else f"{day}T00:00:00Z"


def _last(day: str) -> str:
    return day if "T" in day else f"{day}T23:59:59Z"
