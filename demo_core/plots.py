"""A Run or a Study -> matplotlib figures, and a figure -> inline SVG that follows the page's light or dark
theme."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from demo_core.defenses import DEFENSES, TAU, VIEW_DRIFT, Profile, in_order, title_of
from demo_core.drift import CLEAN_PILE, LEVELS, NOISE_STRENGTHS, STUDY_VIEWS, Row, Study
from demo_core.story import Drifts, Run, Signals

# Okabe & Ito's colour-blind safe palette: the same meanings on the whole page.
CLEAN, ATTACKED, DEFENDED, KNOWING = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_INK, _FAINT = "#010203", "#010204"  # stand-ins, replaced by the page's own text colour in to_svg
_STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _FAINT,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
}
_PLAIN = {k: v for k, v in _STYLE.items() if "color" not in k} | {
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}
SIGNAL_NAMES = {TAU: "tau: drift under noise", VIEW_DRIFT: "drift under small views"}
_SIGNAL_TOP = {TAU: 1.0, VIEW_DRIFT: 1.5}


@dataclass(frozen=True)
class Backdrop:
    """Empty axes as SVG, for a page that puts its own moving points on them. boxes: for each axes, left,
    right, bottom and top in data units, then the same in the units of the view box."""

    svg: str
    boxes: tuple[tuple[float, ...], ...]


def _backdrop(figure: Figure, description: str) -> Backdrop:
    svg = to_svg(figure, description)  # lays the axes out too
    width, height = figure.get_size_inches() * 72
    boxes = []
    for axes in figure.axes:
        place = axes.get_position()
        ends = (
            *axes.get_xlim(),
            *axes.get_ylim(),
            place.x0 * width,
            place.x1 * width,
            (1 - place.y0) * height,
            (1 - place.y1) * height,
        )
        boxes.append(tuple(map(float, ends)))
    return Backdrop(svg, tuple(boxes))


_SMALL = (4.8, 3.0)


def drift_top(run: Run) -> float:
    """Where the drift axis ends: the same for all runs but those that go off it."""
    top = 2.0
    for moment in (*run.attack, *run.counterattack):
        while max(run.drift(moment), run.push(moment)) > top:
            top *= 2
    return top


def _drift_axes(figure: Figure, attack_steps: int, defence_steps: int, control: bool, top: float) -> Axes:
    """Axes over the steps of the attack, those of the counterattack, and what the defence makes of them in
    the end."""
    axes = figure.add_subplot(xlabel="step", ylabel="relative drift")
    first = 0 if control else attack_steps + 1
    axes.set(xlim=(-0.5, first + defence_steps + 1.5), ylim=(0, top))
    if first:
        axes.axvline(attack_steps + 0.5, color=_FAINT, linewidth=0.8, linestyle=":")
    axes.xaxis.get_major_locator().set_params(integer=True)
    return axes


@lru_cache(maxsize=64)
def drift_backdrop(attack_steps: int, defence_steps: int, control: bool, top: float) -> Backdrop:
    """The empty drift plot of a run with so many steps: it holds still while the run streams."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_SMALL, layout="constrained")
        _drift_axes(figure, attack_steps, defence_steps, control, top)
        return _backdrop(figure, "axes of the drift plot")


def _draw_drift(figure: Figure, run: Run) -> None:
    """The embedding's relative drift from the clean picture over the steps, attack and counterattack in one
    plot."""
    axes = _drift_axes(figure, run.attack_steps, run.profile.budget.steps, run.control, drift_top(run))
    first = 0 if run.control else run.attack_steps + 1
    if run.attack and not run.control:
        axes.plot(
            range(len(run.attack)),
            run.attack_drift,
            "o-",
            color=ATTACKED,
            label="attack: from the clean picture",
        )
    moments = run.counterattack
    steps = [
        *range(first, first + len(run.defence)),
        *[first + run.profile.budget.steps + 1] * (run.final is not None),
    ]
    if moments and run.control:
        axes.plot(
            steps,
            list(map(run.push, moments)),
            "s-",
            color=DEFENDED,
            label="counterattack on the clean picture",
        )
    elif moments:
        axes.plot(
            steps,
            list(map(run.drift, moments)),
            "s-",
            color=DEFENDED,
            label="counterattack: from the clean picture",
        )
        axes.plot(
            steps,
            list(map(run.push, moments)),
            "^--",
            color=DEFENDED,
            alpha=0.6,
            label="counterattack: from the attacked picture",
        )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left", fontsize=9)


