"""The ledger: every run that was started stays visible."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpuaccept.errors import EvidenceError
from gpuaccept.record.ledger import Ledger
from gpuaccept.record.node_key import node_key

AT = "2026-03-01T08:00:00Z"


def ledger(directory: Path, *runs: str, finished: tuple[str, ...] = ()) -> Ledger:
    made = Ledger(node_key(directory))
    for run in runs:
        made.start(run, AT, "profile")
        if run in finished:
            made.finish(run, AT, f"record of {run}")
    return made


def test_a_run_that_was_started_and_never_ended_is_counted(tmp_path: Path) -> None:
    made = ledger(tmp_path, "a", "b", "c", finished=("a",))
    position = made.position("c")
    assert (position.number, position.started, position.unfinished) == (3, 3, 1)
    assert len(position.head) == 64


def test_a_resumed_run_stands_there_once(tmp_path: Path) -> None:
    made = ledger(tmp_path, "a", "a", finished=("a",))
    made.finish("a", AT, "record of a")
    assert [entry.kind for entry in made.entries()] == ["started", "finished"]


def test_a_run_that_was_never_started_has_no_position_and_no_end(tmp_path: Path) -> None:
    made = ledger(tmp_path, "a")
    with pytest.raises(EvidenceError, match="was never started"):
        made.position("b")
    with pytest.raises(EvidenceError, match="was never started"):
        made.finish("b", AT, "record")


def test_runs_that_start_at_once_all_stand_in_the_chain(tmp_path: Path) -> None:
    made = ledger(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: made.start(str(number), AT, "profile"), range(12)))
    assert sorted(entry.run_id for entry in made.entries()) == sorted(map(str, range(12)))


@pytest.mark.parametrize("line", [0, 1, 2])
def test_an_edited_line_breaks_the_chain(tmp_path: Path, line: int) -> None:
    made = ledger(tmp_path, "aa", "bb", "cc")
    lines = made.path.read_bytes().split(b"\n")
    lines[line] = lines[line].replace(b'"run_id":"', b'"run_id":"x')
    made.path.write_bytes(b"\n".join(lines))
    with pytest.raises(EvidenceError, match="was altered"):
        made.position("aa")


@pytest.mark.parametrize("line", [0, 1, 2])
def test_a_removed_line_breaks_the_chain(tmp_path: Path, line: int) -> None:
    made = ledger(tmp_path, "aa", "bb", "cc")
    lines = made.path.read_bytes().split(b"\n")
    made.path.write_bytes(b"\n".join(lines[:line] + lines[line + 1 :]))
    with pytest.raises(EvidenceError, match="was altered"):
        made.start("dd", AT, "profile")


def test_a_removed_ledger_or_head_is_seen(tmp_path: Path) -> None:
    made = ledger(tmp_path, "aa", "bb")
    head = (tmp_path / "ledger.head").read_bytes()
    (tmp_path / "ledger.head").unlink()
    with pytest.raises(EvidenceError, match="signed head is missing"):
        made.entries()
    (tmp_path / "ledger.head").write_bytes(head)
    made.path.unlink()
    with pytest.raises(EvidenceError, match="does not lead to its signed head"):
        made.entries()


def test_a_head_by_another_key_is_refused(tmp_path: Path) -> None:
    made = ledger(tmp_path / "a", "aa")
    ledger(tmp_path / "b", "aa")
    (tmp_path / "a" / "ledger.head").write_bytes((tmp_path / "b" / "ledger.head").read_bytes())
    with pytest.raises(EvidenceError, match="not signed by this node's key"):
        made.entries()
    (tmp_path / "a" / "ledger.head").write_bytes(b"{}")
    with pytest.raises(EvidenceError, match="head can't be read"):
        made.entries()


def test_lines_appended_without_the_key_are_refused(tmp_path: Path) -> None:
    """One line after the head may be a crash; two are not."""
    made = ledger(tmp_path, "aa")
    head = (tmp_path / "ledger.head").read_bytes()
    made.start("bb", AT, "profile")
    made.start("cc", AT, "profile")
    (tmp_path / "ledger.head").write_bytes(head)
    with pytest.raises(EvidenceError, match="does not lead to its signed head"):
        made.entries()


def test_power_lost_before_the_head_was_signed_loses_no_run(tmp_path: Path) -> None:
    made = ledger(tmp_path, "aa")
    head = (tmp_path / "ledger.head").read_bytes()
    made.start("bb", AT, "profile")
    (tmp_path / "ledger.head").write_bytes(head)
    assert made.position("bb").number == 2
    made.start("cc", AT, "profile")
    assert made.position("cc").number == 3


def test_power_lost_within_a_line_leaves_the_runs_before_it(tmp_path: Path) -> None:
    made = ledger(tmp_path, "aa")
    with made.path.open("ab") as file:
        file.write(b'{"number":2,"prev')
    made.start("bb", AT, "profile")
    assert [entry.run_id for entry in made.entries()] == ["aa", "bb"]
