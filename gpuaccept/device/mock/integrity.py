"""Contents and regions of the memory of simulated GPUs: march steps and maps in closed form, faults word by word.

No memory is held: what a step finds follows from the two patterns, the faults and the ECC mode. Bits that ECC corrects
are counted (they are added to the registers' counter) and not found by comparison. Both counts are this process's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gpuaccept.check import MarchStep, Pattern, Transfer, WrongWord, gpu_subject
from gpuaccept.device.mock.copies import Path, Paths, of_gpus
from gpuaccept.device.mock.machine import Machine, made
from gpuaccept.device.mock.noise import key, mix
from gpuaccept.device.mock.scatter import Scatter
from gpuaccept.errors import DeviceError

USABLE = 0.973
"""Part of the reported memory that can be allocated: 178.4 of 183.4 GB [B200 listing]."""
GRAIN = 2 << 20
"""Memory is handed out in pages of 2 MiB (cuMemCreate)."""
LISTED = 64
"""Most wrong words that a step describes (`gpuaccept.check.MarchStep`)."""
STUCK_BIT = 5
"""Which bit of a word is stuck at 1 [judgement]: any would do."""
_MASK = 0xFFFFFFFF


def usable_bytes(machine: Machine, place: int) -> int:
    """What can be allocated of a GPU's memory, in whole pages."""
    return int(machine.memory_bytes[place] * USABLE) // GRAIN * GRAIN


def allocate(machine: Machine, gpu: int, place: int, wanted: int, passes: int) -> None:
    """What a copy or sweep needs. Raises DeviceError where it can't be had."""
    if wanted <= 0 or passes <= 0:
        raise DeviceError("cuMemAlloc", 1, "CUDA_ERROR_INVALID_VALUE", gpu)
    if wanted > usable_bytes(machine, place):
        raise DeviceError("cuMemAlloc", 2, "CUDA_ERROR_OUT_OF_MEMORY", gpu)


def word(pattern: Pattern, index: int) -> int:
    """The 32-bit word that a pattern has at an index."""
    if pattern.kind == "solid":
        return pattern.value & _MASK
    if pattern.kind == "address":
        return (index ^ index >> 32 ^ pattern.value) & _MASK
    return mix(index + pattern.value * 0x9E3779B9) & _MASK


@dataclass
class _Taken:
    """Memory under test on one GPU, and what was written to it last."""

    bytes: int
    holds: Pattern | None = None


