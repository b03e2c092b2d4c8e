"""What a person sees while a run goes on: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

from gpuaccept.certificate.words import plural
from gpuaccept.cli.output import duration, safe
from gpuaccept.data import PlannedStep, StepRun
from gpuaccept.run.session import Observer

if TYPE_CHECKING:
    from rich.console import RenderableType


_NOT_SUPPORTED = 3
"""NVML_ERROR_NOT_SUPPORTED."""


def observer(quiet: bool) -> Observer:
    """A live table where standard error is a terminal, plain lines elsewhere, nothing when quiet."""
    if quiet:
        return Observer()
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return LiveTable()
    return PlainLines()


def close(watching: Observer) -> None:
    """Leave the terminal as it was."""
    if isinstance(watching, LiveTable):
        watching.stop()


def label(check: str, state: str) -> str:
    """A step as people name it."""
    return f"{check} {state}".strip()


def _missing(run: StepRun) -> int:
    """Failures that a person should look at: readings that this kind of GPU does not have are none."""
    return sum(failure.code != _NOT_SUPPORTED for failure in run.failures)


class PlainLines(Observer):
    """One line a step, on standard error, as it ends."""

    def opened(self, node: str, gpus: int, plan: str, steps: int, seconds: float) -> None:
        what = f"{plural(gpus, 'GPU')}, plan {plan}, {plural(steps, 'step')}"
        self._say(f"{node}: {what}, about {duration(seconds)} of measuring")

    def step_ended(self, number: int, total: int, run: StepRun) -> None:
        outcome = run.outcome if run.outcome != "completed" else f"{duration(run.ended_s - run.started_s)}"
        missing = f", {_missing(run)} not measured" if _missing(run) else ""
        reason = f": {run.reason}" if run.reason else ""
        self._say(f"[{number}/{total}] {label(run.check, run.state)} visit {run.visit}: {outcome}{missing}{reason}")

    def looking_again(self, number: int, what: str) -> None:
        self._say(f"look {number}: {what} can't be decided yet, measuring again")

    def _say(self, text: str) -> None:
        print(safe(text), file=sys.stderr, flush=True)


class LiveTable(Observer):
    """A table of the plan that fills as it is measured, with the call that is being made now."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._rows: dict[str, dict[str, object]] = {}
        self._title = "opening the GPUs"
        self._now = ""
        self._number = 0
        self._total = 0
        self._began = time.monotonic()
        console = Console(stderr=True, highlight=False)  # asks for the table at once: the rest has to be there
        self._live = Live(console=console, refresh_per_second=8, transient=True, get_renderable=self._table)
        self._live.start()

    def stop(self) -> None:
        """End the live view."""
        self._live.stop()

    def opened(self, node: str, gpus: int, plan: str, steps: int, seconds: float) -> None:
        self._title = safe(f"{node} · {plural(gpus, 'GPU')} · plan {plan} · about {duration(seconds)} of measuring")

    def step_started(self, number: int, total: int, step: PlannedStep) -> None:
        self._number, self._total = number, total
        row = self._rows.setdefault(label(step.check, step.state), {"visits": 0, "missing": 0, "spent": 0.0})
        row["outcome"], row["since"] = "measuring", time.monotonic()

    def progress(self, gpu: int | None, call: str) -> None:
        self._now = safe(f"GPU {gpu}: {call}" if gpu is not None else call)

    def step_ended(self, number: int, total: int, run: StepRun) -> None:
        row = self._rows[label(run.check, run.state)]
        row["visits"] = int(str(row["visits"])) + 1
        row["missing"] = int(str(row["missing"])) + _missing(run)
        row["outcome"] = run.outcome

    def looking_again(self, number: int, what: str) -> None:
        self._title = safe(f"look {number}: {what} can't be decided yet")

    def _table(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        styles = {"measuring": "bold cyan", "completed": "green", "skipped": "dim"}
        table = Table(box=None, pad_edge=False)
        for name in ("check", "visits", "not measured", "now"):
            table.add_column(name, justify="left")
        for name, row in self._rows.items():
            outcome = str(row["outcome"])
            missing = str(row["missing"]) if row["missing"] else ""
            table.add_row(
                name, str(row["visits"]), Text(missing, "red"), Text(outcome, styles.get(outcome, "bold yellow"))
            )
        spent = duration(time.monotonic() - self._began)
        now = Text(f"step {self._number} of {self._total} · {spent} · {self._now}", "dim")
        return Group(Text(self._title, "bold"), table, now)
