"""One step of a plan on an open node: the same function in a worker and in process, so both measure alike."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gpuaccept.check import Node, SeriesBlock, Visit
from gpuaccept.data import Column, Failure, PlannedStep
from gpuaccept.errors import DeviceError
from gpuaccept.run.loading import LoadedCheck
from gpuaccept.run.plan import parameters_of


class Performed(msgspec.Struct, frozen=True, kw_only=True):
    """What one step gave. Times are the node's clock, s."""

    columns: tuple[Column, ...] = ()
    failures: tuple[Failure, ...] = ()
    started_s: float
    ended_s: float


def perform(
    node: Node,
    loaded: LoadedCheck,
    step: PlannedStep,
    seed: int,
    origin_s: float,
    on_series: Callable[[SeriesBlock], None],
) -> Performed:
    """Measure one step. `origin_s` is the node's clock at the start of the run; times given back start there.

    A DeviceError that the check let through becomes a failure of everything that it did not measure.
    """

    def clock() -> float:
        return node.now() - origin_s

    def shifted(block: SeriesBlock) -> None:
        times = {id(at): at for at, _ in block.values()}  # the series of a block share their times
        shifts = {key: tuple([int((t - origin_s) * 1e6 + 0.5) / 1e6 for t in at]) for key, at in times.items()}
        on_series({key: (shifts[id(at)], values) for key, (at, values) in block.items()})

    visit = Visit(
        check=loaded.check,
        parameters=parameters_of(loaded.check, step.parameters),
        state=step.state,
        visit=step.visit,
        look=step.look,
        seed=seed,
        on_series=shifted,
        clock=clock,
    )
    started = clock()
    try:
        loaded.check.measure(node, visit)
    except DeviceError as error:
        visit.failures.append(
            Failure(
                metric=f"{loaded.check.name}.*",
                subject="node" if error.gpu is None else f"gpu/{error.gpu}",
                call=error.call,
                code=error.code,
                reason=str(error),
            )
        )
    return Performed(
        columns=visit.columns(),
        failures=tuple(visit.failures),
        started_s=round(started, 6),
        ended_s=round(clock(), 6),
    )


def merged(parts: list[Performed]) -> Performed:
    """The results of several workers for one step as one: columns joined in the order of the parts."""
    if len(parts) == 1:
        return parts[0]
    columns: dict[str, Column] = {}
    for part in parts:
        for column in part.columns:
            before = columns.get(column.metric)
            columns[column.metric] = (
                column
                if before is None
                else msgspec.structs.replace(
                    before,
                    at_s=min(before.at_s, column.at_s),
                    subjects=before.subjects + column.subjects,
                    samples=before.samples + column.samples,
                )
            )
    return Performed(
        columns=tuple(columns.values()),
        failures=tuple(failure for part in parts for failure in part.failures),
        started_s=min(part.started_s for part in parts),
        ended_s=max(part.ended_s for part in parts),
    )
