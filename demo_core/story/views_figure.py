"""How far one picture's embedding moves under noise and views, before what a study's pictures do."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from demo_core.defenses import DEFENSES, SIGNALS, VIEW_DRIFT, Gate, Profile
from demo_core.defenses.drift import LEVELS, NOISE_STRENGTHS, STUDY_VIEWS, Study
from demo_core.plots.study import broken, log_drift
from demo_core.plots.style import ATTACKED, CLEAN, PAGE, dress, legend_in, new_figure, words_in
from demo_core.story.axes import nearest_piles
from demo_core.story.run import Drifts

_PROBES = (*STUDY_VIEWS, VIEW_DRIFT)
_LOW, _MIDDLE, _HIGH = (LEVELS.index(level) for level in (0.1, 0.5, 0.9))
_NOISE_PLACES, _VIEW_PLACES = np.arange(len(NOISE_STRENGTHS)), np.arange(len(_PROBES))


def views_figure(
    drifts: dict[str, Drifts], profile: Profile, study: Study | None = None, eps: float = 4.0
) -> Figure:
    """A run's clean and attacked picture: drift over noise strengths and over views, with the line that each
    defence draws. Behind them the study's middle 80 % and median, under the attack nearest to eps, in
    1/255."""
    figure = new_figure(9.6, 3.6, PAGE)
    noise, views = (dress(axes, PAGE) for axes in figure.subplots(1, 2, sharey=True, width_ratios=(5, 6)))
    if study:
        _draw_study(noise, views, study, eps)
    for pile, (label, found) in enumerate(drifts.items()):
        colour, marker = (ATTACKED, "s") if pile else (CLEAN, "o")
        words, seen = f"this picture, {label}", (*found.over_views, found.view_drift)
        noise.plot(_NOISE_PLACES, found.over_noise, f"{marker}-", color=colour, markersize=5, label=words)
        views.plot(_VIEW_PLACES + (pile - 0.5) * 0.3, seen, marker, color=colour, markersize=7)
    _draw_rules(noise, views, profile)
    if drifts:
        noise.legend(loc="upper left", **legend_in(PAGE, 9))
    last = len(NOISE_STRENGTHS) - 1
    noise.set(xlabel="noise, in 1/255", ylabel="relative drift", xlim=(-0.3, last + 0.3))
    noise.set_xticks(_NOISE_PLACES, [f"{s:g}" for s in NOISE_STRENGTHS])
    views.set_xlim(-0.6, len(_PROBES) - 0.4)
    views.set_xticks(_VIEW_PLACES, [*map(broken, STUDY_VIEWS), "mean of\nour views"], fontsize=8)
    log_drift(noise)
    return figure


def _draw_study(noise: Axes, views: Axes, study: Study, eps: float) -> None:
    """The middle 80 % and the median of the study's clean and attacked pictures."""
    for pile, colour in enumerate((CLEAN, ATTACKED)):
        curve = [nearest_piles(study, eps, "noise", s)[pile][0] for s in NOISE_STRENGTHS]
        low, middle, high = np.array([row.quantiles for row in curve]).T[[_LOW, _MIDDLE, _HIGH]]
        noise.fill_between(_NOISE_PLACES, low, high, color=colour, alpha=0.14, linewidth=0)
        noise.plot(_NOISE_PLACES, middle, ":", color=colour, linewidth=1.2)

        bars = [nearest_piles(study, eps, probe)[pile][0] for probe in _PROBES]
        low, middle, high = np.array([row.quantiles for row in bars]).T[[_LOW, _MIDDLE, _HIGH]]
        at = _VIEW_PLACES + (pile - 0.5) * 0.3
        views.bar(at, high - low, 0.26, low, color=colour, alpha=0.14, linewidth=0)
        views.hlines(middle, at - 0.13, at + 0.13, color=colour, linestyle=":", linewidth=1.2)


def _draw_rules(noise: Axes, views: Axes, profile: Profile) -> None:
    """The line that each defence of the table draws, if any: beyond it, it engages. Those that draw the same
    one are named together, at the foot, where no picture lies, with a thin line that leads there."""
    places: dict[Axes, list[float]] = {noise: [], views: []}
    titles: dict[Gate, list[str]] = {}
    for row in DEFENSES.values():
        gate = row.gate(profile)
        if gate is not None:
            titles.setdefault(gate, []).append(row.title)
    for gate, named in titles.items():
        signal = SIGNALS[gate.signal]
        if not (signal.noise or signal.view):
            continue
        drift, axes = signal.drift(gate.threshold), noise if signal.noise else views
        if signal.noise:
            place = float(np.interp(signal.noise, NOISE_STRENGTHS, _NOISE_PLACES))
        else:
            place = float(_PROBES.index(signal.view))
        axes.plot([place - 0.4, place + 0.4], [drift] * 2, color=PAGE.words, linewidth=1.5)
        taken = place in places[axes]  # then its words go to the other end
        end = place + (0.4 if taken else -0.4)
        thin = {"arrowstyle": "-", "color": PAGE.words, "linewidth": 0.6, "relpos": (1 - taken, 0.5)}
        axes.annotate(
            f"{'; '.join(named)}: {'below' if gate.below else 'above'}",
            (end, drift),
            (end, 0.12 - 0.07 * len(places[axes])),
            textcoords=axes.get_xaxis_transform(),
            va="center",
            ha="left" if taken else "right",
            arrowprops=thin,
            **words_in(PAGE, 8.5),
        )
        places[axes].append(place)
