"""gpuaccept: is this freshly racked GPU node what was ordered, and does it work? Measured, judged, signed."""

__version__ = "0.1.0"
