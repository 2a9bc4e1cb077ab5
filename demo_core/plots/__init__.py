"""Figures: for files, and those that the page shows whole.

Everything is drawn with explicit styles on figures of one's own; nothing of matplotlib's that the whole
process shares (its rcParams, pyplot's current figure) is ever set, so that any number of visitors are drawn
for at a time, and a figure drawn twice is the same file to the last bit.
"""

from demo_core.plots.accuracy import accuracy_figure
from demo_core.plots.run import run_figure
from demo_core.plots.study import study_figure
from demo_core.plots.style import ATTACKED, CLEAN, DEFENDED, KNOWING, as_file, to_svg
from demo_core.plots.views import views_figure

__all__ = [
    "ATTACKED",
    "CLEAN",
    "DEFENDED",
    "KNOWING",
    "accuracy_figure",
    "as_file",
    "run_figure",
    "study_figure",
    "to_svg",
    "views_figure",
]