def signal_tops(run: Run) -> tuple[float, ...]:
    """Where the axes of SIGNAL_NAMES end: the same for all runs but those that go off them."""
    tops = []
    for name in SIGNAL_NAMES:
        top = _SIGNAL_TOP[name]
        while any(signals[name] > top for signals, _, _ in _seen(run).values()):
            top *= 2
        tops.append(top)
    return tuple(tops)


def in_gate_order(gate: str) -> list[str]:
    """The names of both signals, the one that gates first."""
    return [gate, *(name for name in SIGNAL_NAMES if name != gate)]


def _signal_axes(
    figure: Figure, gate: str, threshold: float, study: Study | None, eps: float, tops: tuple[float, ...]
) -> None:
    """Both stability signals; the gating one with its threshold and the side on which the counterattack
    engages. study: the model's, whose densities stand behind a run's own points."""
    for axes, name in zip(figure.subplots(2, 1), in_gate_order(gate)):
        _value_axes(axes, name, dict(zip(SIGNAL_NAMES, tops))[name], gate, threshold, study, eps)


@lru_cache(maxsize=64)
def signal_backdrop(
    gate: str, threshold: float, study: Study | None, eps: float, tops: tuple[float, ...]
) -> Backdrop:
    """The signal plot without a run's own points."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=_SMALL, layout="constrained")
        _signal_axes(figure, gate, threshold, study, eps, tops)
        return _backdrop(figure, "axes of the signal plot")


def _draw_signal(figure: Figure, run: Run, study: Study | None) -> None:
    gate, threshold = run.profile.gate, run.profile.threshold
    _signal_axes(figure, gate, threshold, study, run.settings.eps * 255, signal_tops(run))
    for axes, name in zip(figure.axes, in_gate_order(gate)):
        top = axes.get_xlim()[1]
        for row, (label, (signals, colour, marker)) in enumerate(_seen(run).items()):
            axes.plot([signals[name]], [1 - row], marker, color=colour, markersize=9)
            leftwards = signals[name] > 0.7 * top
            note = axes.annotate(
                f"{label} {signals[name]:.3f}",
                (signals[name], 1 - row),
                textcoords="offset points",
                va="center",
                xytext=(-9 if leftwards else 9, 0),
                ha="right" if leftwards else "left",
                fontsize=9.5,
            )
            note.set_in_layout(False)  # the axes keep their size wherever the points are


def _draw_map(figure: Figure, run: Run, found: dict) -> None:
    """The way of the embedding; found: as reel.path_map gives it."""
    axes, points = figure.add_subplot(aspect="equal"), np.array(found["points"])
    reach = max(float(np.linalg.norm(points, axis=1).max()), 1e-9) * 1.06
    turn = 0 if run.control else len(run.attack)
    axes.plot(*points[: turn + 1].T, "-", color=ATTACKED, linewidth=1.5)
    axes.plot(*points[turn:].T, "-", color=DEFENDED, linewidth=1.5)
    for at, colour, marker in (
        (0, CLEAN, "o"),
        *([(turn, ATTACKED, "s")] if turn else []),
        *([(-1, DEFENDED, "^")] if run.engaged is not None else []),
    ):
        axes.plot(*points[at], marker, color=colour, markersize=8)
    for index, x, y in found["labels"]:
        axes.annotate(
            "", (x * reach, y * reach), (0, 0), arrowprops={"arrowstyle": "->", "color": "grey", "alpha": 0.6}
        )
        long = max(np.hypot(x, y), 1e-9)
        axes.text(
            x / long * reach * 1.08,
            y / long * reach * 1.08,
            run.settings.labels[index],
            fontsize=9,
            va="center",
            ha="left" if x >= 0 else "right",
            parse_math=False,
        )
    axes.set(xlim=(-1.7 * reach, 1.7 * reach), ylim=(-1.15 * reach, 1.15 * reach), xticks=[], yticks=[])
    axes.set_title(f"the way through the embedding (two dimensions: {found['kept']:.0%} of it)", fontsize=10)
    axes.spines[:].set_visible(False)


def run_figure(run: Run, found: dict, study: Study | None = None) -> Figure:
    """A run's drift, signals and way (found: reel.path_map's), side by side on white, for a file."""
    with matplotlib.rc_context(_PLAIN):
        figure = Figure(figsize=(3 * _SMALL[0], _SMALL[1]), layout="constrained")
        drift, signal, way = figure.subfigures(1, 3)
        _draw_drift(drift, run)
        _draw_signal(signal, run, study)
        _draw_map(way, run, found)
        return figure


def views_figure(
    drifts: dict[str, Drifts], profile: Profile, study: Study | None = None, eps: float = 4.0
) -> Figure:
    """A run's clean and attacked picture: drift over noise strengths and over views, with the line that each
    defence draws. Behind them the study's middle 80 % and median, under the attack nearest to eps, in
    1/255."""
    rules = {row.title: row.rule(profile) for row in DEFENSES.values()}
    probes = [*STUDY_VIEWS, VIEW_DRIFT]
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        noise, views = figure.subplots(1, 2, sharey=True, width_ratios=(5, 6))
        x, low, middle, high = (
            np.arange(len(NOISE_STRENGTHS)),
            LEVELS.index(0.1),
            LEVELS.index(0.5),
            LEVELS.index(0.9),
        )
        at = np.arange(len(probes))
        for pile in (0, 1) if study else ():
            curve = [_piles(study, eps, "noise", s)[pile] for s in NOISE_STRENGTHS]
            bars = [_piles(study, eps, view)[pile] for view in probes]
            colour, place = curve[0][1], at + (pile - 0.5) * 0.3
            noise.fill_between(
                x,
                [r.quantiles[low] for r, _ in curve],
                [r.quantiles[high] for r, _ in curve],
                color=colour,
                alpha=0.14,
                linewidth=0,
            )
            noise.plot(x, [r.quantiles[middle] for r, _ in curve], ":", color=colour, linewidth=1.2)
            views.bar(
                place,
                [r.quantiles[high] - r.quantiles[low] for r, _ in bars],
                0.26,
                [r.quantiles[low] for r, _ in bars],
                color=colour,
                alpha=0.14,
                linewidth=0,
            )
            views.hlines(
                [r.quantiles[middle] for r, _ in bars],
                place - 0.13,
                place + 0.13,
                color=colour,
                linestyle=":",
                linewidth=1.2,
            )
        for pile, (label, found) in enumerate(drifts.items()):
            colour, marker = (ATTACKED, "s") if pile else (CLEAN, "o")
            noise.plot(
                x, found.over_noise, marker + "-", color=colour, markersize=5, label=f"this picture, {label}"
            )
            views.plot(
                at + (pile - 0.5) * 0.3,
                (*found.over_views, found.view_drift),
                marker,
                color=colour,
                markersize=7,
            )
        for title, rule in rules.items():
            if rule is None:
                continue
            axes, place = (
                (noise, np.interp(rule.noise, NOISE_STRENGTHS, x))
                if rule.noise
                else (views, probes.index(rule.view))
            )
            axes.plot([place - 0.4, place + 0.4], [rule.value] * 2, color=_INK, linewidth=1.5)
            axes.annotate(
                f"{title}: {'below' if rule.below else 'above'}",
                (place - 0.45, rule.value),
                fontsize=8.5,
                va="center",
                ha="right",
            )
        if drifts:
            noise.legend(loc="upper left", fontsize=9)
        noise.set(xlabel="noise, in 1/255", ylabel="relative drift", xlim=(-0.3, len(x) - 0.7))
        noise.set_xticks(x, [f"{s:g}" for s in NOISE_STRENGTHS])
        views.set_xlim(-0.6, len(at) - 0.4)
        views.set_xticks(at, [_broken(view) for view in STUDY_VIEWS] + ["mean of\nour views"], fontsize=8)
        _log_drift(noise)
        return figure


def _seen(run: Run) -> dict[str, tuple[Signals, str, str]]:
    """The run's own signals so far, each with its colour and marker."""
    attacked = {"attacked": (run.attacked_signals, ATTACKED, "s")} if run.attack_finished else {}
    return {"clean": (run.clean_signals, CLEAN, "o")} | attacked


