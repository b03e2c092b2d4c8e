"""Power, clocks, temperatures and event-reason counters of one simulated GPU, in closed form between events.

Power is constant within a segment: one begins where the load starts or ends, where a deviation begins or ends, and
every CONTROL_S while the GPU is near its temperature limit (or while a deviation depends on a condition). Within it
the three stages of the thermal path follow dT/dt = (R P - T)/tau exactly, and so do energy and iterations. A node
that is opened at a later time starts in the thermal equilibrium of the idle GPU, and its counters start at the most
that could have been counted until then: they never run backwards, and a difference never spans two processes.

When a load begins, clock and power climb to those of the segment as 1 - exp(-t/ramp). What that costs in work and
energy is exact; that the GPU is heated less for a part of a second is left out.
"""

from __future__ import annotations

from math import exp, inf
from typing import NamedTuple, Protocol

from gpuaccept.device.mock import noise
from gpuaccept.device.mock.model import HardwareModel, Spread

CONTROL_S = 5.0
"""Period of the thermal regulation, s [judgement]."""
WANDER_S = 600.0
"""Time over which the inlet temperature changes, s [judgement]."""
COLDEST_INLET_C, HOTTEST_INLET_C, INSULATED = -50.0, 150.0, 100.0
"""Bounds that no scenario leaves: of the inlet, and of the thermal resistance in multiples of the model's."""

CLIMBED = 40.0
"""Time constants after which a clock has climbed all the way, to the last bit that a float has."""

IDLE, POWER_CAP, HW_SLOWDOWN, SW_THERMAL, HW_THERMAL, POWER_BRAKE = 0x1, 0x4, 0x8, 0x20, 0x40, 0x80
"""NVML clock event reasons."""


class Segment(NamedTuple):
    """A span of constant power. Stages in K: `equilibrium_i` is R P, `rise_i` the value at the start."""

    start: float
    power: float
    clock: float
    braked_power: float
    equilibrium_1: float
    equilibrium_2: float
    equilibrium_3: float
    rise_1: float
    rise_2: float
    rise_3: float
    inlet: float
    rate: float
    cap: float
    thermal: float
    hardware: float
    brake: float
    reasons: float
    loaded: float
    energy: float
    iterations: float
    cap_ns: float
    thermal_ns: float
    hardware_ns: float
    brake_ns: float
    memory_rise: float


class Surroundings(Protocol):
    """What the physics asks of the node: parameters now, and the next time at which they may change."""

    model: HardwareModel
    seed: int
    start: float

    def number(self, parameter: str, place: int, base: float, t: float) -> float: ...

    def spread(self, place: int) -> float: ...

    def next_change(self, t: float) -> float: ...

    @property
    def conditional(self) -> bool: ...


