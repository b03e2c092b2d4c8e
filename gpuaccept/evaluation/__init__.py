"""How well the checks find the faults of the catalogue, and how often they send a good node back: in simulation."""

from gpuaccept.evaluation.trials import Result, Task, Trial, names_the_part, perform, run, smallest_severity

__all__ = ["Result", "Task", "Trial", "names_the_part", "perform", "run", "smallest_severity"]