def _piles(study: Study, eps: float, probe: str, strength: float = 0) -> list[tuple[Row, str]]:
    """The study's clean pile and the attacked one nearest to an eps, in 1/255, with their colours."""
    nearest = min(
        (pile for pile in study.piles if pile != CLEAN_PILE), key=lambda pile: abs(study.piles[pile] - eps)
    )
    rows = study.find(probe, encoder=study.probing, strength=strength)
    return [(rows[CLEAN_PILE], CLEAN), (rows[nearest], ATTACKED)]


def _value_axes(
    axes: Axes, name: str, top: float, gate: str, threshold: float, study: Study | None, eps: float
) -> None:
    """One signal along x: a row for the clean and one for the attacked picture, behind each the study's
    density; and the threshold, where this signal gates."""
    if study:
        grid = np.linspace(0, top, 81)
        for row, (pile, colour) in enumerate(_piles(study, eps, name)):
            share = np.diff(np.interp(grid, pile.quantiles, LEVELS))
            share = np.convolve(share, [0.25, 0.5, 0.25], "same")
            axes.fill_between(
                (grid[1:] + grid[:-1]) / 2,
                0.7 - row,
                0.7 - row + 0.75 * share / share.max(),
                color=colour,
                alpha=0.18,
                linewidth=0,
            )
    if name == gate:
        shown = min(max(threshold, 0), top)
        low, high = (0, shown) if gate == TAU else (shown, top)
        axes.axvline(threshold, color=_INK, linewidth=1)
        if low < high:
            axes.axvspan(low, high, color=DEFENDED, alpha=0.12, linewidth=0)
            words = axes.text(
                (low + high) / 2, 1.36, "counterattack engages", ha="center", va="center", fontsize=8.5
            )
            words.set_in_layout(False)
    axes.set(xlim=(0, top), ylim=(-0.6, 1.7), yticks=[])
    axes.spines["left"].set_visible(False)
    role = "decides for this model" if name == gate else "shown, does not decide"
    axes.set_title(f"{SIGNAL_NAMES[name]} ({role})", loc="left", fontsize=10)


