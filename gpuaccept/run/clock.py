"""Says when a run has to end: by its deadline, or since somebody asked."""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuaccept.ambient import Ambient
from gpuaccept.run.performer import Stopped

CONCLUDE_S = 2.0
"""Kept back from a deadline for judging, signing and rendering: several times what they take on a slow core."""


@dataclass
class Clock:
    """The time that a run has. It begins when this is made."""

    ambient: Ambient
    deadline_s: float | None = None
    asked: str = ""
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.ambient.monotonic()

    def stop(self, reason: str) -> None:
        """Ask the run to end as soon as it can (for signal handlers)."""
        self.asked = reason

    def check(self) -> None:
        """Raise Stopped when the run has to end."""
        if self.asked:
            raise Stopped("interrupted", self.asked)
        if self.deadline_s is not None:
            kept = min(CONCLUDE_S, self.deadline_s / 4)
            if self.ambient.monotonic() - self._began > self.deadline_s - kept:
                raise Stopped("not_reached", f"the deadline of {self.deadline_s:g} s was reached")
