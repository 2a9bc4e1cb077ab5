"""A Run's plots for a file, drawn from the numbers that the page draws its own from."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import shorten
from typing import Any, cast

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase

from demo_core.defenses.drift import Study
from demo_core.models import MODELS
from demo_core.plots.style import (
    ATTACKED,
    CLEAN,
    COLOURS,
    DEFENDED,
    WHITE,
    dress,
    legend_in,
    new_figure,
    words_in,
)
from demo_core.story.axes import HEIGHT, ROWS, WIDTH, SignalAxes, Tick, drift_of, seen, signals_of
from demo_core.story.gate_words import in_tenths
from demo_core.story.run import Run, Signals
from demo_core.story.summary import alone

_LONG = 28  # letters of a label that there is room for
_MARKS = {"clean": "o", "attacked": "s"}


def _places(marks: tuple[Tick, ...]) -> tuple[list[float], list[str]]:
    return [place for place, _ in marks], [words for _, words in marks]


def _shortened(label: str) -> str:
    return shorten(label, _LONG, placeholder=" …") if len(label) > _LONG else label


def _draw_pictures(figure: FigureBase, run: Run) -> None:
    """The pictures of the run, each with its answer, under the run's settings."""
    shown = [("clean", run.pixels, run.clean)]
    if run.attacked is not None and run.attack_delta is not None and not run.control:
        shown.append(("attacked", run.pixels + run.attack_delta, run.attacked))
    if run.defended is not None and run.defence_delta is not None:
        shown.append(("defended", shown[-1][1] + run.defence_delta, run.defended))
    places = cast("Sequence[Axes]", figure.subplots(1, 3))
    for axes in places:
        axes.set_axis_off()
    for axes, (name, pixels, answer) in zip(places, shown):
        axes.imshow(pixels[0].clamp(0, 1).permute(1, 2, 0).cpu().numpy())
        said = f"{name}: “{_shortened(run.label(answer))}”, {in_tenths(answer.max().item())}"
        axes.set_title(said, parse_math=False, **words_in(WHITE))
    title = f"{alone(run)}; {MODELS[run.settings.model].title}"
    figure.suptitle(title, parse_math=False, **words_in(WHITE, 11))


def _draw_drift(figure: FigureBase, run: Run) -> None:
    """The embedding's relative drift from the clean picture over the steps, attack and counterattack in one
    plot."""
    found = drift_of(run)
    axes = dress(figure.add_subplot(xlabel=found.x_words, ylabel=found.y_words), WHITE)
    axes.set(xlim=found.x, ylim=found.y)
    axes.set_xticks(*_places(found.x_ticks))
    axes.set_yticks(*_places(found.y_ticks))
    if found.divide is not None:
        axes.axvline(found.divide, color=WHITE.lines, linewidth=0.8, linestyle=":")
    if run.attack and not run.control:
        at, words = range(len(run.attack)), "attack: from the clean picture"
        axes.plot(at, run.attack_drift, "o-", color=ATTACKED, label=words)
    moments, first = run.counterattack, found.first
    at_steps = [*range(first, first + len(run.defence)), *[first + found.steps + 1] * (run.final is not None)]
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
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=1, **legend_in(WHITE, 9))


def _draw_signals(figure: FigureBase, run: Run, study: Study | None) -> None:
    """Both stability signals; the gating one with its threshold and the side on which the counterattack
    engages. study: the model's, whose densities stand behind the run's own points."""
    panels, points = signals_of(run, study), seen(run)
    for axes, found in zip(cast("Sequence[Axes]", figure.subplots(len(panels), 1)), panels):
        _draw_signal(dress(axes, WHITE), found)
        _draw_points(axes, found, points)


def _draw_signal(axes: Axes, found: SignalAxes) -> None:
    """One signal without the run's own points."""
    for hill in found.hills:
        part = (found.x[1] - found.x[0]) / len(hill.heights)
        middles = found.x[0] + part * (np.arange(len(hill.heights)) + 0.5)
        tops = hill.foot + np.array(hill.heights)
        axes.fill_between(middles, hill.foot, tops, color=COLOURS[hill.role], alpha=0.18, linewidth=0)
    if found.threshold is not None:
        axes.axvline(found.threshold, color=WHITE.words, linewidth=1)
    if found.engages:
        axes.axvspan(*found.engages, color=DEFENDED, alpha=0.12, linewidth=0)
        words = axes.annotate(
            found.engages_words,
            (found.x[0] if found.below else found.x[1], found.words_at),  # the zone may be narrower
            textcoords="offset points",
            xytext=(4 if found.below else -4, 0),
            ha="left" if found.below else "right",
            va="center",
            **words_in(WHITE, 8.5),
        )
        words.set_in_layout(False)
    axes.set(xlim=found.x, ylim=found.y, yticks=[])
    axes.set_xticks(*_places(found.x_ticks))
    axes.spines["left"].set_visible(False)
    axes.set_title(found.title, loc="left", **words_in(WHITE))


def _draw_points(axes: Axes, found: SignalAxes, points: dict[str, Signals]) -> None:
    """The run's own signals, each with its name and value."""
    for role, signals in points.items():
        value = signals[found.name]
        axes.plot([value], [ROWS[role]], _MARKS[role], color=COLOURS[role], markersize=9)
        leftwards, line = value > 0.7 * found.x[1], found.threshold
        crossed = line is not None and not leftwards and value < line < value + 0.25 * found.x[1]
        note = axes.annotate(
            f"{role} {value:.3f}",
            (line if crossed else value, ROWS[role]),
            textcoords="offset points",
            va="center",
            xytext=(-9 if leftwards else 4 if crossed else 9, 0),
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
        place = np.array([x, y]) * reach * 1.05
        side, style = "left" if x >= 0 else "right", words_in(WHITE, 9)
        axes.text(
            place[0],
            place[1],
            _shortened(run.settings.labels[index]),
            va="center",
            ha=side,
            parse_math=False,
            **style,
        )
    axes.set(xlim=(-1.7 * reach, 1.7 * reach), ylim=(-1.15 * reach, 1.15 * reach), xticks=[], yticks=[])
    title = f"the way through the embedding (two dimensions: {found['kept'] * 100:.0f} % of it)"
    axes.set_title(title, **words_in(WHITE))
    axes.spines[:].set_visible(False)


def run_figure(run: Run, found: dict[str, Any], study: Study | None = None) -> Figure:
    """A run's pictures with what was said of them, and below them its drift, signals and way (found:
    reel.path_map's), side by side on white, for a file."""
    figure = new_figure(3 * WIDTH / 72, 2 * HEIGHT / 72, WHITE)
    above, below = cast("Sequence[FigureBase]", figure.subfigures(2, 1))
    _draw_pictures(above, run)
    drift, signal, way = cast("Sequence[FigureBase]", below.subfigures(1, 3))
    _draw_drift(drift, run)
    _draw_signals(signal, run, study)
    _draw_map(way, run, found)
    return figure