def _broken(view: str) -> str:
    """A view's name on lines short enough for a tick."""
    return (
        view.replace(", ", ",\n")
        .replace(" pixel ", "\npixel ")
        .replace(" to ", "\nto ")
        .replace(" view of ", "\nview of\n")
    )


def _log_drift(axes) -> None:
    axes.set_yscale("log")
    axes.set_ylim(0.003, 3)
    axes.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])


def study_figure(study: Study) -> Figure:
    """Drift over noise strengths and over views, and the AUCs, for every pile; one row of axes for each
    encoder."""
    encoders = list(dict.fromkeys(row.encoder for row in study.rows))
    piles = study.piles
    shades = {
        pile: CLEAN if pile == CLEAN_PILE else matplotlib.colormaps["Oranges"](0.4 + 0.6 * i / len(piles))
        for i, pile in enumerate(piles)
    }
    low, middle, high = LEVELS.index(0.25), LEVELS.index(0.5), LEVELS.index(0.75)
    x = np.arange(len(NOISE_STRENGTHS))
    with matplotlib.rc_context(_PLAIN):
        figure = Figure(figsize=(12, 3.9 * len(encoders)), layout="constrained")
        figure.suptitle(
            f"{study.title}: {study.pictures:,} pictures, {study.labels} names,"
            f" median flip eps {study.median_flip_eps:.2g}/255",
            fontsize=11,
        )
        for encoder, row in zip(encoders, figure.subplots(len(encoders), 3, squeeze=False)):
            whose = "" if len(encoders) == 1 else f", by the {encoder} encoder"
            noise, views, aucs = row
            for place, pile in enumerate(piles):
                curve = [study.find("noise", encoder=encoder, strength=s)[pile] for s in NOISE_STRENGTHS]
                noise.plot(x, [r.quantiles[middle] for r in curve], "o-", color=shades[pile], label=pile)
                noise.fill_between(
                    x,
                    [r.quantiles[low] for r in curve],
                    [r.quantiles[high] for r in curve],
                    color=shades[pile],
                    alpha=0.15,
                    linewidth=0,
                )
                bars = [study.find(view, encoder=encoder)[pile] for view in STUDY_VIEWS]
                at = np.arange(len(bars)) + (place - (len(piles) - 1) / 2) * 0.18
                middles = np.array([r.quantiles[middle] for r in bars])
                spread = np.abs(np.array([[r.quantiles[low], r.quantiles[high]] for r in bars]).T - middles)
                views.errorbar(at, middles, spread, fmt="o", color=shades[pile], capsize=2, markersize=4)
                if pile != CLEAN_PILE:
                    label = f"{pile}: {piles[pile] / study.median_flip_eps:.1f} × flip eps"
                    aucs.plot(x, [r.auc for r in curve], "o-", color=shades[pile], label=label)
            noise.set(
                title=f"drift under noise{whose}",
                xlabel="noise, in 1/255",
                ylabel="relative drift (median, middle half)",
            )
            _log_drift(noise)
            views.set(title=f"drift under views{whose}", xticks=range(len(STUDY_VIEWS)), ylim=0)
            views.set_xticklabels([_broken(view) for view in STUDY_VIEWS], fontsize=8)
            aucs.set(title="AUC, clean drifts further than attacked", xlabel="noise, in 1/255", ylim=(0, 1))
            aucs.axhline(0.5, color="grey", linewidth=0.8, linestyle=":")
            for axes in (noise, aucs):
                axes.set_xticks(x, [f"{s:g}" for s in NOISE_STRENGTHS])
                axes.legend(fontsize=8)
        return figure


