"""Square waves of load on simulated GPUs: of the means of power, heat and throttling, none of the edges."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpuaccept.check import Unavailable, Waves
from gpuaccept.device.mock.machine import Machine, Wave
from gpuaccept.device.mock.products import wrong_results
from gpuaccept.errors import DeviceError

CALL = "load_waves"
DUTY = 0.5


def load_waves(machine: Machine, gpus: Sequence[int], wave: Wave, seconds: float) -> tuple[Waves | Unavailable, ...]:
    """See Node.load_waves. A GPU that is lost meanwhile is found so at the end, as a driver tells it."""
    if wave.frequency_hz <= 0 or seconds <= 0:
        raise DeviceError("cuLaunchKernel", 1, "CUDA_ERROR_INVALID_VALUE")
    began = machine.time_s
    places, failed = _places(machine, gpus)
    if any(machine.bodies[place].loaded for place in places.values()):
        raise DeviceError("cuLaunchKernel", 400, "CUDA_ERROR_INVALID_HANDLE")
    machine.wave = wave
    try:
        for place in places.values():
            machine.bodies[place].forget()
            machine.bodies[place].begin(began, duty=DUTY)
        before = {place: wrong_results(machine, place) for place in places.values()}
        machine.pass_time(seconds)
        failed |= _places(machine, places)[1]
        for place in places.values():
            machine.bodies[place].finish(machine.time_s)
        wrong = {gpu: wrong_results(machine, place) - before[place] for gpu, place in places.items()}
    finally:
        machine.wave = None
    bursts, kernel = max(1, round(seconds * wave.frequency_hz)), machine.model.load.implementation
    return tuple(failed.get(gpu) or Waves(bursts, 0, wrong[gpu], kernel) for gpu in gpus)


def _places(machine: Machine, gpus: Iterable[int]) -> tuple[dict[int, int], dict[int, Unavailable]]:
    """Where each GPU sits, and why some can't be used."""
    places: dict[int, int] = {}
    failed: dict[int, Unavailable] = {}
    for gpu in gpus:
        try:
            places[gpu] = machine.place(gpu, CALL)
        except DeviceError as error:
            failed[gpu] = Unavailable(error.call, error.code, error.name)
    return places, failed