@dataclass
class Memory:
    """The memory of all GPUs of one machine."""

    machine: Machine
    paths: Paths
    _taken: dict[int, _Taken] = field(default_factory=dict)
    _read_tb: dict[int, float] = field(default_factory=dict)
    _corrected: dict[int, int] = field(default_factory=dict)
    _maps: dict[int, Path] = field(default_factory=dict)
    _scatter: Scatter | None = None
    """Of the maps."""

    def corrected(self, place: int) -> int:
        """Bits that ECC corrected in march steps so far."""
        return self._corrected.get(place, 0)

    def begin(self, gpu: int, share: float) -> int:
        """Take memory for testing."""
        place = self.machine.place(gpu, "integrity_begin")
        if gpu in self._taken or not 0.0 < share <= 1.0:
            raise DeviceError("cuMemCreate", 1, "CUDA_ERROR_INVALID_VALUE", gpu)
        asked = int(self.machine.memory_bytes[place] * share)
        wanted = min(usable_bytes(self.machine, place), asked) // GRAIN * GRAIN
        self._taken[gpu] = _Taken(wanted)
        return wanted

    def end(self, gpu: int) -> None:
        """Give the memory back."""
        self.machine.place(gpu, "integrity_end")
        if self._taken.pop(gpu, None) is None:
            raise DeviceError("cuMemUnmap", 1, "CUDA_ERROR_INVALID_VALUE", gpu)

    def step(self, gpu: int, expected: Pattern | None, write: Pattern | None) -> MarchStep:
        """One march element: its time by the memory's rate at its temperature, its wrong words by the faults."""
        place = self.machine.place(gpu, "integrity_step")
        taken = self._taken.get(gpu)
        if taken is None or (expected is None and write is None):
            raise DeviceError("cuLaunchKernel", 1, "CUDA_ERROR_INVALID_VALUE", gpu)
        size = taken.bytes
        read, written = (size if expected else 0), (size if write else 0)
        elapsed = int((read + written) / self._rate(gpu, place, bool(expected), bool(write)))
        found: tuple[int, tuple[WrongWord, ...]] = (0, ())
        if expected is not None:
            if taken.holds != expected:
                found = (size // 4, ())  # nobody wrote what is expected
            elif self.machine.world.names:
                found = self._wrong(place, expected, size)
        taken.holds = write or taken.holds
        self.machine.pass_time(elapsed * 1e-9)
        return made(MarchStep, (elapsed, read, written, *found))

    def regions(self, gpu: int, region_bytes: int, passes: int, seed: int) -> tuple[Transfer, ...]:
        """Read the memory region by region; each region's time has its own noise."""
        import numpy as np

        from gpuaccept.device.mock import noise

        machine = self.machine
        place = machine.place(gpu, "memory_regions")
        count = usable_bytes(machine, place) // region_bytes if region_bytes > 0 else 0
        if not count or passes <= 0:
            raise DeviceError("cuMemAlloc", 1, "CUDA_ERROR_INVALID_VALUE", gpu)
        tick = int(machine.time_s * 1e9)
        rate = self._map(place).rate(machine.time_s, machine.generation) * self.paths.heat(place)
        of = key(machine.seed, "hbm region", place)
        draws = noise.uniforms(np.uint64(of), np.arange(tick, tick + count, dtype=np.uint64))
        factors = 1.0 + machine.model.noise.hbm.repeat / 100.0 * noise.students(draws)
        share = machine.model.noise.slow_repeat_share
        if share:  # as repeats of sweeps: some are slower, by 0.5 to 2 %
            factors = np.where((draws * 2.0**42) % 1.0 < share, factors * (0.995 - 0.015 * draws), factors)
        if machine.world.names:
            t = machine.time_s
            first = machine.number("hbm.region_first_gib", place, 0.0, t) * (1 << 30) / region_bytes
            slow = machine.number("hbm.region_gib", place, 0.0, t) * (1 << 30) / region_bytes
            at = np.arange(count)
            inside = np.clip(np.minimum(at + 1, first + slow) - np.maximum(at, first), 0.0, 1.0)
            left = max(1e-3, machine.number("hbm.region_rate", place, 1.0, t))
            factors = factors / (1.0 - inside + inside / left)
        spans = (region_bytes * passes / (rate * factors)).astype(np.int64).tolist()
        machine.pass_time(0.001 + sum(spans) * 1e-9)
        moved = region_bytes * passes
        return tuple([made(Transfer, (span, moved, 0, 0)) for span in spans])

    def forget(self) -> None:
        """Drop all paths."""
        self._maps.clear()
        self._scatter = None

    # --- rates ------------------------------------------------------------------------------------------------

    def _rate(self, gpu: int, place: int, reads: bool, writes: bool) -> float:
        machine, kernel = self.machine, "copy" if reads and writes else "read" if reads else "write"
        rate = float(getattr(machine.model.memory, kernel))
        if machine.world.names:
            rate = machine.number(f"hbm.{kernel}", place, rate, machine.time_s)
            rate *= machine.number("hbm.bandwidth", place, 1.0, machine.time_s)
        rate *= self.paths.heat(place)
        if rate < 1e-3:
            raise DeviceError("cuEventSynchronize", 702, "CUDA_ERROR_LAUNCH_TIMEOUT", gpu)
        return rate

    def _map(self, place: int) -> Path:
        if place not in self._maps:
            machine = self.machine

            def ask() -> float:
                rate = machine.number("hbm.read", place, machine.model.memory.read, machine.time_s)
                return rate * machine.number("hbm.bandwidth", place, 1.0, machine.time_s)

            if self._scatter is None:
                spread = machine.model.noise.hbm  # numbers as of the read kernel, whose speed it has
                self._scatter = Scatter(machine.seed, machine.start, spread, "hbm", of_gpus(machine), " map")
            self._maps[place] = Path(ask, self._scatter, place)
        return self._maps[place]

    # --- faults -----------------------------------------------------------------------------------------------

    def _wrong(self, place: int, expected: Pattern, size: int) -> tuple[int, tuple[WrongWord, ...]]:
        machine = self.machine
        t, words = machine.time_s, size // 4
        first = min(words - 1, int(machine.number("memory.fault_gib", place, 0.0, t) * (1 << 28)))
        count, listed = 0, []
        stuck = min(words - first, int(machine.number("memory.stuck_bits", place, 0.0, t)))
        if stuck:
            bad = [i for i in range(first, first + stuck) if not word(expected, i) >> STUCK_BIT & 1]
            if self._corrects(place):
                self._corrected[place] = self._corrected.get(place, 0) + len(bad)
            else:
                count += len(bad)
                listed += [self._word(place, i, expected, word(expected, i) | 1 << STUCK_BIT, True) for i in bad]
        shared = min((words - first) // 2, int(machine.number("memory.alias_gib", place, 0.0, t) * (1 << 28)))
        if shared and expected.kind != "solid":  # the upper half was written last, and answers for both
            count += shared
            for i in range(first, first + min(shared, LISTED)):
                listed.append(self._word(place, i, expected, word(expected, i + shared), True))
        flips = machine.number("l2.flips_per_terabyte", place, 0.0, t)
        if flips:
            before = self._read_tb.get(place, 0.0)
            self._read_tb[place] = before + size * 1e-12
            for number in range(int(before * flips), int(self._read_tb[place] * flips)):
                i = mix(key(machine.seed, "l2 flip", place) + number) % words
                count += 1
                if len(listed) < LISTED:
                    listed.append(self._word(place, i, expected, word(expected, i) ^ 1 << number % 32, False))
        return count, tuple(listed[:LISTED])

    def _corrects(self, place: int) -> bool:
        mode = self.machine.world.value(
            "ecc.mode", gpu_subject(place), "enabled", self.machine.time_s, self.machine.holds
        )
        return mode == "enabled"

    def _word(self, place: int, index: int, expected: Pattern, got: int, stays: bool) -> WrongWord:
        """A wrong word: one that the memory holds is read again as it is, one that went wrong on its way is not."""
        right = word(expected, index)
        sm = mix(key(self.machine.seed, "reading sm", place) + index) % self.machine.model.gpu.sm_count
        return WrongWord(index * 4, right, got, got if stays else right, 8 if stays else 0, sm)
