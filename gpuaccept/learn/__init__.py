"""Limits proposed from good records: how far below what was seen a limit may lie, and for which nodes that holds."""

from __future__ import annotations

from gpuaccept.learn.propose import Learned, learn
from gpuaccept.learn.records import Good, Lot, good_records
from gpuaccept.learn.terms import Outcome
from gpuaccept.learn.write import as_object, report, yaml_of

__all__ = ["Good", "Learned", "Lot", "Outcome", "as_object", "good_records", "learn", "report", "yaml_of"]
