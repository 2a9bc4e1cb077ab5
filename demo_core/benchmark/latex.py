"""The tables of a run for a paper: LaTeX that needs the package booktabs alone."""

from __future__ import annotations

import re

import pandas as pd

from demo_core.benchmark.report import title_of_attack
from demo_core.benchmark.summary import Summary
from demo_core.benchmark.tables import BOLD, dataset_title, in_table_order
from demo_core.defenses import in_order, title_of

HEAD = r"""\begin{table*}[t]
\centering\footnotesize\setlength{\tabcolsep}{4pt}
\caption{%s}
\begin{tabular}{@{}l%s@{}}
\toprule
"""
FOOT = r"""\bottomrule
\end{tabular}
\end{table*}
"""
CAPTION = (
    f"%s. Accuracy in percent with its 95 %% interval (Wilson); {BOLD}, by the interval of a paired"
    " difference (Newcombe)."
)
_WRITTEN = {**{mark: f"\\{mark}" for mark in "&%$#_{}"}, "\\": r"\textbackslash{}", "~": r"\textasciitilde{}"}
_WRITTEN |= {"^": r"\textasciicircum{}", "–": "--", "’": "'", "“": "``", "”": "''"}
_SPECIAL = re.compile("|".join(map(re.escape, _WRITTEN)))


def escaped(text: str) -> str:
    """Any text as LaTeX sets it."""
    return _SPECIAL.sub(lambda found: _WRITTEN[found[0]], text)


def latex(summary: Summary) -> str:
    """The accuracies of each data set, and their means over data sets: a row a defence, a column an attack.
    For \\usepackage{booktabs}."""
    parts = [
        _table(dataset_title(name), summary.found.loc[[name]], summary.best) for name in summary.datasets
    ]
    if len(summary.means):
        name = str(summary.means.index[0][0])
        parts.append(_table(dataset_title(name), summary.means, summary.best))
    return "\n".join(parts)


def _table(title: str, found: pd.DataFrame, best: set[tuple[str, str, str]]) -> str:
    attacks = in_table_order(found.index.unique("attack"))
    cells = {(key[1], key[2]): _cell(row, key in best) for key, row in zip(found.index, found.itertuples())}
    lines = [
        " & ".join([escaped(title_of(defense)), *(cells.get((defense, attack), "") for attack in attacks)])
        for defense in in_order(found.index.get_level_values("defense"))
    ]
    pictures = found["pictures"].groupby("attack").min()
    counts = " & ".join(["pictures", *(f"{pictures[attack]:,}" for attack in attacks)])
    rows = [*_head(attacks), r"\midrule", *(f"{line} \\\\" for line in lines), r"\midrule", f"{counts} \\\\"]
    return HEAD % (escaped(CAPTION % title), "c" * len(attacks)) + "\n".join(rows) + "\n" + FOOT


def _cell(row: object, is_best: bool) -> str:
    """A named tuple of a `table`: an accuracy, and smaller the ends of its interval."""
    accuracy, low, high = (getattr(row, name) for name in ("accuracy", "low", "high"))
    value = rf"\textbf{{{accuracy:.1f}}}" if is_best else f"{accuracy:.1f}"
    return rf"{value} {{\tiny {low:.1f}--{high:.1f}}}"


def _head(attacks: list[str]) -> list[str]:
    """The attacks above their columns, each on as many short lines as it takes."""
    titles = [re.split(r", | (?=from )|; | (?=at )", title_of_attack(attack)) for attack in attacks]
    depth = max(map(len, titles))
    padded = [[""] * (depth - len(title)) + title for title in titles]
    return [" & ".join(["", *map(escaped, line)]) + r" \\" for line in zip(*padded)]
