"""A model's Study as a figure."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from demo_core.defenses.drift import CLEAN_PILE, LEVELS, NOISE_STRENGTHS, STUDY_VIEWS, Study
from demo_core.plots.style import CLEAN, TITLE_SIZE, WHITE, dress, legend_in, new_figure, words_in

_QUARTER, _HALF, _THREE_QUARTERS = (LEVELS.index(level) for level in (0.25, 0.5, 0.75))


def broken(view: str) -> str:
    """A view's name on lines short enough for a tick."""
    ends = {", ": ",\n", " pixel ": "\npixel ", " to ": "\nto ", " view of ": "\nview of\n"}
    for end, lines in ends.items():
        view = view.replace(end, lines)
    return view


def log_drift(axes: Axes) -> None:
    """A logarithmic axis for relative drifts."""
    axes.set_yscale("log")
    axes.set_ylim(0.003, 3)
    axes.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    axes.yaxis.set_minor_formatter(NullFormatter())


def study_figure(study: Study) -> Figure:
    """Drift over noise strengths and over views, and the AUCs, for every pile; one row of axes for each
    encoder."""
    encoders = list(dict.fromkeys(row.encoder for row in study.rows))
    figure = new_figure(12, 3.9 * len(encoders), WHITE)
    figure.suptitle(
        f"{study.title}: {study.pictures:,} pictures, {study.labels} names,"
        f" median flip eps {study.median_flip_eps:.2g}/255",
        **words_in(WHITE, 11),
    )
    for encoder, row in zip(encoders, figure.subplots(len(encoders), 3, squeeze=False)):
        noise, views, aucs = (dress(axes, WHITE) for axes in row)
        for place in range(len(study.piles)):
            _draw_pile(study, place, encoder, noise, views, aucs)
        whose = "" if len(encoders) == 1 else f", by the {encoder} encoder"
        _finish(noise, views, aucs, whose)
    return figure


def _draw_pile(study: Study, place: int, encoder: str, noise: Axes, views: Axes, aucs: Axes) -> None:
    """One pile of pictures, the place-th of the study, as one encoder sees it."""
    pile = list(study.piles)[place]
    count, x = len(study.piles), np.arange(len(NOISE_STRENGTHS))
    colour: Any = CLEAN
    if pile != CLEAN_PILE:
        colour = matplotlib.colormaps["Oranges"](0.4 + 0.6 * place / count)
    curve = [study.find("noise", encoder=encoder, strength=s)[pile] for s in NOISE_STRENGTHS]
    low, middle, high = np.array([r.quantiles for r in curve]).T[[_QUARTER, _HALF, _THREE_QUARTERS]]
    noise.plot(x, middle, "o-", color=colour, label=pile)
    noise.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)

    bars = [study.find(view, encoder=encoder)[pile] for view in STUDY_VIEWS]
    low, middle, high = np.array([r.quantiles for r in bars]).T[[_QUARTER, _HALF, _THREE_QUARTERS]]
    at = np.arange(len(bars)) + (place - (count - 1) / 2) * 0.18
    views.errorbar(at, middle, [middle - low, high - middle], fmt="o", color=colour, capsize=2, markersize=4)
    if pile != CLEAN_PILE:
        label = f"{pile}: {study.piles[pile] / study.median_flip_eps:.1f} × flip eps"
        aucs.plot(x, [r.auc for r in curve if r.auc is not None], "o-", color=colour, label=label)


def _finish(noise: Axes, views: Axes, aucs: Axes, whose: str) -> None:
    """Titles, ticks and legends of one encoder's three axes."""
    title = words_in(WHITE, TITLE_SIZE)
    noise.set_title(f"drift under noise{whose}", **title)
    noise.set(xlabel="noise, in 1/255", ylabel="relative drift (median, middle half)")
    log_drift(noise)
    views.set_title(f"drift under views{whose}", **title)
    views.set(xticks=range(len(STUDY_VIEWS)), ylim=0)
    views.set_xticklabels([broken(view) for view in STUDY_VIEWS], fontsize=8)
    aucs.set_title("AUC, clean drifts further than attacked", **title)
    aucs.set(xlabel="noise, in 1/255", ylim=(0, 1))
    aucs.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
    for axes in (noise, aucs):
        axes.set_xticks(range(len(NOISE_STRENGTHS)), [f"{s:g}" for s in NOISE_STRENGTHS])
        axes.legend(**legend_in(WHITE, 8))
