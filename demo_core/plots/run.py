"""What a Run's plots need: axes for the page, which puts its own points on them, and the whole for a file."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from demo_core.defenses import TAU, VIEW_DRIFT
from demo_core.drift import LEVELS, Study
from demo_core.plots.study import nearest_piles
from demo_core.plots.style import (
    ATTACKED,
    CLEAN,
    DEFENDED,
    PAGE,
    WHITE,
    Backdrop,
    Paper,
    backdrop,
    dress,
    legend_in,
    new_figure,
    words_in,
)

if TYPE_CHECKING:
    from demo_core.story.run import Run, Signals

SIGNAL_NAMES = {TAU: "tau: drift under noise", VIEW_DRIFT: "drift under small views"}
_SIGNAL_TOP = {TAU: 1.0, VIEW_DRIFT: 1.5}
_SMALL = (4.8, 3.0)  # inches of one plot


def drift_top(run: Run) -> float:
    """Where the drift axis ends: the same for all runs but those that go off it."""
    top = 2.0
    for moment in (*run.attack, *run.counterattack):
        while max(run.drift(moment), run.push(moment)) > top:
            top *= 2
    return top


def _drift_axes(
    figure: FigureBase, paper: Paper, attack_steps: int, defence_steps: int, control: bool, top: float
) -> Axes:
    """Axes over the steps of the attack, those of the counterattack, and what the defence makes of them in
    the end."""
    axes = dress(figure.add_subplot(xlabel="step", ylabel="relative drift"), paper)
    first = 0 if control else attack_steps + 1
    axes.set(xlim=(-0.5, first + defence_steps + 1.5), ylim=(0, top))
    if first:
        axes.axvline(attack_steps + 0.5, color=paper.lines, linewidth=0.8, linestyle=":")
    axes.locator_params(axis="x", integer=True)
    return axes


@lru_cache(maxsize=64)
def drift_backdrop(attack_steps: int, defence_steps: int, control: bool, top: float) -> Backdrop:
    """The empty drift plot of a run with so many steps: it holds still while the run streams."""
    figure = new_figure(*_SMALL, PAGE)
    _drift_axes(figure, PAGE, attack_steps, defence_steps, control, top)
    return backdrop(figure, "axes of the drift plot")


def _draw_drift(figure: FigureBase, run: Run) -> None:
    """The embedding's relative drift from the clean picture over the steps, attack and counterattack in one
    plot."""
    steps = run.profile.budget.steps
    axes = _drift_axes(figure, WHITE, run.attack_steps, steps, run.control, drift_top(run))
    first = 0 if run.control else run.attack_steps + 1
    if run.attack and not run.control:
        at, words = range(len(run.attack)), "attack: from the clean picture"
        axes.plot(at, run.attack_drift, "o-", color=ATTACKED, label=words)
    moments = run.counterattack
    at_steps = [*range(first, first + len(run.defence)), *[first + steps + 1] * (run.final is not None)]
    drifts, pushes = [run.drift(moment) for moment in moments], [run.push(moment) for moment in moments]
    if moments and run.control:
        words = "counterattack on the clean picture"
        axes.plot(at_steps, pushes, "s-", color=DEFENDED, label=words)
    elif moments:
        words = "counterattack: from the clean picture"
        axes.plot(at_steps, drifts, "s-", color=DEFENDED, label=words)
        words = "counterattack: from the attacked picture"
        axes.plot(at_steps, pushes, "^--", color=DEFENDED, alpha=0.6, label=words)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", **legend_in(WHITE, 9))


def _seen(run: Run) -> dict[str, tuple[Signals, str, str]]:
    """The run's own signals so far, each with its colour and marker."""
    seen = {"clean": (run.clean_signals, CLEAN, "o")}
    if run.attack_finished and run.attacked_signals is not None:
        seen["attacked"] = run.attacked_signals, ATTACKED, "s"
    return seen


def signal_tops(run: Run) -> tuple[float, ...]:
    """Where the axes of SIGNAL_NAMES end: the same for all runs but those that go off them."""
    tops = []
    for name in SIGNAL_NAMES:
        top = _SIGNAL_TOP[name]
        while any(signals[name] > top for signals, _, _ in _seen(run).values()):
            top *= 2
        tops.append(top)
    return tuple(tops)


def in_gate_order(gate: str) -> list[str]:
    """The names of both signals, the one that gates first."""
    return [gate, *(name for name in SIGNAL_NAMES if name != gate)]


def _signal_axes(
    figure: FigureBase,
    paper: Paper,
    gate: str,
    threshold: float,
    study: Study | None,
    eps: float,
    tops: tuple[float, ...],
) -> None:
    """Both stability signals; the gating one with its threshold and the side on which the counterattack
    engages. study: the model's, whose densities stand behind a run's own points."""
    top_of = dict(zip(SIGNAL_NAMES, tops))
    for axes, name in zip(cast("Sequence[Axes]", figure.subplots(2, 1)), in_gate_order(gate)):
        dress(axes, paper)
        top = top_of[name]
        if study:
            _draw_densities(axes, study, eps, name, top)
        if name == gate:
            _draw_threshold(axes, paper, gate, threshold, top)
        axes.set(xlim=(0, top), ylim=(-0.6, 1.7), yticks=[])
        axes.spines["left"].set_visible(False)
        role = "decides for this model" if name == gate else "shown, does not decide"
        axes.set_title(f"{SIGNAL_NAMES[name]} ({role})", loc="left", **words_in(paper))


