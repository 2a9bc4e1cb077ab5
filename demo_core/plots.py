"""A Run or a Study -> matplotlib figures, and a figure -> inline SVG that follows the page's light or dark theme."""
from __future__ import annotations

import io
import math
import re

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from demo_core.defenses import DEFENSES, TAU, VIEW_DRIFT, Profile, in_order, title_of
from demo_core.drift import CLEAN_PILE, LEVELS, NOISE_STRENGTHS, STUDY_VIEWS, Row, Study
from demo_core.story import Run, Signals

# Okabe & Ito's colour-blind safe palette: the same meanings on the whole page.
CLEAN, ATTACKED, DEFENDED, KNOWING = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
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


def signal_figure(run: Run | None, profile: Profile | None = None, study: Study | None = None) -> Figure:
    """Both stability signals of the clean and the attacked picture; the gating one with its threshold and the side
    on which the counterattack engages. profile: the model's, while there is no run. study: the model's, drawn behind
    the run's own points."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(4.8, 3.0), layout="constrained")
        gate = (run.profile if run else profile or Profile()).gate
        names = [gate, *(name for name in SIGNAL_NAMES if name != gate)]
        for axes, name in zip(figure.subplots(2, 1), names):
            _value_axes(axes, run, name, gate, study)
        return figure


def views_figure(run: Run | None, profile: Profile, study: Study | None = None) -> Figure:
    """The run's clean and attacked picture: drift over noise strengths and over views, with the line that each defence
    draws. Behind them the study's middle 80 % and median."""
    rules = {row.title: row.rule(profile) for row in DEFENSES.values()}
    probes = [*STUDY_VIEWS, VIEW_DRIFT]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        noise, views = figure.subplots(1, 2, sharey=True, width_ratios=(5, 6))
        x, low, middle, high = np.arange(len(NOISE_STRENGTHS)), LEVELS.index(0.1), LEVELS.index(0.5), LEVELS.index(0.9)
        at = np.arange(len(probes))
        for pile in (0, 1) if study else ():
            curve = [_piles(study, run, "noise", s)[pile] for s in NOISE_STRENGTHS]
            bars = [_piles(study, run, view)[pile] for view in probes]
            colour, place = curve[0][1], at + (pile - 0.5) * 0.3
            noise.fill_between(x, [r.quantiles[low] for r, _ in curve], [r.quantiles[high] for r, _ in curve],
                               color=colour, alpha=0.14, linewidth=0)
            noise.plot(x, [r.quantiles[middle] for r, _ in curve], ":", color=colour, linewidth=1.2)
            views.bar(place, [r.quantiles[high] - r.quantiles[low] for r, _ in bars], 0.26,
                      [r.quantiles[low] for r, _ in bars], color=colour, alpha=0.14, linewidth=0)
            views.hlines([r.quantiles[middle] for r, _ in bars], place - 0.13, place + 0.13, color=colour, linestyle=":", linewidth=1.2)
        for pile, (label, (signals, colour, marker)) in enumerate(_seen(run).items()):
            noise.plot(x, signals.over_noise, marker + "-", color=colour, markersize=5, label=f"this picture, {label}")
            views.plot(at + (pile - 0.5) * 0.3, (*signals.over_views, signals.view_drift), marker, color=colour, markersize=7)
        for title, rule in rules.items():
            if rule is None:
                continue
            axes, place = (noise, math.log2(rule.noise)) if rule.noise else (views, probes.index(rule.view))
            axes.plot([place - 0.4, place + 0.4], [rule.value] * 2, color=_INK, linewidth=1.5)
            axes.annotate(f"{title}: {'below' if rule.below else 'above'}", (place - 0.45, rule.value), fontsize=8.5,
                          va="center", ha="right")
        if run:
            noise.legend(loc="upper left", fontsize=9)
        noise.set(xlabel="noise, in 1/255", ylabel="relative drift", xlim=(-0.3, len(x) - 0.7))
        noise.set_xticks(x, [str(s) for s in NOISE_STRENGTHS])
        views.set_xlim(-0.6, len(at) - 0.4)
        views.set_xticks(at, [_broken(view) for view in STUDY_VIEWS] + ["mean of\nour views"], fontsize=8)
        _log_drift(noise)
        return figure


