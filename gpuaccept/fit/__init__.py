"""Captures become a simulated node whose healthy values agree with them in median and scatter."""

from __future__ import annotations

from gpuaccept.fit.capture import Capture, read_captures
from gpuaccept.fit.fit import fit
from gpuaccept.fit.fitted import Fitted
from gpuaccept.fit.write import yaml_of

__all__ = ["Capture", "Fitted", "fit", "read_captures", "yaml_of"]