class Body:
    """The thermal and electrical state of one GPU."""

    def __init__(self, node: Surroundings, place: int) -> None:
        self.node, self.place = node, place
        model = node.model
        self.inlet_key = noise.key(node.seed, "inlet")
        one, two, three = model.thermal.stages
        self.taus = (one.time_constant_s, two.time_constant_s, three.time_constant_s)
        odd = 1.0 + model.thermal.odd_module_percent / 200.0 * (1 if model.gpu.module_ids[place] % 2 else -1)
        self.resistance = odd * (1.0 + self._own("thermal_resistance") / 100.0)
        self.load_clock = model.clock.load_mhz + self._own("sm_clock_mhz")
        self.rate_factor = 1.0 + self._own("iterations") / 100.0
        self.cap_offset, self.idle_offset = self._own("power_w"), self._own("idle_power_w")
        self.reference_c = model.thermal.inlet_c + self._stages(1.0, model.power.limit_w * model.power.capped_share)[3]
        self.loaded, self.duty = False, 1.0
        self.load_began = node.start
        self.shown = 0.0
        """Iterations at the last reading: a counter never goes back."""
        self.resistance_now = self.resistance
        self.visit_power = self.visit_rate = self.visit_clock = 0.0
        bound = node.start * 1e9
        empty = Segment(*([0.0] * len(Segment._fields)))._replace(
            start=node.start,
            energy=node.start * model.power.limit_w * model.power.peak_share,
            cap_ns=bound,
            thermal_ns=bound,
            hardware_ns=bound,
            brake_ns=bound,
        )
        self.end = inf
        self.latest_temperature = self.latest_memory_temperature = model.thermal.inlet_c
        """What conditions look at: as of the last segment's beginning, or of the last `observe`."""
        idle = self._plan(empty)
        idle = idle._replace(rise_1=idle.equilibrium_1, rise_2=idle.equilibrium_2, rise_3=idle.equilibrium_3)
        self.segments: list[Segment] = [idle]

    def key(self, quantity: str) -> int:
        """The noise key of a quantity of this GPU."""
        return noise.key(self.node.seed, quantity, self.place)

    def _own(self, quantity: str) -> float:
        """How far this GPU is from a typical one."""
        spread: Spread = getattr(self.node.model.noise, quantity)
        return spread.gpu * self.node.spread(self.place) * noise.normal(self.key(quantity))

    def begin(self, t: float, duty: float = 1.0) -> None:
        """The soak load starts. A soak is a mean over many regulations, so it scatters normally from visit to visit.

        With a duty below 1 it comes in pulses, of which only the means are simulated: all that is read of them.
        """
        spread, tick = self.node.model.noise, round(t * 1000)
        self.visit_power = spread.power_w.visit * noise.normal(self.key("power_w visit"), tick)
        self.visit_rate = spread.iterations.visit / 100.0 * noise.normal(self.key("iterations visit"), tick)
        self.visit_clock = spread.sm_clock_mhz.visit * noise.normal(self.key("sm_clock_mhz visit"), tick)
        visit_resistance = spread.thermal_resistance.visit * noise.normal(self.key("thermal_resistance visit"), tick)
        self.advance(t)
        self.resistance_now = self.resistance * (1.0 + visit_resistance / 100.0)
        self.loaded, self.duty, self.load_began, self.shown = True, duty, t, 0.0
        self._next(t, iterations=0.0)

    def finish(self, t: float) -> float:
        """The soak load ends; how many iterations it did."""
        self.advance(t)
        done = self.at(t).iterations
        self.loaded, self.shown = False, 0.0
        self._next(t, iterations=0.0)
        return done

    def advance(self, t: float) -> None:
        """Let the segments reach `t`, events on the way included."""
        while self.end <= t:
            self._next(self.end)

    def observe(self, t: float) -> None:
        """Bring the temperatures that conditions look at to `t`."""
        self.advance(t)
        self.latest_temperature, self.latest_memory_temperature = self.temperature(t), self.memory_temperature(t)

    def forget(self) -> None:
        """Drop the segments that no sample will be asked from again."""
        del self.segments[:-1]

    def inlet(self, t: float, nominal: float) -> float:
        """Inlet temperature, °C: the hall's slow change on the nominal value."""
        return nominal + self.node.model.thermal.inlet_wander_k * noise.wander(self.inlet_key, t, WANDER_S)

    def rises(self, segment: Segment, t: float) -> tuple[float, float, float]:
        """Rise of the three stages at `t`, K."""
        dt = t - segment.start
        one, two, three = self.taus
        return (
            segment.equilibrium_1 + (segment.rise_1 - segment.equilibrium_1) * exp(-dt / one),
            segment.equilibrium_2 + (segment.rise_2 - segment.equilibrium_2) * exp(-dt / two),
            segment.equilibrium_3 + (segment.rise_3 - segment.equilibrium_3) * exp(-dt / three),
        )

    def temperature(self, t: float) -> float:
        """GPU temperature, °C, not rounded."""
        segment = self.segments[-1]
        return self.inlet(t, segment.inlet) + sum(self.rises(segment, t))

    def memory_temperature(self, t: float) -> float:
        """Memory temperature, °C, not rounded."""
        segment = self.segments[-1]
        return self.inlet(t, segment.inlet) + segment.memory_rise * sum(self.rises(segment, t))

    def at(self, t: float) -> Segment:
        """The last segment's quantities carried on to `t`: rises, energy, iterations, counters."""
        segment = self.segments[-1]
        dt = t - segment.start
        one, two, three = self.rises(segment, t)
        return segment._replace(
            start=t,
            rise_1=one,
            rise_2=two,
            rise_3=three,
            energy=segment.energy + segment.power * dt - self._idled(segment, dt),
            iterations=segment.iterations + self._iterations(segment, dt),
            cap_ns=segment.cap_ns + segment.cap * dt * 1e9,
            thermal_ns=segment.thermal_ns + segment.thermal * dt * 1e9,
            hardware_ns=segment.hardware_ns + segment.hardware * dt * 1e9,
            brake_ns=segment.brake_ns + segment.brake * dt * 1e9,
        )

    def _iterations(self, segment: Segment, dt: float) -> float:
        """Integral of the rate, which falls with temperature and is still to come while the clock climbs."""
        slope = self.node.model.clock.load_percent_per_kelvin / 100.0
        area = (segment.inlet - self.reference_c) * dt
        for tau, equilibrium, rise in zip(self.taus, segment[4:7], segment[7:10], strict=True):
            area += equilibrium * dt + (rise - equilibrium) * tau * (1.0 - exp(-dt / tau))
        return segment.rate * max(0.0, dt - self.climb(segment, dt) + slope * area)

    def climb(self, segment: Segment, dt: float) -> float:
        """The part of `dt` from a segment's start, s, that the climb of the clock takes from what a load does."""
        ramp = self.node.model.clock.ramp_s
        since = segment.start - self.load_began
        if not segment.loaded or since > CLIMBED * ramp:
            return 0.0
        return ramp * (exp(-since / ramp) - exp(-(since + dt) / ramp))

    def _idled(self, segment: Segment, dt: float) -> float:
        """Energy that a load does not take while the clock climbs, J."""
        return (segment.power - self.idle_power) * self.climb(segment, dt) if segment.loaded else 0.0

    @property
    def idle_power(self) -> float:
        """W of this GPU without load, from which its power climbs."""
        return self.node.model.power.idle_w + self.idle_offset

    def _next(self, t: float, iterations: float | None = None) -> None:
        carried = self.at(t)
        if iterations is not None:
            carried = carried._replace(iterations=iterations)
        planned = self._plan(carried)
        if self.segments[-1].start == t:
            self.segments.pop()
        self.segments.append(planned)

    def _stages(self, factor: float, power: float) -> tuple[float, float, float, float]:
        one, two, three = (
            stage.resistance_k_per_kw / 1000.0 * factor * power for stage in self.node.model.thermal.stages
        )
        return one, two, three, one + two + three

    def _plan(self, carried: Segment) -> Segment:
        """Power, clock, reasons and time limit of the segment that begins with the carried state."""
        node, model, place, t = self.node, self.node.model, self.place, carried.start
        self.end = node.next_change(t)
        if node.conditional:
            self.end = min(self.end, t + CONTROL_S)
            rises = sum(carried[7:10])
            self.latest_temperature = self.inlet(t, carried.inlet) + rises
            self.latest_memory_temperature = self.inlet(t, carried.inlet) + carried.memory_rise * rises
        flow = max(0.01, node.number("thermal.flow", place, 1.0, t)) ** -model.thermal.flow_exponent
        factor = self.resistance_now * flow * node.number("thermal.resistance", place, 1.0, t)
        factor = min(factor, INSULATED)
        inlet = min(
            HOTTEST_INLET_C, max(COLDEST_INLET_C, node.number("thermal.inlet_c", place, model.thermal.inlet_c, t))
        )
        rise = model.thermal.memory_rise_percent / 100.0 * node.number("thermal.memory_rise", place, 1.0, t)
        power = max(1.0, node.number("power.idle_w", place, model.power.idle_w, t) + self.idle_offset)
        clock, rate, reasons = model.clock.sm_idle_mhz, 0.0, float(IDLE)
        cap = thermal = hardware = brake = 0.0
        braked = power
        if self.loaded:
            power, clock, capped = self._electric(node, model, place, t)
            if not capped:
                power = self._leaking(power, inlet + sum(carried[7:10]))
                self.end = min(self.end, t + CONTROL_S)
            reasons = float(POWER_CAP if capped else 0)
            cap = model.power.cap_time_share if capped else 0.0
            wanted = self._throttled(carried, power, factor, inlet)
            if wanted < power:
                thermal, reasons = 1.0, reasons + SW_THERMAL
            if carried.rise_1 + carried.rise_2 + carried.rise_3 + inlet > (
                model.thermal.maximum_c - model.thermal.slowdown_margin_k
            ):
                hardware, reasons = 1.0, reasons + HW_THERMAL + HW_SLOWDOWN
                wanted = min(wanted, self._power(clock / 2.0))
            if wanted < power:
                power, clock = wanted, self._clock(wanted)
            brake = min(1.0, max(0.0, node.number("power.brake_share", place, 0.0, t)))
            braked = min(power, self._power(clock / 2.0))
            power = (1.0 - brake) * power + brake * braked
            rate = model.load.iterations_per_s * self.rate_factor * (1.0 + self.visit_rate)
            rate *= node.number("load.rate", place, 1.0, t) * (1.0 - brake / 2.0) * clock / self.load_clock
            if self.duty < 1.0:
                power = self.duty * power + (1.0 - self.duty) * self.idle_power
                rate, cap = self.duty * rate, self.duty * cap
        one, two, three, _ = self._stages(factor, power)
        return carried._replace(
            power=power,
            clock=clock,
            braked_power=braked,
            equilibrium_1=one,
            equilibrium_2=two,
            equilibrium_3=three,
            inlet=inlet,
            rate=rate,
            cap=cap,
            thermal=thermal,
            hardware=hardware,
            brake=brake,
            reasons=reasons,
            loaded=float(self.loaded),
            memory_rise=rise,
        )

    def _electric(self, node: Surroundings, model: HardwareModel, place: int, t: float) -> tuple[float, float, bool]:
        """Power, clock, and whether the power limit holds the clock down."""
        limit = node.number("power.limit_w", place, model.power.limit_w, t)
        allowed = limit * model.power.capped_share + self.cap_offset + self.visit_power
        top = min(model.clock.sm_max_mhz, node.number("clock.sm_lock_mhz", place, inf, t))
        clock = self._clock(allowed)
        if clock <= top:
            return allowed, clock, True
        return self._power(top), top, False

    def _leaking(self, power: float, temperature: float) -> float:
        """The power of a clock that something else than the power limit holds: more when hotter."""
        model = self.node.model
        dynamic = model.power.limit_w * model.power.capped_share - model.power.static_w
        per_kelvin = -model.clock.load_percent_per_kelvin / 100.0 * model.clock.power_exponent * dynamic
        return max(1.0, power + per_kelvin * (temperature - self.reference_c))

    def _clock(self, power: float) -> float:
        """The SM clock that the load reaches at a power, MHz."""
        model = self.node.model
        dynamic = model.power.limit_w * model.power.capped_share - model.power.static_w
        share = max(0.001, (power - model.power.static_w) / dynamic)
        return float(self.load_clock * share ** (1.0 / model.clock.power_exponent))

    def _power(self, clock: float) -> float:
        """The power of the load at a clock, W."""
        model = self.node.model
        dynamic = model.power.limit_w * model.power.capped_share - model.power.static_w
        return float(model.power.static_w + dynamic * (clock / self.load_clock) ** model.clock.power_exponent)

    def _throttled(self, carried: Segment, power: float, factor: float, inlet: float) -> float:
        """The power that keeps the GPU at its highest temperature until the next regulation, if `power` is too much."""
        model, maximum = self.node.model, self.node.model.thermal.maximum_c
        stages = self._stages(factor, power)[:3]
        rises = carried[7:10]
        highest = inlet + 4.0 * model.thermal.inlet_wander_k + sum(map(max, stages, rises))
        if highest <= maximum:
            return power
        self.end = min(self.end, carried.start + CONTROL_S)
        decays = [exp(-CONTROL_S / tau) for tau in self.taus]
        ambient = self.inlet(carried.start + CONTROL_S, inlet)
        kept = sum(rise * decay for rise, decay in zip(rises, decays, strict=True))
        gained = sum(stage / power * (1.0 - decay) for stage, decay in zip(stages, decays, strict=True))
        if ambient + kept + gained * power <= maximum:
            return power
        least = self._power(model.clock.sm_minimum_mhz)
        return max((maximum - ambient - kept) / gained, least) if gained > 0.0 else least