def _seen(run: Run | None) -> dict[str, tuple[Signals, str, str]]:
    """The run's own signals so far, each with its colour and marker."""
    found = {"clean": (run.clean_signals, CLEAN, "o")} if run else {}
    return found | ({"attacked": (run.attacked_signals, ATTACKED, "s")} if run and run.attacked_signals else {})


def _piles(study: Study, run: Run | None, probe: str, strength: float = 0) -> list[tuple[Row, str]]:
    """The study's clean pile and the attacked one nearest to the run's eps, with their colours."""
    eps = run.settings.eps * 255 if run else 4
    nearest = min((pile for pile in study.piles if pile != CLEAN_PILE), key=lambda pile: abs(study.piles[pile] - eps))
    rows = study.find(probe, encoder=study.probing, strength=strength)
    return [(rows[CLEAN_PILE], CLEAN), (rows[nearest], ATTACKED)]


def _value_axes(axes, run: Run | None, name: str, gate: str, study: Study | None) -> None:
    """One signal along x: a row for the clean and one for the attacked picture, behind each the study's density."""
    values = {label: (signals[name], colour, marker) for label, (signals, colour, marker) in _seen(run).items()}
    top = _SIGNAL_TOP[name]
    while any(value > top for value, _, _ in values.values()):
        top *= 2
    if study:
        grid = np.linspace(0, top, 81)
        for row, (pile, colour) in enumerate(_piles(study, run, name)):
            share = np.diff(np.interp(grid, pile.quantiles, LEVELS))
            share = np.convolve(share, [0.25, 0.5, 0.25], "same")
            axes.fill_between((grid[1:] + grid[:-1]) / 2, 0.7 - row, 0.7 - row + 0.75 * share / share.max(), color=colour,
                              alpha=0.18, linewidth=0)
    if run and name == gate:
        threshold = run.profile.threshold
        shown = min(max(threshold, 0), top)
        low, high = (0, shown) if gate == TAU else (shown, top)
        axes.axvline(threshold, color=_INK, linewidth=1)
        if low < high:
            axes.axvspan(low, high, color=DEFENDED, alpha=0.12, linewidth=0)
            words = axes.text((low + high) / 2, 1.36, "counterattack engages", ha="center", va="center", fontsize=8.5)
            words.set_in_layout(False)
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


def _broken(view: str) -> str:
    """A view's name on lines short enough for a tick."""
    return view.replace(", ", ",\n").replace(" pixel ", "\npixel ").replace(" to ", "\nto ").replace(" view of ", "\nview of\n")


def _log_drift(axes) -> None:
    axes.set_yscale("log")
    axes.set_ylim(0.003, 3)
    axes.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])


