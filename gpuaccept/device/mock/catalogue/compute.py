"""Faults of the arithmetic."""

from __future__ import annotations

from gpuaccept.device.mock.catalogue.entry import Entry

FAULTS: tuple[Entry, ...] = ()
