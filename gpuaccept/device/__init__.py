"""The device layer: `open` gives a Node by name; what stands behind it is known to nobody else."""