def study_figure(study: Study) -> Figure:
    """Drift over noise strengths and over views, and the AUCs, for every pile; one row of axes for each encoder."""
    encoders = list(dict.fromkeys(row.encoder for row in study.rows))
    piles = study.piles
    shades = {pile: CLEAN if pile == CLEAN_PILE else matplotlib.colormaps["Oranges"](0.4 + 0.6 * i / len(piles))
              for i, pile in enumerate(piles)}
    low, middle, high = LEVELS.index(0.25), LEVELS.index(0.5), LEVELS.index(0.75)
    x = np.arange(len(NOISE_STRENGTHS))
    plain = {k: v for k, v in _STYLE.items() if "color" not in k} | {"figure.facecolor": "white", "axes.facecolor": "white"}
    with matplotlib.rc_context(plain):
        figure = Figure(figsize=(12, 3.9 * len(encoders)), layout="constrained")
        figure.suptitle(f"{study.title}: {study.pictures:,} pictures, {study.labels} names,"
                        f" median flip eps {study.median_flip_eps:.2g}/255", fontsize=11)
        for encoder, row in zip(encoders, figure.subplots(len(encoders), 3, squeeze=False)):
            whose = "" if len(encoders) == 1 else f", by the {encoder} encoder"
            noise, views, aucs = row
            for place, pile in enumerate(piles):
                curve = [study.find("noise", encoder=encoder, strength=s)[pile] for s in NOISE_STRENGTHS]
                noise.plot(x, [r.quantiles[middle] for r in curve], "o-", color=shades[pile], label=pile)
                noise.fill_between(x, [r.quantiles[low] for r in curve], [r.quantiles[high] for r in curve],
                                   color=shades[pile], alpha=0.15, linewidth=0)
                bars = [study.find(view, encoder=encoder)[pile] for view in STUDY_VIEWS]
                at = np.arange(len(bars)) + (place - (len(piles) - 1) / 2) * 0.18
                middles = np.array([r.quantiles[middle] for r in bars])
                spread = np.abs(np.array([[r.quantiles[low], r.quantiles[high]] for r in bars]).T - middles)
                views.errorbar(at, middles, spread, fmt="o", color=shades[pile], capsize=2, markersize=4)
                if pile != CLEAN_PILE:
                    label = f"{pile}: {piles[pile] / study.median_flip_eps:.1f} × flip eps"
                    aucs.plot(x, [r.auc for r in curve], "o-", color=shades[pile], label=label)
            noise.set(title=f"drift under noise{whose}", xlabel="noise, in 1/255", ylabel="relative drift (median, middle half)")
            _log_drift(noise)
            views.set(title=f"drift under views{whose}", xticks=range(len(STUDY_VIEWS)), ylim=0)
            views.set_xticklabels([_broken(view) for view in STUDY_VIEWS], fontsize=8)
            aucs.set(title="AUC, clean drifts further than attacked", xlabel="noise, in 1/255", ylim=(0, 1))
            aucs.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
            for axes in (noise, aucs):
                axes.set_xticks(x, [f"{s}" for s in NOISE_STRENGTHS])
                axes.legend(fontsize=8)
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


def accuracy_figure(found: pd.DataFrame) -> Figure:
    """A benchmark's table (report.table) as dots: a row a defence, a dot an attack with its 95 % interval; clean, static
    and adaptive attacks apart by colour. One chart a data set; for a file, on white."""
    kinds = {"clean": (CLEAN, lambda attack: attack == "clean"), "attacked by someone who knows the defence": (KNOWING, lambda attack: "+adaptive" in attack),
             "attacked": (ATTACKED, lambda attack: True)}
    datasets = list(found.index.unique("dataset"))
    figure = Figure(figsize=(6.4, 0.6 + len(datasets) * (0.9 + 0.32 * found.index.unique("defense").size)), layout="constrained", dpi=150)
    for axes, dataset in zip(figure.subplots(len(datasets), 1, squeeze=False)[:, 0], datasets):
        mine = found.xs(dataset, level="dataset")
        keys = in_order(mine.index.unique("defense"))
        for (defense, attack), row in mine.iterrows():
            kind, (colour, _) = next((name, of) for name, of in kinds.items() if of[1](attack))
            axes.errorbar(row["accuracy"], keys.index(defense) + 0.22 * (list(kinds).index(kind) - 1),
                          xerr=[[row["accuracy"] - row["low"]], [row["high"] - row["accuracy"]]], fmt="o", color=colour,
                          markersize=4, linewidth=0.8, alpha=0.8, label=kind)
        axes.set_yticks(range(len(keys)), map(title_of, keys))
        axes.invert_yaxis()
        axes.set(title=dataset, xlabel="accuracy in percent", xlim=(0, 100))
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    labelled = {label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels())}
    figure.legend(labelled.values(), labelled.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure
