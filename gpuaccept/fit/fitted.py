"""What a fit comes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from gpuaccept.device.mock.model import HardwareModel


class Agreement(NamedTuple):
    """A metric's median in the captures and in the fitted model without noise."""

    metric: str
    captured: float
    simulated: float


class Fitted(NamedTuple):
    """The model, why each of its values that is not the base's is what it is (path -> reason), and what stayed."""

    model: HardwareModel
    base: str
    reasons: dict[str, str]
    agreement: tuple[Agreement, ...]
    not_fitted: tuple[str, ...]
    captures: int
    simulated: bool
