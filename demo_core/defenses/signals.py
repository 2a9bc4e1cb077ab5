"""SIGNALS: what gates measure, and where each is read among the drifts of the study's figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from demo_core.counterattack import TAU, TTCConfig

VIEW_DRIFT = "view_drift"
TAU_HAT = "tau_hat"
CORRUPTION = "corruption degree"
LOW_PASS = "low-pass cosine"
PADDING = "padding cosine"
AGREEMENT = "agreement of shifts"
UNISON = "agreement of views"
MAC_VIEW = "random view of MAC"
# What rows without a gate measure: it decides nothing.
CERTIFIED = "certified radius"
RANK = "rank of the crops"
ENGAGED = "engaged"  # not measured: the name of what says which pictures were counterattacked


@dataclass(frozen=True)
class Signal:
    """A row of the table. noise: it is a drift under noise of so many 1/255; view: over the view of that name
    (VIEW_DRIFT: the mean over VIEWS); neither: the study has no such drift. drift: the relative drift that a
    value of it stands for."""

    noise: float | None = None
    view: str | None = None
    drift: Callable[[float], float] = lambda value: value


SIGNALS: dict[str, Signal] = {
    TAU: Signal(noise=TTCConfig().eps * 255),
    VIEW_DRIFT: Signal(view=VIEW_DRIFT),
    # a cosine of 1 - t between unit vectors is a distance of (2 t)^.5
    TAU_HAT: Signal(noise=TTCConfig().eps * 255, drift=lambda t: (2 * t) ** 0.5),
    CORRUPTION: Signal(view=MAC_VIEW),
    LOW_PASS: Signal(),
    PADDING: Signal(),
    AGREEMENT: Signal(),
    UNISON: Signal(),
}
