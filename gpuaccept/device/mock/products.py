"""Matrix products of simulated GPUs: their time by precision and power, their wrong elements by a bad SM."""

from __future__ import annotations

from math import inf
from typing import get_args

from gpuaccept.check import Gemm, Precision, gpu_subject
from gpuaccept.device.mock.copies import Path, of_gpus
from gpuaccept.device.mock.machine import Machine
from gpuaccept.device.mock.scatter import Scatter
from gpuaccept.errors import DeviceError

NO_SM = -1.0
"""`sm.wrong` where no SM computes wrongly."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
TILE = 128
"""Edge of the part of a product that one SM computes at a time [judgement]; a bad SM spoils one element of each."""


class Products:
    """Matrix products of all GPUs of one machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._paths: dict[tuple[int, Precision], Path] = {}
        self._scatter: Scatter | None = None

    def gemm(self, gpu: int, precision: Precision, size: int, passes: int) -> Gemm:
        """Timed products of square matrices."""
        machine, model = self._machine, self._machine.model.gemm
        place = machine.place(gpu, "gemm")
        if size <= 0 or passes <= 0:
            raise DeviceError("cublasLtMatmul", 7, "CUBLAS_STATUS_INVALID_VALUE", gpu)
        if model is None or not getattr(model, precision):
            raise DeviceError("cublasLtMatmul", 15, "CUBLAS_STATUS_NOT_SUPPORTED", gpu)
        path = self._paths.get((place, precision)) or self._new(place, precision)
        teraflops = path.rate(machine.time_s, machine.generation)
        operations = 2 * size**3 * passes
        elapsed = int(operations / teraflops * 1e-3) or 1
        before = wrong_results(machine, place)
        machine.pass_time(0.001 + elapsed * 1e-9)
        wrong = wrong_results(machine, place) - before + self._always_wrong(place, size, passes)
        return Gemm(elapsed, operations, wrong, model.implementation)

    def forget(self) -> None:
        """Drop all paths."""
        self._paths.clear()
        self._scatter = None

    def _new(self, place: int, precision: Precision) -> Path:
        machine = self._machine
        model = machine.model

        def ask() -> float:
            t = machine.time_s
            rate = float(getattr(model.gemm, precision))
            rate *= min(1.0, machine.number("clock.sm_lock_mhz", place, inf, t) / model.clock.load_mhz)
            return max(1e-6, rate * machine.number("load.rate", place, 1.0, t))

        if self._scatter is None:
            # the same numbers for all precisions: a GPU that is fast in one is fast in all
            subjects = of_gpus(machine) * len(PRECISIONS)
            self._scatter = Scatter(machine.seed, machine.start, model.noise.iterations, "gemm", subjects)
        row = PRECISIONS.index(precision) * model.gpus + place
        path = self._paths[(place, precision)] = Path(ask, self._scatter, row)
        return path

    def _always_wrong(self, place: int, size: int, passes: int) -> int:
        """Results of an SM that computes wrongly each time."""
        machine = self._machine
        if not machine.world.names or not machine.flag("sm.always_wrong", place) or bad_sm(machine, place) is None:
            return 0
        tiles = max(1, size // TILE) ** 2
        return passes * max(1, tiles // machine.model.gpu.sm_count)


def bad_sm(machine: Machine, place: int) -> int | None:
    """The SM of a GPU that computes wrongly, if there is one."""
    found = int(machine.number("sm.wrong", place, NO_SM, machine.time_s))
    return found % machine.model.gpu.sm_count if found >= 0 else None


def wrong_results(machine: Machine, place: int) -> int:
    """Results that came out differently until now, by the rate of intermittent errors: read before and after a load.

    A rate under conditions is collected as time passes, so what it was at an earlier time can't be asked for later.
    """
    rate = "load.mismatches_per_hour"
    return int(machine.world.integral(rate, gpu_subject(place), 0.0, machine.time_s, machine.holds) / 3600.0)
