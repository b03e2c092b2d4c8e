"""Result files: whole or absent, and never in the place of others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gpuaccept.errors import GpuacceptError, UsageError
from gpuaccept.record import store


def test_files_are_written_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    store.write_new(tmp_path, {"a": b"1", "b": b"2"})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"1", "b": b"2"}


def test_where_one_exists_none_is_written(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"mine")
    with pytest.raises(UsageError, match="is there already"):
        store.write_new(tmp_path, {"a": b"1", "b": b"2"})
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GpuacceptError, match="No space left"):
        store.replace(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]
