"""The node's key: made once, bound to its machine."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpuaccept import ambient
from gpuaccept.errors import UsageError
from gpuaccept.record import node_key


def test_the_key_is_made_at_first_use_and_kept(tmp_path: Path) -> None:
    first = node_key.node_key(tmp_path / "state")
    assert node_key.node_key(tmp_path / "state").key.public == first.key.public
    assert (tmp_path / "state" / "node.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "state" / "node.key.pub").read_text() == first.key.public.pem


def test_two_first_uses_at_once_make_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: node_key.node_key(tmp_path), range(4)))
    assert len({one.key.public.keyid for one in made}) == 1


def test_a_cloned_disk_image_is_refused(tmp_path: Path) -> None:
    node_key.node_key(tmp_path / "golden", machine="a")
    shutil.copytree(tmp_path / "golden", tmp_path / "clone")
    with pytest.raises(UsageError, match="was made on another machine"):
        node_key.node_key(tmp_path / "clone", machine="b")


def test_a_key_without_its_binding_is_refused(tmp_path: Path) -> None:
    node_key.node_key(tmp_path)
    (tmp_path / "node.json").write_text("{}")
    with pytest.raises(UsageError, match="missing or damaged"):
        node_key.node_key(tmp_path)
    (tmp_path / "node.json").unlink()
    with pytest.raises(UsageError, match="missing or damaged"):
        node_key.node_key(tmp_path)


def test_a_key_beside_the_binding_of_another_is_refused(tmp_path: Path) -> None:
    node_key.node_key(tmp_path / "a")
    node_key.node_key(tmp_path / "b")
    shutil.copy(tmp_path / "b" / "node.json", tmp_path / "a" / "node.json")
    with pytest.raises(UsageError, match="belongs to another key"):
        node_key.node_key(tmp_path / "a")


def test_power_lost_while_the_key_was_made_leaves_nothing_that_is_refused_later(tmp_path: Path) -> None:
    node_key.node_key(tmp_path)
    (tmp_path / "node.key").rename(tmp_path / "node.key.new")
    node_key.node_key(tmp_path)
    node_key.node_key(tmp_path)


def test_a_state_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"state directory .* can't be used"):
        node_key.node_key(tmp_path / "file" / "state")


def test_the_default_place_follows_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ambient, "is_root", lambda: True)
    assert node_key.default_directory() == Path("/var/lib/gpuaccept")
    monkeypatch.setattr(ambient, "is_root", lambda: False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert node_key.default_directory() == tmp_path / "gpuaccept"
    monkeypatch.setenv("XDG_STATE_HOME", "relative is ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert node_key.default_directory() == tmp_path / ".local/state/gpuaccept"


@pytest.mark.parametrize(
    ("mounts", "persistent"),
    [
        ("/dev/sda1 / ext4 rw 0 0\n", True),
        ("overlay / overlay rw 0 0\n", False),
        ("overlay / overlay rw 0 0\n/dev/sdb1 /var/lib xfs rw 0 0\n", True),
        ("/dev/sda1 / ext4 rw 0 0\ntmpfs /var tmpfs rw 0 0\n", False),
        ("", False),
        ("nonsense\n", False),
    ],
)
def test_a_place_that_does_not_outlive_a_reboot_is_recognised(tmp_path: Path, mounts: str, persistent: bool) -> None:
    (tmp_path / "mounts").write_text(mounts)
    assert node_key.is_persistent(Path("/var/lib/gpuaccept"), tmp_path / "mounts") is persistent
