"""A driver over host memory, so that the real NVIDIA code runs without a GPU. See machine.py for its use."""
