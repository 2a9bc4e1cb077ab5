"""A Run -> matplotlib figures, and a figure -> inline SVG that follows the page's light or dark theme."""
from __future__ import annotations

import io
import re

import matplotlib
from matplotlib.figure import Figure

from demo_core.defenses import TAU, VIEW_DRIFT, Profile
from demo_core.story import Run

# Okabe & Ito's colour-blind safe palette: the same three meanings on the whole page.
CLEAN, ATTACKED, DEFENDED = "#0072B2", "#D55E00", "#009E73"
_INK, _FAINT = "#010203", "#010204"  # stand-ins, replaced by the page's own text colour in to_svg
_STYLE = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "text.color": _INK, "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT, "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False,
    "axes.spines.right": False, "figure.facecolor": "none", "axes.facecolor": "none", "legend.frameon": False,
}
SIGNAL_NAMES = {TAU: "tau: drift under noise", VIEW_DRIFT: "drift under small views"}
_SIGNAL_TOP = {TAU: 0.5, VIEW_DRIFT: 1.0}


def drift_figure(run: Run | None) -> Figure:
    """The embedding's relative drift from the clean picture over the steps, attack and counterattack in one plot.

    The axes hold still while a run streams: their ends depend on the settings alone, unless a drift is off the chart.
    """
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.8, 3.0), layout="constrained")
        axes = figure.add_subplot(xlabel="step", ylabel="relative drift")
        attack_steps = run.attack_steps if run else 10
        defence_steps = run.profile.ttc.steps if run else 4
        first = 0 if run and run.control else attack_steps + 1
        axes.set_xlim(-0.5, (0 if run and run.control else attack_steps + 1) + defence_steps + 0.5)
        top = 2.0
        if run:
            drifts = (*run.attack_drift, *run.defence_drift, *run.push, 0)
            while max(drifts) > top:
                top *= 2
            if run.attack_drift and not run.control:
                axes.plot(range(len(run.attack_drift)), run.attack_drift, "o-", color=ATTACKED, label="attack: from the clean picture")
            if run.defence_drift:
                steps = [first + i for i in range(len(run.defence_drift))]
                if not run.control:
                    axes.plot(steps, run.defence_drift, "s-", color=DEFENDED, label="counterattack: from the clean picture")
                    axes.plot(steps, run.push, "^--", color=DEFENDED, alpha=0.6, label="counterattack: from the attacked picture")
                else:
                    axes.plot(steps, run.push, "s-", color=DEFENDED, label="counterattack on the clean picture")
            if axes.has_data():
                axes.legend(loc="upper left", fontsize=9)
        if first:
            axes.axvline(attack_steps + 0.5, color=_FAINT, linewidth=0.8, linestyle=":")
        axes.set_ylim(0, top)
        axes.xaxis.get_major_locator().set_params(integer=True)
        return figure


def signal_figure(run: Run | None, profile: Profile | None = None) -> Figure:
    """Both stability signals of the clean and the attacked picture; the gating one with its threshold and the side
    on which the counterattack engages. profile: the model's, while there is no run."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.8, 3.0), layout="constrained")
        gate = (run.profile if run else profile or Profile()).gate
        names = [gate, *(name for name in SIGNAL_NAMES if name != gate)]
        for axes, name in zip(figure.subplots(2, 1), names):
            values = {} if run is None else {
                "clean": (run.clean_signals[name], CLEAN, "o"),
                **({"attacked": (run.attacked_signals[name], ATTACKED, "s")} if run.attacked_signals else {}),
            }
            top = _SIGNAL_TOP[name]
            while any(value > top for value, _, _ in values.values()):
                top *= 2
            if run and name == gate:
                threshold = run.profile.threshold
                low, high = (0, threshold) if gate == TAU else (threshold, top)
                axes.axvspan(low, high, color=DEFENDED, alpha=0.12, linewidth=0)
                axes.axvline(threshold, color=_INK, linewidth=1)
                axes.text((low + high) / 2, 1.36, "counterattack engages", ha="center", va="center", fontsize=8.5)
            for row, (label, (value, colour, marker)) in enumerate(values.items()):
                axes.plot([value], [1 - row], marker, color=colour, markersize=9)
                leftwards = value > 0.75 * top or (run and name == gate and 0 < run.profile.threshold - value < 0.25 * top
                                                   and value > 0.2 * top)  # clear of the end and of the threshold's line
                note = axes.annotate(f"{label} {value:.3f}", (value, 1 - row), textcoords="offset points", va="center",
                                     xytext=(-9 if leftwards else 9, 0), ha="right" if leftwards else "left", fontsize=9.5)
                note.set_in_layout(False)  # the axes keep their size wherever the points are
            axes.set(xlim=(0, top), ylim=(-0.6, 1.7), yticks=[])
            axes.spines["left"].set_visible(False)
            role = "decides for this model" if name == gate else "shown, does not decide"
            axes.set_title(f"{SIGNAL_NAMES[name]} ({role})", loc="left", fontsize=10)
        return figure


def to_svg(figure: Figure, description: str) -> str:
    """Inline SVG with a text alternative; black stand-ins become the page's own text colour."""
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": "fixed"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg"):]
    svg = svg.replace(_INK, "currentColor").replace(_FAINT, "currentColor")
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]+)"[^>]*>',
                 rf'<svg viewBox="\1" role="img" aria-label="{description}" style="width:100%;height:auto">', svg, count=1)
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
