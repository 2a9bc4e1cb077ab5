"""The charts of a report."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from demo_core.benchmark.summary import Summary
from demo_core.benchmark.tables import curves, dataset_title, in_table_order
from demo_core.benchmark.trials import CLEAN, attack_title
from demo_core.defenses import title_of
from demo_core.plots import COST, ROBUST, WHITE, Paper, accuracy_figure, curve_figure, tradeoff_figure

# What each is of, for those who read it with their ears or on a page.
CAPTIONS = {
    "cost": "What a defence costs against what stands of it: a point a defence, with its 95 % interval. The"
    " attacker has all attacks counted above the chart, and takes whichever fools the defence. On the line"
    " (Pareto’s front) no other defence is both cheaper and as accurate.",
    "robust": "Clean accuracy against what stands under the worst attack, a point a defence, with 95 %"
    " intervals. On the line (Pareto’s front) no other defence is better in both.",
    "curves": "Accuracy against eps, under PGD-10 from the predicted label; bars are 95 % intervals. “At any"
    " size up to eps”: what fell at a smaller size, or was wrong without an attack, counts as fallen.",
    "accuracy": "Every attack and defence with its 95 % interval.",
}


def drawn(found: pd.DataFrame, paper: Paper = WHITE) -> Figure:
    """`table` as a figure."""
    order = {attack: i for i, attack in enumerate(in_table_order(found.index.unique("attack")))}
    found = found.rename(index=dataset_title, level="dataset").sort_index(
        level="attack", key=lambda a: a.map(order), sort_remaining=False
    )
    return accuracy_figure(found, attack_title, paper)


def tradeoffs(summary: Summary) -> dict[str, tuple[str, pd.DataFrame]]:
    """What the charts of a trade-off show, for each data set that was attacked: its title, and a frame by
    defence: robust, low and high (what stands, and the ends of its interval), clean, clean_low and clean_high
    (missing where no clean pictures were met), passes."""
    found = {}
    for dataset in summary.standing.index.unique(0) if len(summary.standing) else ():
        stands = summary.standing.loc[dataset].rename(columns={"accuracy": "robust"})
        spent = summary.costs.loc[dataset]
        one = summary.plain.loc[dataset]
        clean = one[one.index.get_level_values("attack") == CLEAN].droplevel("attack")
        first = stands.iloc[0]
        count, eps, pictures = int(first["attacks"]), first["eps"], int(first["pictures"])
        attacks = f"{count} attacks" if count > 1 else "one attack"
        title = f"{dataset_title(str(dataset))}\n{attacks} at {eps:g}/255, {pictures:,} pictures"
        found[str(dataset)] = (
            title,
            stands.assign(
                clean=clean["accuracy"],
                clean_low=clean["low"],
                clean_high=clean["high"],
                passes=spent["forward"] + spent["backward"],
            ),
        )
    return found


@dataclass(frozen=True)
class Chart:
    """A figure, and of which data set each of its axes is."""

    figure: Figure
    datasets: list[str]


def curve_chart(summary: Summary, paper: Paper = WHITE) -> Chart | None:
    """Accuracy against eps; None where no row met enough sizes of eps, see tables.curves."""
    if not len(lines := curves(summary.plain)):
        return None
    here = lines.index.unique("dataset")
    lines = lines.reindex([key for key in summary.datasets if key in here], level="dataset")
    titled = lines.rename(index=dataset_title, level="dataset")
    each = lines.index.droplevel(["defense", "eps"]).unique()
    return Chart(curve_figure(titled, paper), [str(dataset) for dataset, _ in each])


def charts(summary: Summary, paper: Paper = WHITE) -> dict[str, Chart]:
    """All that the records allow, by their name in CAPTIONS."""
    made, sets = {}, tradeoffs(summary)
    for name, shown in (("cost", COST), ("robust", ROBUST)):
        whole = {key: row for key, row in sets.items() if row[1][shown.x].notna().all()}
        if whole:
            made[name] = Chart(tradeoff_figure(list(whole.values()), shown, title_of, paper), list(whole))
    if over_eps := curve_chart(summary, paper):
        made["curves"] = over_eps
    return made | {
        "accuracy": Chart(drawn(summary.plain, paper), list(summary.plain.index.unique("dataset")))
    }
