"""Numbers as the certificate prints them: the same in every language, so that no contract misreads one.

Decimal point, a narrow space between thousands from five digits on, a true minus sign, SI units.
"""

from __future__ import annotations

import math

from msgspec import Struct

from gpuaccept.certificate.words import visible
from gpuaccept.data import Coverage, Scalar
from gpuaccept.judge import wording

NARROW = "\u202f"


class Quantity(Struct, frozen=True):
    """A value as printed: `6512`, `21`, `GB/s`. `plus_minus` is empty where the value is exact."""

    value: str
    plus_minus: str
    unit: str

    def __str__(self) -> str:
        pm = f" ± {self.plus_minus}" if self.plus_minus else ""
        return f"{self.value}{pm} {self.unit}".rstrip()


def number(value: float, digits: int = 0) -> str:
    """`digits` decimals; never an exponent."""
    text = f"{value:.{digits}f}"
    if 0 < value < 1000:  # most are so, and have nothing to mend
        return text
    if float(text) == 0:
        text = text.lstrip("-")
    whole, dot, rest = text.replace("-", "").partition(".")
    sign = "−" if text.startswith("-") else ""
    return f"{sign}{_grouped(whole)}{dot}{rest}"


def plain(value: float, significant: int = 6) -> str:
    """Up to six significant digits, without trailing zeros: a reading, a limit."""
    if value == int(value) and abs(value) < 1e15:
        return number(value)
    digits = min(9, max(0, significant - 1 - math.floor(math.log10(abs(value)))))
    text = number(value, digits)
    return text.rstrip("0").rstrip(".") if "." in text else text


def digits_of(uncertainty: float) -> int:
    """Decimals that show an uncertainty with two significant digits (JCGM 100:2008, 7.2.6); its value gets as many."""
    return min(6, max(0, 1 - math.floor(math.log10(uncertainty)))) if uncertainty > 0 else 0


def quantity(value: Scalar | None, uncertainty: float | None, unit: str) -> Quantity:
    """A measured value with its U; what was read as text has none."""
    unit = visible(unit if value != 1 else wording.singular(unit), 20)
    if value is None:
        return Quantity("not measured", "", "")
    if isinstance(value, float | int) and uncertainty is not None and uncertainty > 0:
        digits = digits_of(uncertainty)
        return Quantity(number(value, digits), number(uncertainty, digits), unit)
    return Quantity(scalar(value, 5), "", unit)


def scalar(value: Scalar, significant: int = 6) -> str:
    """A reading as printed: a number, or text made safe. Digits in text stay as they are: a serial is no number."""
    return visible(value, 120) if isinstance(value, str) else plain(value, significant)


def as_float(value: Scalar | None) -> float | None:
    """The number that a reading is, or None for text."""
    return float(value) if isinstance(value, float | int) else None


def percent(part: float, whole: float) -> str:
    """`98.1 %`, rounded towards zero so that 100 % means all of it."""
    if whole <= 0:
        return "none planned"
    share = math.floor(1000 * min(1.0, part / whole)) / 10
    return f"{plain(share)}{NARROW}%"


def measured_of_planned(coverage: Coverage) -> str:
    """`8 of 8 GPUs`; seconds with their unit behind: `shortest soak of a GPU 1800 of 1800 s`."""
    counts = f"{plain(coverage.measured)} of {plain(coverage.planned)}"
    return f"{coverage.what} {counts} s" if coverage.unit == "s" else f"{counts} {coverage.what}"


def duration(seconds: float) -> str:
    """As the judge's words have it (`30 min`, `2 h 5 min`), but below two minutes to a tenth of a second: `0.2 s`."""
    return f"{plain(round(seconds, 1))} s" if round(seconds) < 120 else wording.duration(seconds)


def _grouped(whole: str) -> str:
    return f"{int(whole):,}".replace(",", NARROW) if len(whole) > 4 else whole
