"""Figures of accuracies and of a study, and what every figure is drawn with, those of a run too
(`story/run_figure.py`, `story/views_figure.py`).

Everything is drawn with explicit styles on figures of one's own; nothing of matplotlib's that the whole
process shares (its rcParams, pyplot's current figure) is ever set, so that any number of visitors are drawn
for at a time, and a figure drawn twice is the same file to the last bit.
"""

from demo_core.plots.accuracy import accuracy_figure, curve_figure
from demo_core.plots.study import study_figure
from demo_core.plots.style import (
    ATTACKED,
    CLEAN,
    DEFENDED,
    KNOWING,
    PAGE,
    WHITE,
    Paper,
    as_file,
    cut_up,
    svg_head,
    to_svg,
)
from demo_core.plots.tradeoffs import COST, ROBUST, tradeoff_figure

__all__ = [
    "ATTACKED",
    "CLEAN",
    "COST",
    "DEFENDED",
    "KNOWING",
    "PAGE",
    "ROBUST",
    "WHITE",
    "Paper",
    "accuracy_figure",
    "as_file",
    "curve_figure",
    "cut_up",
    "study_figure",
    "svg_head",
    "to_svg",
    "tradeoff_figure",
]
