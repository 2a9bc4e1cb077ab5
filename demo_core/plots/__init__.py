"""Figures: axes for the page, and whole figures for files.

Everything is drawn with explicit styles on figures of one's own; nothing of matplotlib's that the whole
process shares (its rcParams, pyplot's current figure) is ever set, so that any number of visitors are drawn
for at a time, and a figure drawn twice is the same file to the last bit.
"""

from demo_core.plots.accuracy import accuracy_figure
from demo_core.plots.run import (
    SIGNAL_NAMES,
    drift_backdrop,
    drift_top,
    in_gate_order,
    run_figure,
    signal_backdrop,
    signal_tops,
)
from demo_core.plots.study import study_figure
from demo_core.plots.style import ATTACKED, CLEAN, DEFENDED, KNOWING, Backdrop, as_file, to_svg
from demo_core.plots.views import views_figure

__all__ = [
    "ATTACKED",
    "CLEAN",
    "DEFENDED",
    "KNOWING",
    "SIGNAL_NAMES",
    "Backdrop",
    "accuracy_figure",
    "as_file",
    "drift_backdrop",
    "drift_top",
    "in_gate_order",
    "run_figure",
    "signal_backdrop",
    "signal_tops",
    "study_figure",
    "to_svg",
    "views_figure",
]
