"""The journal: one line an entry, on disk before the next measurement begins; evidence is a pure fold over it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import UNSET

from gpuaccept import series
from gpuaccept.check import SeriesBlock
from gpuaccept.data import (
    Boot,
    CheckFacts,
    Column,
    Environment,
    Event,
    Evidence,
    Layer,
    MetricDeclaration,
    NodeFacts,
    Plan,
    PlannedStep,
    Profile,
    SeriesGroup,
    Simulated,
    StepRun,
)
from gpuaccept.errors import GpuacceptError, UsageError

FLUSH_S = 1.0
"""Series blocks reach the disk at most once in this wall-clock time; everything else at once."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, tag_field="entry"):
    """Base of the journal's entries."""


class Begin(Entry, frozen=True, kw_only=True, tag="begin"):
    """The first entry: everything that is known before anything is measured."""

    run_id: str
    started_at: str
    origin_s: float = 0.0
    """The node's clock at the start of the run: `--resume` counts times from there, too."""
    simulated: Simulated | None
    profile: Profile
    profile_layers: tuple[Layer, ...]
    plan: Plan
    node: NodeFacts
    environment: Environment
    checks: tuple[CheckFacts, ...]


class Measured(Entry, frozen=True, kw_only=True, tag="measured"):
    """One visit of one step, all its subjects."""

    step: StepRun
    columns: tuple[Column, ...]


class Samples(Entry, frozen=True, kw_only=True, tag="samples"):
    """A block of series: (series, subject, times, values), and the number of the step that it belongs to."""

    step: int
    blocks: tuple[tuple[str, str, tuple[float, ...], tuple[float, ...]], ...]


class Again(Entry, frozen=True, kw_only=True, tag="again"):
    """A step is measured anew on the GPUs that are left: samples that it gave until here do not count."""

    step: int


class Happened(Entry, frozen=True, kw_only=True, tag="happened"):
    """An event."""

    event: Event


class More(Entry, frozen=True, kw_only=True, tag="more"):
    """Steps added to the plan: another look."""

    steps: tuple[PlannedStep, ...]


class Booted(Entry, frozen=True, kw_only=True, tag="booted"):
    """The node was booted since the entry before. `steps`, the next ones of the plan, read counters that began anew."""

    boot: Boot
    origin_s: float
    """The node's clock at the start of the run, as it would have shown since this boot."""
    steps: tuple[PlannedStep, ...]


class End(Entry, frozen=True, kw_only=True, tag="end"):
    """The last entry of a run that came to an end by itself, complete or not."""

    ended_at: str
    complete: bool
    reason: str


AnyEntry = Begin | Measured | Samples | Again | Happened | More | Booted | End
_decoder = msgspec.json.Decoder(AnyEntry)


class Joined(NamedTuple):
    """The series of a journal: blocks joined, and what is derived from them."""

    groups: tuple[SeriesGroup, ...]
    columns: tuple[Column, ...]


