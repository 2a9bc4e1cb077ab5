"""A benchmark's table as figures: its accuracies, and how they fall with eps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from demo_core.defenses import DEFENSES, in_order, title_of
from demo_core.plots.style import (
    ATTACKED,
    CLEAN,
    DEFENDED,
    KNOWING,
    TITLE_SIZE,
    WHITE,
    Paper,
    dress,
    legend_in,
    new_figure,
    settled,
    words_in,
)

# In the order of the table of defences: none first, in the colour of words; ours last.
_COLOURS = ("", "#999999", "#E69F00", "#56B4E9", KNOWING, CLEAN, "#8C6D31", ATTACKED, DEFENDED)
_MARKS = "osD^v<>Ph"
TALLEST = 9000  # pixels of a figure as PNG


def look_of(key: str, keys: Iterable[str], paper: Paper = WHITE) -> dict[str, Any]:
    """The colour and the mark that a defence has in every chart; keys: all that are drawn. The second round
    of marks is hollow."""
    place = in_order([*DEFENSES, *keys]).index(key)
    colour = _COLOURS[place % len(_COLOURS)]
    hollow = {"markerfacecolor": paper.ground} if place >= len(_MARKS) else {}
    return {"color": colour or paper.words, "marker": _MARKS[place % len(_MARKS)], "markersize": 4, **hollow}


def accuracy_figure(
    found: pd.DataFrame, title_of_attack: Callable[[str], str] = str, paper: Paper = WHITE
) -> Figure:
    """A benchmark's table (report.table, its attacks in the order wanted) as dots: a row an attack, a dot a
    defence with its 95 % interval; each defence keeps its colour and its mark. One chart a data set."""
    keys = in_order(found.index.unique("defense"))
    piles = {name: pile.droplevel("dataset") for name, pile in found.groupby("dataset", sort=False)}
    room = 0.16 + 0.09 * len(keys)  # inches for an attack
    heights = [0.8 + room * len(pile.index.unique("attack")) for pile in piles.values()]
    height = sum(heights) + 0.6
    figure = new_figure(7.2, height, paper, dpi=min(150, TALLEST / height))
    grid = figure.subplots(len(piles), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (name, pile) in zip(grid, piles.items()):
        dress(axes, paper).set_title(str(name), **words_in(paper, TITLE_SIZE))
        _draw_data_set(axes, pile, keys, title_of_attack, paper)
    labelled: dict[str, Any] = {}
    for axes in grid:
        handles, labels = axes.get_legend_handles_labels()
        labelled |= dict(zip(labels, handles))
    titles = [title_of(key) for key in keys]
    figure.legend(
        [labelled[title] for title in titles],
        titles,
        loc="outside lower center",
        ncols=5,
        **legend_in(paper, 8),
    )
    return settled(figure)


def curve_figure(found: pd.DataFrame, paper: Paper = WHITE) -> Figure:
    """Accuracy against eps (tables.curves): a chart a data set and attacker, a line a defence with its 95 %
    interval as a band of bars. The scale is even up to the smallest eps, then by octaves."""
    keys = in_order(found.index.unique("defense"))
    charts = list(dict.fromkeys(found.index.droplevel(["defense", "eps"])))
    columns = min(2, len(charts))
    rows = -(-len(charts) // columns)
    figure = new_figure(0.5 + 3.6 * columns, 0.8 + 0.2 * len(keys) / columns + 2.6 * rows, paper, dpi=150)
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    looks = {key: look_of(key, keys, paper) for key in keys}
    sizes = sorted(found.index.unique("eps"))
    for axes, (name, attacker) in zip(grid, charts):
        dress(axes, paper).set_title(f"{name}\n{attacker}", **words_in(paper, 8))
        for key in keys:
            _draw_curve(axes, found, (name, key, attacker), looks[key])
        axes.set_xscale("symlog", base=2, linthresh=next(size for size in sizes if size))
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.set_xlim(right=max(sizes) * 1.2)
        axes.tick_params(labelsize=8)
        axes.set(ylim=(0, 100))
        axes.set_xlabel("eps, in 1/255", fontsize=8)
    for axes in grid[::columns]:
        axes.set_ylabel("accuracy, %", fontsize=8)
    for axes in grid[len(charts) :]:
        axes.set_axis_off()
    handles, labels = max((a.get_legend_handles_labels() for a in grid), key=lambda pair: len(pair[1]))
    figure.legend(handles, labels, loc="outside lower center", ncols=2 * columns, **legend_in(paper, 8))
    return settled(figure)


def _draw_curve(axes: Axes, found: pd.DataFrame, which: tuple[str, str, str], look: dict[str, Any]) -> None:
    """One line: (data set, defence, attacker)."""
    if which not in found.index.droplevel("eps"):
        return
    line = found.xs(which, level=("dataset", "defense", "attacker"))
    axes.vlines(line.index, line["low"], line["high"], colors=look["color"], linewidths=0.5)
    style = "--" if "markerfacecolor" in look else "-"
    axes.plot(line.index, line["accuracy"], linestyle=style, linewidth=1, label=title_of(which[1]), **look)


def _draw_data_set(
    axes: Axes, pile: pd.DataFrame, keys: list[str], title_of_attack: Callable[[str], str], paper: Paper
) -> None:
    """The rows of one data set; keys: the defences, in the order in which they lie below each other."""
    attacks = list(pile.index.unique("attack"))
    for place, key in enumerate(keys):
        if key not in pile.index.get_level_values("defense"):
            continue
        mine = pile.xs(key, level="defense")
        offset = (place - (len(keys) - 1) / 2) * 0.8 / len(keys)
        look, places = look_of(key, keys, paper), [attacks.index(attack) + offset for attack in mine.index]
        axes.hlines(places, mine["low"], mine["high"], colors=look["color"], linewidths=0.8)
        axes.plot(mine["accuracy"], places, linestyle="none", label=title_of(key), **look)
    for edge in range(1, len(attacks)):
        axes.axhline(edge - 0.5, color="0.5", alpha=0.3, linewidth=0.6, zorder=0)
    axes.set_yticks(range(len(attacks)), [title_of_attack(attack) for attack in attacks])
    axes.set(xlabel="accuracy in percent", xlim=(-2, 102), ylim=(len(attacks) - 0.5, -0.5))
    axes.grid(axis="x", alpha=0.3)
