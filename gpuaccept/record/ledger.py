"""The ledger of started and finished runs: hash-chained, its head signed, so that no run is quietly left out.

One line a fact, appended and forced to disk before the run goes on. Whoever holds the node's key can rewrite it as a
whole; it shows every smaller change, and a buyer who kept an earlier head sees that one too.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from gpuaccept.data import LedgerPosition, Value
from gpuaccept.errors import EvidenceError, UsageError
from gpuaccept.record import store
from gpuaccept.record.node_key import NodeKey, locked

LEDGER_LIMIT_BYTES = 64 << 20
"""About 150,000 runs."""
_HEAD_CONTEXT = b"gpuaccept-ledger-head-v1\n"
"""Before the signed bytes: a signature of a head fits nothing else."""


class Entry(Value, frozen=True, kw_only=True):
    """One line. `previous` is the sha256 of the line before, empty for the first."""

    number: int
    previous: str
    kind: Literal["started", "finished"]
    run_id: str
    at: str
    profile_sha256: str
    record_sha256: str
    """Of the envelope; empty in `started`."""


class Head(Value, frozen=True, kw_only=True):
    """ledger.head: the newest line, signed by the node's key."""

    number: int
    sha256: str
    sig: str


@dataclass(frozen=True)
class Ledger:
    """The ledger beside a node's key."""

    node: NodeKey

    @property
    def path(self) -> Path:
        """The file of lines."""
        return self.node.directory / "ledger.jsonl"

    def start(self, run_id: str, at: str, profile_sha256: str) -> None:
        """Note a run before its first measurement. A run that was started already is resumed: nothing is added."""
        with locked(self.node.directory, "ledger.lock"):
            entries, last = self._read()
            if not any(entry.run_id == run_id for entry in entries):
                self._append(entries, last, "started", run_id, at, profile_sha256, "")

    def finish(self, run_id: str, at: str, record_sha256: str) -> None:
        """Note that a run has its record, by the sha256 of the envelope."""
        with locked(self.node.directory, "ledger.lock"):
            entries, last = self._read()
            mine = [entry for entry in entries if entry.run_id == run_id]
            if not mine:
                raise EvidenceError(f"run {run_id} was never started in {self.path}")
            if any(entry.record_sha256 == record_sha256 for entry in mine):
                return
            self._append(entries, last, "finished", run_id, at, mine[0].profile_sha256, record_sha256)

    def position(self, run_id: str) -> LedgerPosition:
        """Where a started run stands: the k-th of n started; other runs without an end count as unfinished."""
        with locked(self.node.directory, "ledger.lock"):
            entries, last = self._read()
        started = [entry.run_id for entry in entries if entry.kind == "started"]
        finished = {entry.run_id for entry in entries if entry.kind == "finished"}
        if run_id not in started:
            raise EvidenceError(f"run {run_id} was never started in {self.path}")
        return LedgerPosition(
            number=started.index(run_id) + 1,
            started=len(started),
            unfinished=sum(other not in finished for other in started if other != run_id),
            head=last,
            persistent=self.node.persistent,
        )

    def entries(self) -> tuple[Entry, ...]:
        """All entries, the chain and the head's signature checked. Raises EvidenceError."""
        with locked(self.node.directory, "ledger.lock"):
            return tuple(self._read()[0])

    def _read(self) -> tuple[list[Entry], str]:
        """Entries and the digest of the last line. What a crash left after the signed head is mended."""
        data = self._file(self.path)
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) != len(data):
            self._cut(len(whole))
        lines = whole.split(b"\n")[:-1]
        entries, digests = self._chain(lines)
        signed = self._signed_number(digests)
        if signed < len(entries):
            self._sign_head(len(entries), digests[-1])
        return entries, digests[-1] if digests else ""

    def _chain(self, lines: Sequence[bytes]) -> tuple[list[Entry], list[str]]:
        entries: list[Entry] = []
        digests: list[str] = []
        for line in lines:
            number, previous = len(entries) + 1, digests[-1] if digests else ""
            try:
                entry = msgspec.json.decode(line, type=Entry)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                raise self._tampered(f"line {number} is not an entry") from None
            if entry.number != number or entry.previous != previous or msgspec.json.encode(entry) != line:
                raise self._tampered(f"line {number} does not follow from the line before")
            entries.append(entry)
            digests.append(hashlib.sha256(line).hexdigest())
        return entries, digests

    def _signed_number(self, digests: Sequence[str]) -> int:
        """How many lines the signed head covers: one line after it may be new (a crash before it was signed)."""
        data = self._file(self._head_path)
        if not data:
            if len(digests) > 1:
                raise self._tampered("its signed head is missing")
            return 0
        try:
            head = msgspec.json.decode(data, type=Head)
            signature = base64.b64decode(head.sig, validate=True)
        except (msgspec.MsgspecError, ValueError):
            raise self._tampered("its head can't be read") from None
        if not self.node.key.public.verifies(signature, _head_message(head.number, head.sha256)):
            raise self._tampered("its head is not signed by this node's key")
        if not (1 <= head.number <= len(digests) <= head.number + 1) or digests[head.number - 1] != head.sha256:
            raise self._tampered(f"it does not lead to its signed head, line {head.number}")
        return head.number

    def _append(
        self,
        entries: Sequence[Entry],
        last: str,
        kind: Literal["started", "finished"],
        run_id: str,
        at: str,
        profile_sha256: str,
        record_sha256: str,
    ) -> None:
        entry = Entry(
            number=len(entries) + 1,
            previous=last,
            kind=kind,
            run_id=run_id,
            at=at,
            profile_sha256=profile_sha256,
            record_sha256=record_sha256,
        )
        line = msgspec.json.encode(entry)
        try:
            descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(line + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UsageError(f"the ledger {self.path} can't be written: {error.strerror}") from None
        self._sign_head(entry.number, hashlib.sha256(line).hexdigest())

    def _sign_head(self, number: int, digest: str) -> None:
        signature = self.node.key.sign(_head_message(number, digest))
        head = Head(number=number, sha256=digest, sig=base64.b64encode(signature).decode())
        store.replace(self._head_path, msgspec.json.encode(head), 0o600)

    @property
    def _head_path(self) -> Path:
        return self.node.directory / "ledger.head"

    def _cut(self, size: int) -> None:
        """Drop a line that a crash cut short: its run had not begun, since `start` had not returned."""
        with self.path.open("r+b") as file:
            file.truncate(size)
            os.fsync(file.fileno())

    def _file(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                data = file.read(LEDGER_LIMIT_BYTES + 1)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise UsageError(f"the ledger {path} can't be read: {error.strerror}") from None
        if len(data) > LEDGER_LIMIT_BYTES:
            raise UsageError(f"the ledger {path} is too large")
        return data

    def _tampered(self, what: str) -> EvidenceError:
        return EvidenceError(
            f"the ledger of runs {self.path} was altered: {what}",
            f"keep it as evidence: move {self.node.directory} away, and a new key and ledger are made",
        )


def _head_message(number: int, digest: str) -> bytes:
    return _HEAD_CONTEXT + f"{number} {digest}\n".encode()
