"""Samples the sensors of several GPUs at a steady pace, and hands them over in blocks of about a second."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pynvml

from gpuaccept.check import DeviceError, Node, Reading, Sensors, Unavailable
from gpuaccept.device.nvidia.calls import Nvml
from gpuaccept.device.nvidia.discovery import Gpu
from gpuaccept.device.nvidia.margins import Margins
from gpuaccept.device.nvidia.slowdowns import SlowdownFields

_BLOCK_S = 1.0
_FIELDS = (
    pynvml.NVML_FI_DEV_POWER_AVERAGE,
    pynvml.NVML_FI_DEV_POWER_INSTANT,
    pynvml.NVML_FI_DEV_MEMORY_TEMP,
    pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP,
    pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION,
)


class _Sample(NamedTuple):
    """One sample: the members of Sensors after the time, each a reading."""

    power_w: Reading
    temperature_c: Reading
    memory_temperature_c: Reading
    margin_k: Reading
    sm_clock_mhz: Reading
    memory_clock_mhz: Reading
    event_reasons: Reading
    sw_power_cap_ns: Reading
    sw_thermal_ns: Reading
    hw_thermal_ns: Reading
    hw_power_brake_ns: Reading
    energy_mj: Reading
    iterations: Reading


def sample_blocks(
    nvml: Nvml,
    margins: Margins,
    gpus: Sequence[Gpu],
    clock: Node,
    seconds: float,
    interval: float,
    iterations: Callable[[int], int],
) -> Iterator[dict[int, Sensors | Unavailable]]:
    """Sample at 0, interval, 2 interval … seconds. A tick that NVML is too slow for is left out: it shows as a gap.

    `iterations` tells how many the load on a GPU has completed. A GPU that is lost stays Unavailable from then on, and
    the others go on.
    """
    start = clock.now()
    ticks = round(seconds / interval) if interval > 0 else 0
    per_block = max(1, round(_BLOCK_S / interval)) if interval > 0 else 1
    lost: dict[int, Unavailable] = {}
    slowdowns: dict[int, SlowdownFields] = {}
    samples: dict[int, list[tuple[float, _Sample]]] = {gpu.index: [] for gpu in gpus}
    tick = block = 0
    while tick <= ticks:
        clock.wait(max(0.0, start + tick * interval - clock.now()))
        for gpu in gpus:
            if gpu.index not in lost:
                try:
                    of = slowdowns.get(gpu.index) or slowdowns.setdefault(gpu.index, SlowdownFields(nvml, gpu))
                    samples[gpu.index].append((clock.now(), _sample(nvml, margins, of, gpu, iterations(gpu.index))))
                except DeviceError as error:
                    lost[gpu.index] = Unavailable(error.call, error.code, error.name)
        late = int((clock.now() - start) / interval) if interval > 0 else 0
        tick = max(tick + 1, min(late, ticks))
        if tick > ticks or tick // per_block > block:
            block = tick // per_block
            yield {gpu.index: lost.get(gpu.index) or _columns(samples[gpu.index]) for gpu in gpus}
            samples = {gpu.index: [] for gpu in gpus}


def _sample(nvml: Nvml, margins: Margins, slowdowns: SlowdownFields, gpu: Gpu, iterations: int) -> _Sample:
    """One call for all that NVML has as fields, and one for each of the others."""

    def read(name: str, *arguments: Any) -> Reading:
        return nvml.read(gpu.index, name, gpu.handle, *arguments)

    power, instant, memory, sw_power_cap, energy, *counters = nvml.fields(
        gpu.index, gpu.handle, [(field, 0) for field in (*_FIELDS, *slowdowns.wanted)]
    )
    slowed = slowdowns.read(tuple(counters))
    if isinstance(power, Unavailable):  # GA100 has no average of a second, only the moment's power
        power = read("nvmlDeviceGetPowerUsage") if isinstance(instant, Unavailable) else instant
    temperature = read("nvmlDeviceGetTemperatureV", pynvml.NVML_TEMPERATURE_GPU)
    if isinstance(temperature, Unavailable):  # drivers before CUDA 12.9
        temperature = read("nvmlDeviceGetTemperature", pynvml.NVML_TEMPERATURE_GPU)
    return _Sample(
        power_w=power if isinstance(power, Unavailable) else float(power) / 1e3,
        temperature_c=temperature,
        memory_temperature_c=memory,
        margin_k=margins.read(gpu, temperature),
        sm_clock_mhz=read("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_SM),
        memory_clock_mhz=read("nvmlDeviceGetClockInfo", pynvml.NVML_CLOCK_MEM),
        event_reasons=read("nvmlDeviceGetCurrentClocksEventReasons"),
        sw_power_cap_ns=sw_power_cap,
        sw_thermal_ns=slowed.software,
        hw_thermal_ns=slowed.thermal,
        hw_power_brake_ns=slowed.brake,
        energy_mj=energy,
        iterations=iterations,
    )


_WHOLE = frozenset(
    {
        *("event_reasons", "sw_power_cap_ns", "sw_thermal_ns", "hw_thermal_ns", "hw_power_brake_ns"),
        *("energy_mj", "iterations"),
    }
)


def _columns(samples: list[tuple[float, _Sample]]) -> Sensors:
    """Columns of equal length: one reading that failed makes its column unavailable for this block."""
    columns: dict[str, Any] = {}
    for position, name in enumerate(_Sample._fields):
        values = [sample[position] for _, sample in samples]
        failed = next((value for value in values if isinstance(value, Unavailable)), None)
        convert = int if name in _WHOLE else float
        columns[name] = failed or tuple(convert(value) for value in values)  # type: ignore[arg-type]
    return Sensors(at_s=tuple(at for at, _ in samples), **columns)
