"""The plots' axes as numbers: what the page draws itself and what a figure for a file is drawn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np

from demo_core.defenses import (
    AGREEMENT,
    CORRUPTION,
    DEFENSES,
    LOW_PASS,
    PADDING,
    TAU,
    UNISON,
    VIEW_DRIFT,
    Defense,
    Gate,
    Profile,
)
from demo_core.defenses.drift import CLEAN_PILE, LEVELS, Row, Study
from demo_core.story.run import Run, Signals, signal_of

WIDTH, HEIGHT = 345.6, 216.0  # of a plot, in units of its view box: 4.8 and 3 inches of 72 points
# Where on the page the axes of each plot lie: left, right, bottom, top.
PLACES = {
    "drift": ((46.2, 342.6, 182.0, 6.8),),
    "signal": ((11.0, 334.6, 88.0, 16.6), (11.0, 334.6, 196.0, 124.6)),
}
ROWS = {"clean": 1, "attacked": 0}  # the height at which the signal plot shows a picture's point
SIGNAL_NAMES = {TAU: "tau: drift under noise", VIEW_DRIFT: "drift under small views"}
_SIGNAL_TOP = {
    TAU: 1.0,
    VIEW_DRIFT: 1.5,
    CORRUPTION: 1.5,
    LOW_PASS: 1.0,
    PADDING: 1.0,
    AGREEMENT: 1.0,
    UNISON: 1.0,
}
_SIGNAL_HEIGHTS = (-0.6, 1.7)
_WORDS_AT = 1.36  # the height of what is said about the side that engages
_BINS = 80  # of a density
_MOST_TICKS = 9  # spaces between them

Tick = tuple[float, str]


@dataclass(frozen=True)
class DriftAxes:
    """x, y: their ranges; first: where the counterattack's step 0 stands; divide: the line between attack and
    counterattack, None where nobody attacks; steps: of the counterattack."""

    x: tuple[float, float]
    y: tuple[float, float]
    first: int
    steps: int
    divide: float | None
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    x_words: str = "step"
    y_words: str = "relative drift"


@dataclass(frozen=True)
class Hill:
    """The density of one pile of the study. role: of its colour; foot: the height it stands on; heights:
    above that, in the middle of equal parts of the range."""

    role: str
    foot: float
    heights: tuple[float, ...]


@dataclass(frozen=True)
class SignalAxes:
    """One signal. threshold: None where it does not decide; below: whether it engages below that, else above;
    engages: the interval in which the counterattack engages, None where it is not in the range."""

    name: str
    title: str
    x: tuple[float, float]
    y: tuple[float, float]
    x_ticks: tuple[Tick, ...]
    threshold: float | None
    below: bool
    engages: tuple[float, float] | None
    engages_words: str
    words_at: float
    hills: tuple[Hill, ...]


@dataclass(frozen=True)
class Gauge:
    """A reading on its signal's own scale, each number a share of the scale, from 0 to 1. line: the
    threshold; engages: the side on which the defence acts, from and to."""

    value: float
    line: float
    engages: tuple[float, float]


def gauge(gate: Gate, value: float) -> Gauge:
    """The scale begins at 0, and ends at the signal's usual end or beyond what is on it."""
    top = own_top(gate, value)
    shown, line = (min(max(number / top, 0.0), 1.0) for number in (value, gate.threshold))
    return Gauge(shown, line, (0.0, line) if gate.below else (line, 1.0))


def own_top(gate: Gate, *values: float) -> float:
    """Where the scale of a gate's signal ends that is to hold its threshold and these values."""
    top = _SIGNAL_TOP.get(gate.signal, 4 * gate.threshold)
    while any(number > top for number in (gate.threshold, *values)):
        top *= 2
    return top


def ticks(low: float, high: float, whole: bool = False) -> tuple[Tick, ...]:
    """Round numbers from low to high with at most nine spaces between them, and how they are written."""
    size = 10.0 ** floor(log10((high - low) / _MOST_TICKS))
    steps = (size * part for part in (1, 2, 2.5, 5, 10, 20, 25, 50, 100))
    step = next(s for s in steps if (high - low) / s <= _MOST_TICKS and not (whole and s % 1))
    digits = next(d for d in range(20) if abs(round(step, d) - step) < step * 1e-6)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    places = [round(i * step, 10) for i in range(first, last + 1)]
    return tuple((place, f"{place:.{digits}f}") for place in places)


