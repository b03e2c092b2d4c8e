"""The node's own key: made at first use, bound to this machine, refused on a copy of its disk."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from gpuaccept import ambient
from gpuaccept.data import Value
from gpuaccept.errors import UsageError
from gpuaccept.record import keys, store

ROOT_STATE = Path("/var/lib/gpuaccept")
VOLATILE_FILESYSTEMS = frozenset({"tmpfs", "ramfs", "overlay", "aufs", "squashfs", "rootfs"})
"""File systems of live images and containers: what lies there is gone after the next boot."""


class Binding(Value, frozen=True, kw_only=True):
    """node.json: which machine the key beside it belongs to. `machine` is a digest, so no serial number leaks."""

    keyid: str
    machine: str


@dataclass(frozen=True)
class NodeKey:
    """The key that a node signs its records with, and where its ledger lies."""

    key: keys.SigningKey
    directory: Path
    persistent: bool
    """False where the directory does not outlive a reboot or its container: page one says so."""


def node_key(state_dir: Path | None = None, machine: str | None = None) -> NodeKey:
    """This node's key, made at first use in `state_dir` (default: `default_directory()`).

    `machine` is the digest of the machine's identity (default: `machine_digest()`). Raises UsageError where the key
    was made on another machine, or key and binding do not belong together.
    """
    directory = state_dir or default_directory()
    digest = machine or machine_digest()
    with locked(directory, "node.lock"):
        return NodeKey(_opened(directory, digest), directory, is_persistent(directory))


def default_directory() -> Path:
    """/var/lib/gpuaccept for root, else gpuaccept under XDG_STATE_HOME (default ~/.local/state)."""
    if ambient.is_root():
        return ROOT_STATE
    named = os.environ.get("XDG_STATE_HOME", "")
    base = Path(named) if named.startswith("/") else Path.home() / ".local" / "state"
    return base / "gpuaccept"


def machine_digest() -> str:
    """sha256 over board serial number and machine id, hex. The board's serial is readable by root alone."""
    board = ambient.first_line("/sys/class/dmi/id/board_serial") or ""
    product = ambient.first_line("/sys/class/dmi/id/product_serial") or ""
    machine_id = ambient.first_line("/etc/machine-id") or ""
    return hashlib.sha256(msgspec.json.encode(("gpuaccept-node-v1", board, product, machine_id))).hexdigest()


def is_persistent(directory: Path, mounts: Path = Path("/proc/mounts")) -> bool:
    """Whether the file system of a directory outlives a reboot, by its type in /proc/mounts; unknown is no."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    place = directory.resolve()
    best, kind = -1, ""
    for line in lines:
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        if place.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), fields[2]
    return bool(kind) and kind not in VOLATILE_FILESYSTEMS


@contextmanager
def locked(directory: Path, name: str) -> Iterator[None]:
    """Hold a lock file in the state directory, which is made if need be. Raises UsageError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory / name, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(
            f"the state directory {directory} can't be used: {error.strerror}",
            "it holds the node's key and ledger; name another one with XDG_STATE_HOME, or run as root",
        ) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(directory: Path, machine: str) -> keys.SigningKey:
    key_path, binding_path = directory / "node.key", directory / "node.json"
    if not key_path.exists():
        return _made(key_path, binding_path, machine)
    key = keys.read(key_path)
    try:
        binding = msgspec.json.decode(binding_path.read_bytes(), type=Binding)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        raise UsageError(
            f"{binding_path}, which binds {key_path} to its machine, is missing or damaged",
            f"move {directory} away: a new key and ledger are then made, and the buyer has to be told of the key",
        ) from None
    if binding.keyid != key.public.keyid:
        raise UsageError(
            f"{binding_path} belongs to another key than {key_path}",
            f"move {directory} away: a new key and ledger are then made, and the buyer has to be told of the key",
        )
    if binding.machine != machine:
        raise UsageError(
            f"the node key {key_path} was made on another machine: this is a copied disk image",
            f"move {directory} away: a new key and ledger are then made; leave it out of images",
        )
    return key


def _made(key_path: Path, binding_path: Path, machine: str) -> keys.SigningKey:
    """The binding goes first: a key without one would be refused for ever after a power loss in between."""
    draft = key_path.with_name("node.key.new")
    draft.unlink(missing_ok=True)
    keys.public_path_of(draft).unlink(missing_ok=True)
    key = keys.make(draft)
    store.replace(binding_path, msgspec.json.encode(Binding(keyid=key.public.keyid, machine=machine)))
    keys.public_path_of(draft).replace(keys.public_path_of(key_path))
    draft.replace(key_path)
    store.sync_directory(key_path.parent)
    return key