def to_svg(figure: Figure, description: str) -> str:
    """Inline SVG with a text alternative; black stand-ins become the page's own text colour."""
    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE | {"svg.hashsalt": "fixed"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = svg.replace(_INK, "currentColor").replace(_FAINT, "currentColor")
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]+)"[^>]*>',
        rf'<svg viewBox="\1" role="img" aria-label="{description}" style="width:100%;height:auto">',
        svg,
        count=1,
    )
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)


def accuracy_figure(found: pd.DataFrame, title_of_attack: Callable[[str], str] = str) -> Figure:
    """A benchmark's table (report.table, its attacks in the order wanted) as dots: a row an attack, a dot a
    defence with its 95 % interval; each defence keeps its colour and its mark. One chart a data set; for a
    file, on white."""
    keys = in_order(found.index.unique("defense"))
    colours = [
        "#000000",
        "#999999",
        "#E69F00",
        "#56B4E9",
        KNOWING,
        CLEAN,
        "#8C6D31",
        ATTACKED,
        DEFENDED,
    ]  # none first, ours last
    looks = {
        key: {"color": colours[i % len(colours)], "marker": "osD^v<>Ph"[i % 9]}
        for i, key in enumerate(in_order([*DEFENSES, *keys]))
    }
    piles = {name: pile.droplevel("dataset") for name, pile in found.groupby("dataset", sort=False)}
    attacks = {name: list(pile.index.unique("attack")) for name, pile in piles.items()}
    room = 0.16 + 0.09 * len(keys)  # inches for an attack
    with matplotlib.rc_context(_PLAIN):
        heights = [0.8 + room * len(attacks[name]) for name in piles]
        figure = Figure(figsize=(7.2, sum(heights) + 0.6), layout="constrained", dpi=150)
        for axes, (name, pile) in zip(
            figure.subplots(len(piles), 1, squeeze=False, height_ratios=heights)[:, 0], piles.items()
        ):
            for (defense, attack), row in pile.iterrows():
                place = attacks[name].index(attack) + (keys.index(defense) - (len(keys) - 1) / 2) * 0.8 / len(
                    keys
                )
                axes.errorbar(
                    row["accuracy"],
                    place,
                    xerr=[[row["accuracy"] - row["low"]], [row["high"] - row["accuracy"]]],
                    linestyle="none",
                    markersize=4,
                    linewidth=0.8,
                    label=title_of(defense),
                    **looks[defense],
                )
            for edge in range(1, len(attacks[name])):
                axes.axhline(edge - 0.5, color="0.85", linewidth=0.6, zorder=0)
            axes.set_yticks(range(len(attacks[name])), map(title_of_attack, attacks[name]))
            axes.set(
                title=name,
                xlabel="accuracy in percent",
                xlim=(-2, 102),
                ylim=(len(attacks[name]) - 0.5, -0.5),
            )
            axes.grid(axis="x", alpha=0.3)
        labelled = {
            label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels())
        }
        figure.legend(
            [labelled[title_of(key)] for key in keys],
            map(title_of, keys),
            loc="outside lower center",
            ncols=5,
            fontsize=8,
        )
    return figure