class Journal:
    """Appends entries, to a file where a path is given, and keeps them for the fold.

    `before` are the entries that the file holds already: what follows them there, cut short or damaged, is dropped.
    """

    def __init__(self, path: Path | None, before: tuple[AnyEntry, ...] = ()) -> None:
        self.entries: list[AnyEntry] = list(before)
        self._path = path
        self._waiting: list[bytes] = []
        self._flushed = time.monotonic()
        self._joined = (-1, Joined((), ()))
        """How many entries it was joined from."""
        self._fd = -1
        if path is not None:
            try:
                new = 0 if before else os.O_CREAT | os.O_EXCL
                self._fd = os.open(path, os.O_RDWR | os.O_APPEND | new, 0o644)
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if before:
                    os.ftruncate(self._fd, sum(len(line) + 1 for line, _ in _whole_lines(path.read_bytes())))
            except BlockingIOError:
                raise UsageError(f"{path}: the run is still going on", "wait until it ends") from None
            except OSError as error:
                raise GpuacceptError(f"{path}: {error.strerror}", "choose another --out") from error

    def append(self, entry: AnyEntry) -> None:
        """Write one entry; it is on disk when this returns. Raises GpuacceptError where the disk refuses."""
        self.entries.append(entry)
        if self._fd >= 0:
            self._waiting.append(_line(entry))
            self._flush()

    def samples(self, step: int, block: SeriesBlock) -> None:
        """Write series samples; they are on disk after FLUSH_S at the latest, or with the next entry."""
        rows = tuple((name, subject, at, values) for (name, subject), (at, values) in block.items())
        entry = Samples(step=step, blocks=rows)
        self.entries.append(entry)
        if self._fd >= 0:
            self._waiting.append(_line(entry))
            if time.monotonic() - self._flushed >= FLUSH_S:
                self._flush()

    def fold(self, summaries: bool = True) -> tuple[Evidence, tuple[SeriesGroup, ...]]:
        """`fold` over its entries. Series are joined anew only where samples have come meanwhile."""
        count, joined = self._joined
        if count < 0 or any(isinstance(entry, Samples | Again) for entry in self.entries[count:]):
            joined = join(self.entries)
        self._joined = (len(self.entries), joined)
        return _folded(self.entries, joined, summaries)

    def close(self) -> None:
        """Write what waits, and close."""
        if self._fd >= 0:
            self._flush()
            os.close(self._fd)
            self._fd = -1

    def _flush(self) -> None:
        data = b"".join(self._waiting)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
            os.fsync(self._fd)
        except OSError as error:
            self._waiting = [data]  # a line that is half on disk goes on where it broke off
            raise GpuacceptError(
                f"{self._path}: {error.strerror}; what was measured until now is in the journal",
                "free some space, then repeat the command with --resume",
            ) from error
        self._waiting.clear()
        self._flushed = time.monotonic()


def _line(entry: AnyEntry) -> bytes:
    body = msgspec.json.encode(entry)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def read(path: Path) -> tuple[AnyEntry, ...]:
    """The entries of a journal, up to the first line that is cut short or damaged."""
    return tuple(entry for _, entry in _whole_lines(path.read_bytes()))


def _whole_lines(data: bytes) -> Iterator[tuple[bytes, AnyEntry]]:
    for line in data.split(b"\n")[:-1]:  # what follows the last line feed was cut short
        checksum, _, body = line.partition(b" ")
        try:
            if not body or int(checksum, 16) != zlib.crc32(body):
                return
            yield line, _decoder.decode(body)
        except (ValueError, msgspec.MsgspecError):
            return


def fold(entries: Iterable[AnyEntry], summaries: bool = True) -> tuple[Evidence, tuple[SeriesGroup, ...]]:
    """Evidence and series from a journal's entries: pure. A journal without an end is incomplete.

    Without `summaries` the evidence lacks what only a record and its page need of the series; it judges alike.
    Raises GpuacceptError where the first entry is missing.
    """
    entries = tuple(entries)
    return _folded(entries, join(entries), summaries)


def _folded(entries: Sequence[AnyEntry], joined: Joined, summaries: bool) -> tuple[Evidence, tuple[SeriesGroup, ...]]:
    begin: Begin | None = None
    end: End | None = None
    steps: list[StepRun] = []
    columns: list[Column] = []
    events: list[Event] = []
    boots: list[Boot] = []
    for entry in entries:
        if isinstance(entry, Begin):
            begin = entry
        elif isinstance(entry, Measured):
            steps.append(entry.step)
            columns += entry.columns
        elif isinstance(entry, Happened):
            events.append(entry.event)
        elif isinstance(entry, Booted):
            boots.append(entry.boot)
        elif isinstance(entry, End):
            end = entry
    if begin is None:
        raise GpuacceptError("the journal has no first entry", "nothing was measured: run again")
    groups = joined.groups
    raw = series.encode(groups) if groups and summaries else b""
    evidence = Evidence(
        run_id=begin.run_id,
        started_at=begin.started_at,
        ended_at=end.ended_at if end else begin.started_at,
        complete=end.complete if end else False,
        incomplete_reason=end.reason if end else "the run ended without an end: power loss or kill",
        simulated=begin.simulated,
        profile=begin.profile,
        profile_layers=begin.profile_layers,
        plan=planned(entries),
        node=begin.node,
        environment=begin.environment,
        checks=begin.checks,
        steps=tuple(steps),
        columns=(*columns, *joined.columns),
        series=series.summarise(groups, _declared(begin)) if summaries else (),
        series_sha256=hashlib.sha256(raw).hexdigest() if raw else "",
        events=tuple(events),
        boots=tuple(boots) or UNSET,
    )
    return evidence, groups