def _draw_densities(axes: Axes, study: Study, eps: float, name: str, top: float) -> None:
    """The study's density of one signal: a row for clean and one for attacked pictures."""
    grid = np.linspace(0, top, 81)
    for row, (pile, colour) in enumerate(nearest_piles(study, eps, name)):
        share = np.convolve(np.diff(np.interp(grid, pile.quantiles, LEVELS)), [0.25, 0.5, 0.25], "same")
        foot, middles = 0.7 - row, (grid[1:] + grid[:-1]) / 2
        height = foot + 0.75 * share / share.max()
        axes.fill_between(middles, foot, height, color=colour, alpha=0.18, linewidth=0)


def _draw_threshold(axes: Axes, paper: Paper, gate: str, threshold: float, top: float) -> None:
    """The gate's threshold, and the side of it on which the counterattack engages."""
    shown = min(max(threshold, 0), top)
    low, high = (0, shown) if gate == TAU else (shown, top)
    axes.axvline(threshold, color=paper.words, linewidth=1)
    if low < high:
        axes.axvspan(low, high, color=DEFENDED, alpha=0.12, linewidth=0)
        middle, style = (low + high) / 2, words_in(paper, 8.5)
        words = axes.text(middle, 1.36, "counterattack engages", ha="center", va="center", **style)
        words.set_in_layout(False)


@lru_cache(maxsize=64)
def signal_backdrop(
    gate: str, threshold: float, study: Study | None, eps: float, tops: tuple[float, ...]
) -> Backdrop:
    """The signal plot without a run's own points."""
    figure = new_figure(*_SMALL, PAGE)
    _signal_axes(figure, PAGE, gate, threshold, study, eps, tops)
    return backdrop(figure, "axes of the signal plot")


def _draw_signal(figure: FigureBase, run: Run, study: Study | None) -> None:
    """Both signals with the run's own points."""
    gate, threshold = run.profile.gate, run.profile.threshold
    _signal_axes(figure, WHITE, gate, threshold, study, run.settings.eps * 255, signal_tops(run))
    for axes, name in zip(cast("list[Axes]", figure.axes), in_gate_order(gate)):
        top = axes.get_xlim()[1]
        for row, (label, (signals, colour, marker)) in enumerate(_seen(run).items()):
            axes.plot([signals[name]], [1 - row], marker, color=colour, markersize=9)
            leftwards = signals[name] > 0.7 * top
            note = axes.annotate(
                f"{label} {signals[name]:.3f}",
                (signals[name], 1 - row),
                textcoords="offset points",
                va="center",
                xytext=(-9 if leftwards else 9, 0),
                ha="right" if leftwards else "left",
                **words_in(WHITE, 9.5),
            )
            note.set_in_layout(False)  # the axes keep their size wherever the points are


def _draw_map(figure: FigureBase, run: Run, found: dict[str, Any]) -> None:
    """The way of the embedding; found: as reel.path_map gives it."""
    axes = dress(figure.add_subplot(aspect="equal"), WHITE)
    points = np.array(found["points"])
    reach = max(float(np.linalg.norm(points, axis=1).max()), 1e-9) * 1.06
    turn = 0 if run.control else len(run.attack)
    axes.plot(*points[: turn + 1].T, "-", color=ATTACKED, linewidth=1.5)
    axes.plot(*points[turn:].T, "-", color=DEFENDED, linewidth=1.5)
    ends = [(0, CLEAN, "o")]
    ends += [(turn, ATTACKED, "s")] * bool(turn)
    ends += [(-1, DEFENDED, "^")] * (run.engaged is not None)
    for at, colour, marker in ends:
        axes.plot(*points[at], marker, color=colour, markersize=8)
    for index, x, y in found["labels"]:
        arrow = {"arrowstyle": "->", "color": "grey", "alpha": 0.6}
        axes.annotate("", (x * reach, y * reach), (0, 0), arrowprops=arrow)
        place = np.array([x, y]) / max(np.hypot(x, y), 1e-9) * reach * 1.08
        side, style = "left" if x >= 0 else "right", words_in(WHITE, 9)
        axes.text(
            place[0], place[1], run.settings.labels[index], va="center", ha=side, parse_math=False, **style
        )
    axes.set(xlim=(-1.7 * reach, 1.7 * reach), ylim=(-1.15 * reach, 1.15 * reach), xticks=[], yticks=[])
    title = f"the way through the embedding (two dimensions: {found['kept']:.0%} of it)"
    axes.set_title(title, **words_in(WHITE))
    axes.spines[:].set_visible(False)


def run_figure(run: Run, found: dict[str, Any], study: Study | None = None) -> Figure:
    """A run's drift, signals and way (found: reel.path_map's), side by side on white, for a file."""
    figure = new_figure(3 * _SMALL[0], _SMALL[1], WHITE)
    drift, signal, way = cast("Sequence[FigureBase]", figure.subfigures(1, 3))
    _draw_drift(drift, run)
    _draw_signal(signal, run, study)
    _draw_map(way, run, found)
    return figure
