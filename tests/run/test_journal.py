"""The journal keeps what was measured through damage, and evidence is a pure fold over it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuaccept.data import (
    CheckFacts,
    Column,
    Environment,
    Event,
    MetricDeclaration,
    NodeFacts,
    Plan,
    Profile,
    StepRun,
)
from gpuaccept.errors import GpuacceptError
from gpuaccept.run.journal import Begin, End, Happened, Journal, Measured, Samples, fold, read

CHECK = CheckFacts(
    name="soak",
    purpose="heat",
    source_sha256="0" * 64,
    metrics=(
        MetricDeclaration(
            name="soak.power_mean",
            unit="W",
            kind="read",
            better="higher",
            subject="gpu",
            description="mean power",
            series="soak.power",
            reduction="mean",
        ),
    ),
    series={"soak.power": "W"},
)
NODE = NodeFacts(
    host="h",
    boot_id="b",
    kernel="k",
    operating_system="o",
    driver_version="1",
    nvml_version="1",
    cuda_driver_version="1",
    numa_nodes=1,
    gpu_count_pci=0,
    gpu_count_nvml=0,
    gpu_count_cuda=0,
    gpus=(),
)
BEGIN = Begin(
    run_id="r",
    started_at="2026-01-01T00:00:00Z",
    simulated=None,
    profile=Profile(name="p", version="1", title="t", cohorts=()),
    profile_layers=(),
    plan=Plan(name="quick", acceptance=False, cohort="", steps=()),
    node=NODE,
    environment=Environment(gpuaccept_version="0", python_version="3", libraries=()),
    checks=(CHECK,),
)


def measured(number: int) -> Measured:
    return Measured(
        step=StepRun(check="soak", visit=number, outcome="completed", started_s=0.0, ended_s=1.0),
        columns=(Column(metric="soak.x", visit=number, at_s=1.0, subjects=("gpu/0",), samples=((1.5,),)),),
    )


def samples(step: int, start: float, values: tuple[float, ...], subject: str = "gpu/0") -> Samples:
    at = tuple(start + i for i in range(len(values)))
    return Samples(step=step, blocks=(("soak.power", subject, at, values),))


def test_what_was_appended_reads_back(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    for entry in (BEGIN, measured(1), Happened(event=Event(at_s=0.0, kind="hang", text="x"))):
        journal.append(entry)
    journal.close()

    assert read(tmp_path / "journal.jsonl") == tuple(journal.entries)


@given(cut=st.integers(min_value=0, max_value=2000), flip=st.integers(min_value=0, max_value=7))
def test_a_damaged_end_loses_only_what_comes_after_it(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int
) -> None:
    path = tmp_path_factory.mktemp("j") / "journal.jsonl"
    journal = Journal(path)
    for entry in (BEGIN, measured(1), measured(2)):
        journal.append(entry)
    journal.close()
    data = bytearray(path.read_bytes())
    at = len(data) - 1 - cut % len(data)
    data[at] ^= 1 << flip
    path.write_bytes(bytes(data))

    survived = read(path)

    assert survived == tuple(journal.entries[: len(survived)])
    whole_lines_before = bytes(data[:at]).count(b"\n")
    assert len(survived) >= whole_lines_before


def test_a_journal_without_an_end_gives_incomplete_evidence() -> None:
    evidence, _ = fold((BEGIN, measured(1)))

    assert not evidence.complete
    assert evidence.columns == measured(1).columns


def test_a_journal_without_a_beginning_is_refused() -> None:
    with pytest.raises(GpuacceptError, match="no first entry"):
        fold((measured(1),))


def test_series_of_two_steps_are_two_segments_and_the_mean_is_derived() -> None:
    first, second = samples(1, 0.0, (100.0,) * 100), samples(2, 200.0, (300.0,) * 100)
    evidence, groups = fold((BEGIN, first, second, End(ended_at="t", complete=True, reason="")))

    assert groups[0].segments == (0, 100)
    assert evidence.series[0].count == 200
    derived = [column for column in evidence.columns if column.metric == "soak.power_mean"]
    assert derived[0].samples == ((200.0,),)


def test_blocks_of_one_step_join_without_a_gap() -> None:
    _, groups = fold((BEGIN, samples(1, 0.0, (1.0, 2.0)), samples(1, 2.0, (3.0,))))

    assert groups[0].segments == (0,)
    assert groups[0].values == ((1.0, 2.0, 3.0),)


def test_a_journal_that_exists_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("kept")

    with pytest.raises(GpuacceptError):
        Journal(tmp_path / "journal.jsonl")
    assert (tmp_path / "journal.jsonl").read_text() == "kept"


def test_a_full_disk_is_a_sentence_that_says_what_is_kept() -> None:
    journal = Journal(None)
    journal._path, journal._fd = Path("/dev/full"), __import__("os").open("/dev/full", 1)

    with pytest.raises(GpuacceptError, match="is in the journal"):
        journal.append(BEGIN)