def planned(entries: Iterable[AnyEntry]) -> Plan:
    """The plan of a run whose journal has a first entry, with the steps that were added to it."""
    plan: Plan | None = None
    done = 0
    for entry in entries:
        if isinstance(entry, Begin):
            plan = entry.plan
        elif isinstance(entry, Measured):
            done += 1
        elif isinstance(entry, More | Booted) and plan is not None:
            at = done if isinstance(entry, Booted) else len(plan.steps)
            plan = msgspec.structs.replace(plan, steps=plan.steps[:at] + entry.steps + plan.steps[at:])
    assert plan is not None
    return plan


def join(entries: Iterable[AnyEntry]) -> Joined:
    """All blocks of samples that count, as series, with the metrics that are derived from them."""
    begin: Begin | None = None
    blocks: list[Samples] = []
    for entry in entries:
        if isinstance(entry, Begin):
            begin = entry
        elif isinstance(entry, Samples):
            blocks.append(entry)
        elif isinstance(entry, Again):
            blocks = [block for block in blocks if block.step != entry.step]
    if begin is None or not blocks:
        return Joined((), ())
    groups = gather(blocks, {name: unit for check in begin.checks for name, unit in check.series.items()})
    return Joined(groups, tuple(derived_columns(groups, _declared(begin))))


def _declared(begin: Begin) -> list[MetricDeclaration]:
    return [metric for check in begin.checks for metric in check.metrics]


def gather(blocks: Iterable[Samples], units: dict[str, str]) -> tuple[SeriesGroup, ...]:
    """Blocks of samples joined into one group a subject; each step that sampled is a segment.

    A series that lacks samples which its subject's others have stays in the journal alone: it has no time base.
    """
    times: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    values: dict[str, dict[str, list[tuple[float, ...]]]] = defaultdict(lambda: defaultdict(list))
    segments: dict[str, list[int]] = defaultdict(list)
    count: dict[str, int] = defaultdict(int)
    last_step: dict[str, int] = {}
    for entry in blocks:
        seen: dict[str, tuple[float, ...]] = {}
        for name, subject, at, samples in entry.blocks:
            seen[subject] = at
            values[subject][name].append(samples)
        for subject, at in seen.items():
            if last_step.get(subject) != entry.step:
                segments[subject].append(count[subject])
                last_step[subject] = entry.step
            times[subject].append(at)
            count[subject] += len(at)
    out = []
    for subject in sorted(times, key=_order):
        joined = {name: _joined(parts) for name, parts in values[subject].items()}
        whole = {name: samples for name, samples in joined.items() if len(samples) == count[subject]}
        out.append(
            SeriesGroup(
                subject=subject,
                names=tuple(whole),
                units=tuple(units.get(name, "") for name in whole),
                segments=tuple(segments[subject]),
                at_s=_joined(times[subject]),
                values=tuple(whole.values()),
            )
        )
    return tuple(out)


def _joined(parts: Iterable[tuple[float, ...]]) -> tuple[float, ...]:
    whole: list[float] = []
    for part in parts:  # a part at a time: an iterator over all of them costs thrice as much
        whole += part
    return tuple(whole)


def derived_columns(groups: tuple[SeriesGroup, ...], declared: list[MetricDeclaration]) -> list[Column]:
    """A column for each declared metric that is derived from a series, with every subject that has that series."""
    at = max((group.at_s[-1] for group in groups if group.at_s), default=0.0)
    return [
        Column(
            metric=name,
            visit=1,
            at_s=at,
            subjects=tuple(found),
            samples=tuple((value,) for value in found.values()),
        )
        for name, found in series.derive(groups, declared).items()
        if found
    ]


def _order(subject: str) -> tuple[int | str, ...]:
    return tuple(int(part) if part.isdigit() else part for part in subject.split("/"))
