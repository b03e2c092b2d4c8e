"""Raw readings of a simulated node that the tests look at."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean, median
from typing import Any

from gpuaccept.check import Node, Sensors, Transfer, Unavailable
from gpuaccept.device.mock.node import MockNode

MakeNode = Callable[..., MockNode]

GIB = 1 << 30


def gb_per_s(transfer: Transfer | Unavailable, one_way: bool = False) -> float:
    """GB/s of a transfer: bytes read and written, or those of one way."""
    assert isinstance(transfer, Transfer)
    moved = transfer.bytes_written if one_way else transfer.bytes_read + transfer.bytes_written
    return moved / transfer.elapsed_ns


def sweep(node: Node, gpu: int, kernel: Any = "copy", repeats: int = 5) -> float:
    """Median GB/s of some sweeps."""
    return median(
        gb_per_s(node.memory_sweep(gpu, kernel, 4 * GIB, 5, seed), kernel == "local_copy_ce") for seed in range(repeats)
    )


def peer(node: Node, gpu: int, other: int, operation: Any = "read", engine: Any = "ce") -> float:
    """Median GB/s of some copies of one pair."""
    return median(
        gb_per_s(node.peer_copies([(gpu, other)], operation, engine, False, GIB, 8, seed)[0], True) for seed in range(5)
    )


class Soak:
    """All samples of a soak, by GPU and sensor; lost GPUs are in `lost`."""

    def __init__(self, node: Node, seconds: float = 600.0, interval: float = 1.0, load: bool = True) -> None:
        gpus = list(node.gpus)
        self.samples: dict[int, dict[str, list[float]]] = {gpu: {name: [] for name in Sensors._fields} for gpu in gpus}
        self.lost: dict[int, Unavailable] = {}
        for gpu in gpus if load else ():
            node.load_begin(gpu, 1)
        for block in node.sensors(gpus, seconds, interval):
            for gpu, sensors in block.items():
                if isinstance(sensors, Unavailable):
                    self.lost[gpu] = sensors
                    continue
                for name, column in zip(Sensors._fields, sensors, strict=True):
                    if not isinstance(column, Unavailable):
                        self.samples[gpu][name].extend(column)
        self.results = {gpu: node.load_end(gpu) for gpu in gpus if load and gpu not in self.lost}

    def last(self, gpu: int, name: str) -> float:
        """The last sample."""
        return self.samples[gpu][name][-1]

    def share(self, gpu: int, name: str) -> float:
        """Part of the time that a counter in ns counted."""
        values, at = self.samples[gpu][name], self.samples[gpu]["at_s"]
        return (values[-1] - values[0]) / 1e9 / (at[-1] - at[0])

    def settled(self, gpu: int, name: str) -> float:
        """Mean of the second half."""
        values = self.samples[gpu][name]
        return fmean(values[len(values) // 2 :])
