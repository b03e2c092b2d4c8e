"""What the sensors of simulated GPUs show over a block of time: all GPUs and samples at once, in numpy."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gpuaccept.check import Sensors, Unavailable, gpu_subject
from gpuaccept.device.mock import noise
from gpuaccept.device.mock.model import HardwareModel
from gpuaccept.device.mock.physics import CLIMBED, HW_SLOWDOWN, POWER_BRAKE, WANDER_S, Body, Segment
from gpuaccept.device.mock.world import Holds, World

Array = NDArray[np.float64]
_FIELD = {name: index for index, name in enumerate(Segment._fields)}
COUNTER_END = 2.0**62
NO_MARGIN = Unavailable("nvmlDeviceGetMarginTemperature", 3, "NVML_ERROR_NOT_SUPPORTED")
_COLUMNS = Sensors._fields[1:-1]
_WOBBLING = ("power_w", "sm_clock_mhz", "temperature_k", "iterations")
"""Quantities whose readings scatter."""


class _Ahead:
    """Samples of some GPUs as they will be unless something is done to them: calculated at once, handed out in blocks.

    They hold as long as each GPU is in the segment that they were calculated from.
    """

    def __init__(self, bodies: list[Body], at: Sequence[float], columns: dict[str, Any], shown: Array) -> None:
        self.bodies, self.at, self.columns, self.shown = bodies, at, columns, shown
        self.rows = {name: _rows(column, len(at)) for name, column in columns.items()}
        self.first = 0
        """The first sample that was not handed out."""
        self._segments = [body.segments[-1] for body in bodies]

    def holds(self, bodies: list[Body], at: Sequence[float]) -> bool:
        """Whether the next of them are those that are asked for."""
        return (
            self.bodies == bodies
            and self.at[self.first : self.first + len(at)] == at
            and all(body.segments[-1] is one for body, one in zip(bodies, self._segments, strict=True))
        )

    def take(self, count: int) -> slice:
        """Hand out the next samples: what the GPUs have shown then does not go back."""
        taken = slice(self.first, self.first + count)
        self.first += count
        for body, last in zip(self.bodies, self.shown[:, self.first - 1].tolist(), strict=True):
            body.shown = last
        return taken


class SensorBank:
    """The sensors of all GPUs of a node; readings are rounded as NVML rounds them."""

    def __init__(self, bodies: Sequence[Body], world: World) -> None:
        self.bodies, self.world = bodies, world
        self.keys = np.array([[body.key(f"sensor {one}") for body in bodies] for one in _WOBBLING], np.uint64)
        model = world.model.power
        # of the tenths of a second that a reading is the mean of, a part is not looked at
        hidden = (1.0 / model.sampled_share - 1.0) * 0.1 / model.averaged_s
        self.power_scatter = float(np.hypot(world.model.noise.power_w.repeat, model.ripple_w * np.sqrt(hidden)))
        self.brake_keys = np.array([body.key("sensor brake") for body in bodies], np.uint64)
        self.deviating = {name.removeprefix("sensor.") for name in world.names if name.startswith("sensor.")}
        self._ahead: _Ahead | None = None

    def read(
        self,
        places: Sequence[int],
        at: list[float],
        further: list[float],
        memory_clock: Callable[[int], float],
        holds: Holds,
    ) -> list[Sensors]:
        """Samples of the GPUs at these places, at these times (s, in order, not before the bodies' last event).

        `further` times are likely to be asked for next.
        """
        bodies = [self.bodies[place] for place in places]
        for body in bodies:
            body.advance(at[-1])
        ahead = self._ahead
        if ahead is None or not ahead.holds(bodies, at):
            still = not self.world.conditional and all(len(body.segments) == 1 for body in bodies)
            foreseen = still and further and all(body.end > further[-1] for body in bodies)
            times = at + further if foreseen else at
            columns, shown = self._columns(bodies, np.array(places), np.array(times))
            columns["memory_clock_mhz"] = np.array([[memory_clock(place)] for place in places], np.float64)
            ahead = self._ahead = _Ahead(bodies, times, columns, shown)
        taken, moment = ahead.take(len(at)), tuple(at)
        if self.deviating:
            out = [self._deviated(place, row, moment, taken, ahead.columns, holds) for row, place in enumerate(places)]
        else:
            columns_ = [ahead.rows[name] for name in (*_COLUMNS, "iterations")]
            out = [Sensors(moment, *[rows[row][taken] for rows in columns_]) for row in range(len(places))]
        if not self.world.model.thermal.margin_readable:
            out = [one._replace(margin_k=NO_MARGIN) for one in out]
        return out

    def _deviated(
        self,
        place: int,
        row: int,
        at: tuple[float, ...],
        taken: slice,
        columns: dict[str, Any],
        holds: Holds,
    ) -> Sensors:
        """One GPU's samples where a sensor shows something else than what is."""
        out: list[Any] = [at]
        for name in (*_COLUMNS, "iterations"):
            column = np.broadcast_to(columns[name][row], columns["power_w"].shape[1])[taken]
            if name in self.deviating:
                changed = self._changed(place, name, column, at, holds)
                if isinstance(changed, Unavailable):
                    out.append(changed)
                    continue
                column = np.clip(changed, -COUNTER_END, COUNTER_END).astype(column.dtype)
            out.append(tuple(column.tolist()))
        return Sensors(*out)

    def _changed(self, place: int, name: str, column: Any, at: Sequence[float], holds: Holds) -> Array | Unavailable:
        parameter, subject = f"sensor.{name}", gpu_subject(place)
        out = [
            self.world.value(parameter, subject, value, t, holds) for value, t in zip(column.tolist(), at, strict=True)
        ]
        if any(value == "unavailable" for value in out):
            return Unavailable("nvmlDeviceGetFieldValues", 3, "NVML_ERROR_NOT_SUPPORTED")
        return np.array(out)

    def _columns(self, bodies: list[Body], places: NDArray[np.int64], at: Array) -> tuple[dict[str, Any], Array]:
        """What sensors show, by column, and the iterations as they are counted, which are not whole."""
        model = self.world.model
        table = _table(bodies, at)

        def field(name: str) -> Array:
            return table[:, :, _FIELD[name]]

        dt = at[None, :] - field("start")
        total = np.zeros((len(bodies), len(at)))
        area = (field("inlet") - bodies[0].reference_c) * dt
        for number, tau in enumerate(bodies[0].taus, 1):
            equilibrium, rise = field(f"equilibrium_{number}"), field(f"rise_{number}")
            decay = np.exp(dt / -tau)
            total += equilibrium + (rise - equilibrium) * decay
            area = area + equilibrium * dt + (rise - equilibrium) * (tau * (1.0 - decay))
        inlet = field("inlet") + model.thermal.inlet_wander_k * _wander(bodies[0].inlet_key, at)
        temperature = inlet + total
        slope = model.clock.load_percent_per_kelvin / 100.0
        loaded = field("loaded") > 0.0
        ticks = np.round(at * 1000.0).astype(np.uint64)[None, :]
        draws = noise.students(noise.uniforms(self.keys[:, places, None], ticks))
        wobble = dict(zip(_WOBBLING, draws, strict=True))
        braked = loaded & (field("brake") > 0.0)
        if braked.any():
            braked = braked & (noise.uniforms(self.brake_keys[places, None], ticks) < field("brake"))
        spread = model.noise
        began = np.array([[body.load_began] for body in bodies])
        climb = _Climb(model, began, at, field("start"), loaded)
        idle = np.array([[body.idle_power] for body in bodies])
        power = field("power") + wobble["power_w"] * np.where(loaded, self.power_scatter, spread.idle_power_w.repeat)
        climb.lower(power, field("power") - idle, climb.unseen)
        ceiling = model.power.limit_w * model.power.peak_share
        clock = field("clock") * np.where(loaded, 1.0 + slope * (temperature - bodies[0].reference_c), 1.0)
        visit = np.array([[body.visit_clock] for body in bodies])
        clock = clock + np.where(loaded, visit + spread.sm_clock_mhz.repeat * wobble["sm_clock_mhz"], 0.0)
        free = field("reasons") == 0.0  # no reason to be below a clock: it stands still at its top
        clock = np.where(loaded & free, field("clock"), np.minimum(clock, model.clock.sm_max_mhz))
        climb.lower(clock, clock - model.clock.sm_idle_mhz, climb.left)
        clock = np.where(braked, clock / 2.0, clock)
        heat = spread.temperature_k.repeat * wobble["temperature_k"]
        shown = np.round(temperature + heat)
        rate = field("rate")
        # a reading lags behind by up to 6 sigma of a second's work, so it is never above what the load has done
        lag = spread.iterations.repeat / 100.0 * rate * (np.clip(wobble["iterations"], -3.0, 3.0) - 3.0)
        iterations = np.where(
            loaded, field("iterations") + rate * np.maximum(0.0, dt - climb.lost + slope * area) + lag, 0.0
        )
        iterations[:, 0] = np.maximum(iterations[:, 0], [body.shown for body in bodies])
        iterations = np.maximum.accumulate(iterations, axis=1)
        reasons = field("reasons").astype(np.int64)
        if climb.left.size:  # a clock that climbs has none
            reasons = np.broadcast_to(reasons, clock.shape).copy()
            reasons[:, : climb.samples][climb.left > 0.5] = 0
        if braked.any():
            reasons = np.where(braked, reasons | POWER_BRAKE | HW_SLOWDOWN, reasons)
        columns = {
            "power_w": np.round(np.clip(power, 1.0, ceiling), 3),
            "temperature_c": shown,
            "memory_temperature_c": np.round(inlet + field("memory_rise") * total + heat),
            "margin_k": model.thermal.maximum_c - shown,
            "sm_clock_mhz": np.round(np.maximum(clock, 1.0)),
            "event_reasons": reasons,
            "sw_power_cap_ns": _counter(field("cap_ns"), field("cap"), dt),
            "sw_thermal_ns": _counter(field("thermal_ns"), field("thermal"), dt),
            "hw_thermal_ns": _counter(field("hardware_ns"), field("hardware"), dt),
            "hw_power_brake_ns": _counter(field("brake_ns"), field("brake"), dt),
            "energy_mj": _whole(
                (field("energy") + field("power") * dt - (field("power") - idle) * climb.lost) * 1000.0
            ),
            "iterations": _whole(iterations),
        }
        return columns, iterations


class _Climb:
    """How far clocks that climb from idle are still below, at the first `samples`; later ones have arrived."""

    def __init__(self, model: HardwareModel, began: Array, at: Array, start: Array, loaded: NDArray[np.bool_]) -> None:
        ramp, mean_s = model.clock.ramp_s, model.power.averaged_s
        self.lost = np.where(loaded, ramp * np.exp(np.maximum(0.0, start - began) / -ramp), 0.0)
        """Time that the climb has cost in the segment, s."""
        self.left = self.unseen = np.zeros((len(began), 0))
        """Shares: of the way that is left, and of the load that a mean over the last `averaged_s` does not show."""
        self.samples = int(np.searchsorted(at, began.max() + CLIMBED * ramp + mean_s)) if loaded.any() else 0
        if not self.samples:
            return
        since = np.maximum(0.0, at[: self.samples] - began)
        loaded = loaded[:, : self.samples]
        left, before = np.exp(since / -ramp), np.exp(np.maximum(0.0, since - mean_s) / -ramp)
        self.left = np.where(loaded, left, 0.0)
        self.unseen = np.where(loaded, (np.maximum(0.0, mean_s - since) + ramp * (before - left)) / mean_s, 0.0)
        self.lost = np.broadcast_to(self.lost, (len(began), len(at))).copy()
        self.lost[:, : self.samples] -= ramp * self.left

    def lower(self, values: Array, way: Array, share: Array) -> None:
        """Take a share of the way from idle from the first values."""
        if self.samples:
            values[:, : self.samples] -= way[:, : self.samples] * share


def _rows(column: Any, count: int) -> list[tuple[Any, ...]]:
    """The samples of each GPU as numbers of Python; many columns stay the same, and some are one wide for that."""
    if (column == column[:, :1]).all():
        return [(first,) * count for first in column[:, 0].tolist()]
    return list(map(tuple, column.tolist()))


def _counter(start: Array, share: Array, dt: Array) -> NDArray[np.int64]:
    return _whole(start + share * dt * 1e9 if share.any() else start)


def _whole(values: Array) -> NDArray[np.int64]:
    """As counters of 64 bits, which stand still at their end."""
    return np.minimum(values, COUNTER_END).astype(np.int64)


def _wander(key: int, at: Array) -> Array:
    """`noise.wander` of an array of times."""
    knots = range(int(at[0] // WANDER_S), int(at[-1] // WANDER_S) + 2)
    return np.interp(at, [knot * WANDER_S for knot in knots], [noise.knot(key, knot) for knot in knots])


def _table(bodies: list[Body], at: Array) -> Array:
    """Segment of each GPU at each sample: (GPUs, samples or 1, fields)."""
    if all(len(body.segments) == 1 for body in bodies):
        return np.array([[body.segments[0]] for body in bodies])
    rows = []
    for body in bodies:
        starts = [segment.start for segment in body.segments]
        rows.append(np.array(body.segments)[[max(0, bisect_right(starts, t) - 1) for t in at.tolist()]])
    return np.array(rows)