def drift_top(run: Run) -> float:
    """Where the drift axis ends: the same for all runs but those that go off it."""
    top = 2.0
    for moment in (*run.attack, *run.counterattack):
        while max(run.drift(moment), run.push(moment)) > top:
            top *= 2
    return top


def drift_axes(attack_steps: int, defence_steps: int, control: bool, top: float) -> DriftAxes:
    """Axes over the steps of the attack, those of the counterattack, and what the defence makes of them in
    the end: they hold still while a run streams."""
    first = 0 if control else attack_steps + 1
    x, y = (-0.5, first + defence_steps + 1.5), (0.0, top)
    divide = attack_steps + 0.5 if first else None
    return DriftAxes(x, y, first, defence_steps, divide, ticks(*x, whole=True), ticks(*y))


def drift_of(run: Run) -> DriftAxes:
    """The run's."""
    return drift_axes(run.attack_steps, run.defence_steps, run.control, drift_top(run))


def seen(run: Run) -> dict[str, Signals]:
    """The run's own signals so far, by the role of their colour."""
    found = {"clean": run.clean_signals}
    if run.attack_finished and run.attacked_signals is not None:
        found["attacked"] = run.attacked_signals
    return found


def signal_tops(run: Run) -> tuple[float, ...]:
    """Where the axes of SIGNAL_NAMES end: the same for all runs but those that go off them."""
    tops = []
    for name in SIGNAL_NAMES:
        top = _SIGNAL_TOP[name]
        while any(signals[name] > top for signals in seen(run).values()):
            top *= 2
        tops.append(top)
    return tuple(tops)


def in_gate_order(gate: str | None) -> list[str]:
    """The names of both signals, the one that gates first."""
    return sorted(SIGNAL_NAMES, key=lambda name: name != gate)


def signal_axes(
    key: str, profile: Profile, study: Study | None, eps: float, tops: tuple[float, ...]
) -> tuple[SignalAxes, ...]:
    """Both stability signals. key: of the defence; study: the model's, whose densities stand behind a run's
    own points, those of the attack nearest to eps, in 1/255."""
    row = DEFENSES[key]
    decides, gate, top_of = signal_of(key, profile), row.gate(profile), dict(zip(SIGNAL_NAMES, tops))

    def axes(name: str) -> SignalAxes:
        top, line, engages = top_of[name], None, None
        if gate is not None and name == decides:
            line, shown = gate.threshold, min(max(gate.threshold, 0), top)
            low, high = (0, shown) if gate.below else (shown, top)
            engages = (low, high) if low < high else None
        return SignalAxes(
            name,
            f"{SIGNAL_NAMES[name]} ({_role(row, key, name == decides)})",
            (0.0, top),
            _SIGNAL_HEIGHTS,
            ticks(0, top),
            line,
            gate is not None and gate.below,
            engages,
            "counterattack engages",
            _WORDS_AT,
            tuple(_hills(study, eps, name, top)) if study else (),
        )

    return tuple(map(axes, in_gate_order(decides)))


def _role(row: Defense, key: str, decides: bool) -> str:
    if not decides:
        return "shown, does not decide"
    return "decides for this model" if key == "default" else f"decides for {row.title}"


def signals_of(run: Run, study: Study | None) -> tuple[SignalAxes, ...]:
    """The run's."""
    settings = run.settings
    return signal_axes(settings.defense, run.profile, study, settings.eps * 255, signal_tops(run))


def nearest_piles(study: Study, eps: float, probe: str, strength: float = 0) -> list[tuple[Row, str]]:
    """The study's clean pile and the attacked one nearest to an eps, in 1/255, with the roles of their
    colours."""
    attacked = (pile for pile in study.piles if pile != CLEAN_PILE)
    nearest = min(attacked, key=lambda pile: abs(study.piles[pile] - eps))
    rows = study.find(probe, encoder=study.probing, strength=strength)
    return [(rows[CLEAN_PILE], "clean"), (rows[nearest], "attacked")]


def _hills(study: Study, eps: float, name: str, top: float) -> Iterator[Hill]:
    """The study's density of one signal: one for clean and one for attacked pictures."""
    grid = np.linspace(0, top, _BINS + 1)
    for row, (pile, role) in enumerate(nearest_piles(study, eps, name)):
        share = np.convolve(np.diff(np.interp(grid, pile.quantiles, LEVELS)), [0.25, 0.5, 0.25], "same")
        heights = 0.75 * share / max(share.max(), 1e-12)
        yield Hill(role, round(0.7 - row, 3), tuple(round(float(h), 4) for h in heights))
