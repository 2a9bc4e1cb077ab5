"""What a defence gives for what it takes: accuracy against cost, and what stands against what was right."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from demo_core.plots.accuracy import look_of
from demo_core.plots.labels import name_points
from demo_core.plots.style import DEFENDED, WHITE, Paper, dress, new_figure, settled, words_in

COLUMNS, SIDE = 2, 3.7  # charts in a row, and how many inches one is wide
NARROWEST = 30.0  # points that an axis in percent spans


@dataclass(frozen=True)
class Tradeoff:
    """Two columns of a frame against each other. x, y: their names; x_title, y_title: on the axes; larger_x:
    whether more of x is better; logarithmic: x's axis is."""

    x: str
    y: str
    x_title: str
    y_title: str
    larger_x: bool
    logarithmic: bool = False


COST = Tradeoff(
    "passes",
    "robust",
    "passes of an attacked picture",
    "accuracy under attack, %",
    larger_x=False,
    logarithmic=True,
)
ROBUST = Tradeoff(
    "clean", "robust", "accuracy on clean pictures, %", "accuracy under attack, %", larger_x=True
)


def front(found: pd.DataFrame, shown: Tradeoff) -> pd.DataFrame:
    """Pareto's front: the rows than which no other is at least as good in both and better in one, from the
    best y on."""
    x = found[shown.x] * (1 if shown.larger_x else -1)
    ordered = found.assign(_x=x).sort_values([shown.y, "_x"], ascending=False)
    before = ordered["_x"].cummax().shift(fill_value=-math.inf)
    return ordered[ordered["_x"] > before].drop(columns="_x")


def tradeoff_figure(
    sets: Sequence[tuple[str, pd.DataFrame]],
    shown: Tradeoff,
    title_of: Callable[[str], str],
    paper: Paper = WHITE,
) -> Figure:
    """A chart a data set, a point a defence, each with its name, its interval on y (low, high) and, for x in
    percent, on x (clean_low, clean_high); the front is a line. sets: what stands above each chart, and a
    frame by defence."""
    columns = min(COLUMNS, len(sets))
    rows = math.ceil(len(sets) / columns)
    figure = new_figure(SIDE * columns, SIDE * 0.95 * rows, paper, dpi=150)
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes, (title, found) in zip(grid, sets):
        dress(axes, paper).set_title(title, **words_in(paper, 9))
        _draw(axes, found, shown, paper)
    for axes in grid[len(sets) :]:
        axes.set_axis_off()
    settled(figure)  # what follows needs to know where everything is
    for axes, (_, found) in zip(grid, sets):
        name_points(axes, list(found[shown.x]), list(found[shown.y]), list(map(title_of, found.index)), paper)
    return figure


def _draw(axes: Axes, found: pd.DataFrame, shown: Tradeoff, paper: Paper) -> None:
    best = front(found, shown)
    axes.plot(best[shown.x], best[shown.y], color=DEFENDED, linewidth=4, alpha=0.25, zorder=0)
    looks = [look_of(str(defense), list(found.index), paper) for defense in found.index]
    thin: dict[str, Any] = {"colors": [to_rgba(look["color"], 0.4) for look in looks], "linewidths": 0.5}
    axes.vlines(found[shown.x], found["low"], found["high"], **thin)
    if not shown.logarithmic:
        axes.hlines(found[shown.y], found["clean_low"], found["clean_high"], **thin)
    for x, y, look in zip(found[shown.x], found[shown.y], looks):
        axes.plot(x, y, linestyle="none", **look)
    axes.tick_params(labelsize=8)
    axes.set_xlabel(shown.x_title, fontsize=8)
    axes.set_ylabel(shown.y_title, fontsize=8)
    axes.grid(alpha=0.2)
    axes.set_ylim(*_around(found["low"], found["high"]))
    axes.set_yticks(_percents(*axes.get_ylim()))
    if shown.logarithmic:
        _octaves(axes, float(found[shown.x].max()))
    else:
        axes.set_xlim(*_around(found["clean_low"], found["clean_high"]))
        axes.set_xticks(_percents(*axes.get_xlim()))


def _around(low: pd.Series, high: pd.Series) -> tuple[float, float]:
    """The ends of an axis in percent, with room for names."""
    middle = float(low.min() + high.max()) / 2
    half = max(float(high.max() - low.min()) / 2 + 8, NARROWEST / 2)
    return max(middle - half, -6), min(middle + half, 106)


def _percents(low: float, high: float) -> list[float]:
    """Round numbers between these, of those that an accuracy can have."""
    return [
        tick
        for tick in MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(low, high)
        if max(low, 0) <= tick <= min(high, 100)
    ]


def _octaves(axes: Axes, most: float) -> None:
    """An axis of passes."""
    axes.set_xscale("log", base=2)
    axes.set_xlim(0.6, most * 2.5)
    ticks = [2**n for n in range(math.ceil(math.log2(most)) + 1)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
