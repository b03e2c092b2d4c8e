"""The base of all values, and the closed sets of words that they use."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

Text = Annotated[str, Meta(max_length=400)]
Name = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.\-]*$")]
MetricName = Annotated[str, Meta(max_length=120, pattern=r"^[a-z][a-z0-9_]*\.[a-z0-9_]+$")]

Source = Literal["spec", "vendor", "published", "measured", "contract", "assumption"]
Effect = Literal["require", "observe", "valid"]
Cause = Literal["hardware", "configuration", "facility", "tool", "unknown"]
Action = Literal[
    "replace",
    "reset and re-run",
    "reboot and re-run",
    "correct the setting",
    "call the facility",
    "measure again",
]
Result = Literal["pass", "fail", "inconclusive", "error", "skipped"]
Decision = Literal["accepted", "accepted with concession", "rejected", "not decided"]
Kind = Literal["sampled", "read", "counted", "difference", "rate"]
Better = Literal["higher", "lower", "neither"]
SubjectKind = Literal["node", "gpu", "link", "pair"]
Tails = Literal["normal", "t4"]
"""Shape of scatter: normal, or Student's t with four degrees of freedom, whose tails are heavier."""
Reduction = Literal[
    "mean",
    "minimum",
    "maximum",
    "difference",
    "share",
    "range",
    "duration",
    "largest_gap",
    "ratio_of_thirds",
    "lower_bound",
    "upper_bound",
]
Outcome = Literal["completed", "error", "timed_out", "skipped", "interrupted", "not_reached"]
Scalar = float | str
"""A sample: a float, or text. Counters are decimal strings, since other readers of JSON lose integers above 2^53."""


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all values: immutable, unknown fields refused. Subclasses repeat the flags that type checkers need."""
