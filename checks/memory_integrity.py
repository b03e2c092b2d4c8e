"""Whether every GPU's memory keeps what is written to it: a march of patterns over nearly all of it.

Each sweep reads the pattern that is there and writes the next, so k patterns take k + 1 sweeps. ECC hides single bits
from a comparison, so its counters are read after every pattern: they are the second detector.
"""

from typing import Annotated, Literal

from gpuaccept.check import (
    Check,
    EccCounters,
    MarchStep,
    Meta,
    Metric,
    Node,
    Parameters,
    Pattern,
    Reading,
    Unavailable,
    Visit,
    WrongWord,
    gpu_subject,
)

ONES = 0xFFFFFFFF
GIB = 1 << 30
PAGE = 2 << 20
"""Wrong words of one cell array lie in one page; addresses that answer for others fill many."""


class Settings(Parameters, frozen=True, kw_only=True):
    """`full` marches 100 patterns, `short` the 14 that tell most in a tenth of the time."""

    share: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.99
    """Of the memory that NVML reports; what can't be had lowers the coverage."""
    march: Literal["full", "short"] = "full"


def patterns(march: str, seed: int) -> tuple[tuple[str, Pattern], ...]:
    """(group, pattern) in order. March C- of solid words stands first: it finds stuck, slow and coupled cells."""
    solid = [("solid", Pattern("solid", value)) for value in (0, ONES, 0, ONES, 0)]
    boards = [("checkerboard", Pattern("solid", value)) for value in (0x55555555, 0xAAAAAAAA)]
    addresses = [("address", Pattern("address", value)) for value in (0, ONES)]
    # seeds differ in every visit: each set of neighbours is another one
    chance = [("random", Pattern("random", (seed + i) & ONES)) for i in range(27 if march == "full" else 5)]
    if march == "short":
        return (*solid, *boards, *addresses, *chance)
    walking = [("walking one", Pattern("solid", 1 << bit)) for bit in range(32)]
    walking += [("walking zero", Pattern("solid", ONES ^ 1 << bit)) for bit in range(32)]
    return (*solid, *walking, *boards, *addresses, *chance)


ECC = (
    ("dram_corrected", "dram_corrected_volatile"),
    ("dram_uncorrected", "dram_uncorrected_volatile"),
    ("sram_corrected", "sram_corrected_volatile"),
    ("sram_uncorrected", "sram_uncorrected_volatile"),
)
"""Metric -> counter that is read after every pattern; the first two are metrics of their own."""


class _Findings:
    """What the steps of one GPU showed, and under which pattern most of it."""

    def __init__(self) -> None:
        self.wrong = 0
        self.first: tuple[WrongWord, ...] = ()
        self.by_pattern: dict[str, int] = {}

    def step(self, name: str, step: MarchStep) -> None:
        self.wrong += step.wrong_words
        self.first = self.first or step.first
        self.blame(name, step.wrong_words)

    def blame(self, name: str, count: int) -> None:
        if count > 0:
            self.by_pattern[name] = self.by_pattern.get(name, 0) + count

    def described(self) -> str:
        """The pattern that showed most, and the first wrong word."""
        if not self.by_pattern:
            return "none"
        worst = max(self.by_pattern, key=lambda name: self.by_pattern[name])
        what = described(self.first) if self.first else "no wrong word: ECC corrected or caught it"
        return f"most under {worst}; {what}"


def measure(node: Node, visit: Visit) -> None:
    """March over each GPU's memory; it is given back whatever happens."""
    settings = visit.parameters
    assert isinstance(settings, Settings)
    totals = {gpu.index: gpu.memory_total_bytes for gpu in node.facts().gpus}
    for gpu in node.gpus:
        with visit.part(gpu_subject(gpu)):
            taken = node.integrity_begin(gpu, settings.share)
            try:
                _march(node, visit, gpu, patterns(settings.march, visit.seed))
            finally:
                node.integrity_end(gpu)
            visit.measured("coverage", gpu_subject(gpu), _coverage(taken, totals.get(gpu)))


def _coverage(taken: int, total: int | None) -> Reading:
    return round(100 * taken / total, 2) if total else Unavailable("memory total", 0, "NVML does not tell it")


def _march(node: Node, visit: Visit, gpu: int, march: tuple[tuple[str, Pattern], ...]) -> None:
    subject, found = gpu_subject(gpu), _Findings()
    before = counters = node.ecc(gpu)
    node.integrity_step(gpu, None, march[0][1])
    for place, (name, pattern) in enumerate(march):
        following = march[place + 1][1] if place + 1 < len(march) else None
        step = node.integrity_step(gpu, pattern, following)
        found.step(name, step)
        latest = node.ecc(gpu)
        if latest != counters:
            found.blame(name, sum(_new(counters, latest, source) or 0 for _, source in ECC))
            counters = latest
    visit.measured("wrong_words", subject, found.wrong)
    visit.measured("findings", subject, found.described())
    for metric, source in ECC[:2]:
        change = _new(before, counters, source)
        reading = getattr(counters, source)
        if change is None:
            reading = reading if isinstance(reading, Unavailable) else Unavailable(source, 0, "the counter went back")
        visit.measured(metric, subject, reading if change is None else change)


def _new(before: EccCounters, after: EccCounters, source: str) -> int | None:
    """How far a counter has risen; None where it can't be read, or was reset meanwhile."""
    first, last = getattr(before, source), getattr(after, source)
    return int(last) - int(first) if isinstance(first, int) and isinstance(last, int) and last >= first else None


def kind_of(words: tuple[WrongWord, ...]) -> str:
    """What wrong words look like: gone when read again, gone when tested again, spread over pages, or staying put."""
    if not words:
        return "none"
    if all(word.read_again == word.expected for word in words):
        return "transfer"
    if not any(word.wrong_again for word in words):
        return "transient"
    one_bit = all((word.got ^ word.expected).bit_count() <= 2 for word in words)
    return "cell" if one_bit and len({word.offset_bytes // PAGE for word in words}) == 1 else "address"


def described(words: tuple[WrongWord, ...]) -> str:
    """The first wrong word in a line."""
    word = words[0]
    return (
        f"{kind_of(words)} at {word.offset_bytes / GIB:.3f} GiB: {word.expected:08x} expected, {word.got:08x} read, "
        f"{word.read_again:08x} read again, wrong in {word.wrong_again} of 8 later tests, SM {word.sm}"
    )


def _seconds(parameters: Parameters, gpus: int) -> float:
    assert isinstance(parameters, Settings)
    return 0.5 + 0.06 * (len(patterns(parameters.march, 0)) + 1)  # 52 ms a sweep of a B200 or H100, and the counters


def _counted(name: str, unit: str, description: str) -> Metric:
    return Metric(name, unit, description, kind="counted", better="lower")


CHECK = Check(
    name="memory_integrity",
    purpose="Every word of nearly all device memory under a march of patterns, with ECC counters after each",
    scope="gpu",
    metrics=(
        _counted("wrong_words", "words", "Words of device memory that were not as written"),
        Metric("coverage", "%", "Part of the memory that was tested", better="higher"),
        Metric("findings", "", "Pattern that showed most, the first wrong word, and what the words look like"),
        _counted("dram_corrected", "errors", "Corrected DRAM errors while patterns ran"),
        _counted("dram_uncorrected", "errors", "Uncorrectable DRAM errors while patterns ran"),
    ),
    measure=measure,
    parameters=Settings,
    seconds=_seconds,
    detects=("hbm_stuck_bit", "hbm_address_alias", "l2_transient", "ecc_corrected_storm"),
)
