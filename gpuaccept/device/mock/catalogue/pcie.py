"""Faults of the PCIe link between host and GPU."""

from __future__ import annotations

from gpuaccept.device.mock.catalogue.entry import Entry

FAULTS: tuple[Entry, ...] = ()
