"""The report of a run: its tables as text, LaTeX and a figure, and beside them what papers printed. Whatever
stands in a table is computed from records alone."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from demo_core.benchmark.checks import Finding, checked, findings
from demo_core.benchmark.piles import departures_in
from demo_core.benchmark.published import against_published
from demo_core.benchmark.records import Settings, read_records, settings_of
from demo_core.benchmark.run import PRECISIONS
from demo_core.benchmark.tables import (
    AVERAGE,
    COSTS,
    UNIT,
    WORST,
    curves,
    dataset_title,
    datasets_of,
    in_table_order,
    mean_table,
    table,
    worst_cases,
)
from demo_core.benchmark.trials import CLEAN, attack_title
from demo_core.defenses import in_order, title_of
from demo_core.models import MODELS, RECORDS_FILE, folder_of
from demo_core.plots import accuracy_figure, curve_figure

CHECKED = "Signs of masked gradients; empty where the records do not tell:"


def cell(row: pd.Series) -> str:
    """An accuracy with both ends of its interval, in percent."""
    return f"{row['accuracy']:.1f} ({row['low']:.1f}–{row['high']:.1f})"


def accuracies(records: pd.DataFrame) -> pd.DataFrame:
    """One data set's accuracies as text: a row an attack, the last the worst of all attacks of an eps; a
    column a defence, the first how many pictures there are; in percent with both ends of their intervals."""
    found = table(pd.concat([records, worst_cases(records)])).droplevel("dataset")
    wide = _wide(found, records)
    pictures = found["pictures"].groupby("attack").min().map("{:,}".format)
    wide.insert(0, "how many", pictures.reindex(wide.index))
    return wide.rename(index=title_of_attack)


def averages(records: pd.DataFrame) -> pd.DataFrame:
    """mean_table of records as text: a row an attack, a column a defence; empty where there is one data
    set."""
    found = mean_table(table(records)) if records["dataset"].nunique() > 1 else pd.DataFrame()
    return found if found.empty else _wide(found.droplevel("dataset"), records).rename(index=title_of_attack)


def _wide(found: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """Of rows by defence and attack a table of text, in the order of the tables; empty cells stay empty."""
    wide = found.apply(cell, axis=1).unstack("defense")
    defenses = [key for key in in_order(records["defense"]) if key in wide.columns]
    wide = wide.reindex(index=in_table_order(wide.index), columns=defenses)
    return wide.rename(columns=title_of).fillna("")


def title_of_attack(key: str) -> str:
    """An attack, or the worst of all, in words."""
    return f"the worst of all at {key.split('@')[1]}/255" if key.startswith(WORST) else attack_title(key)


def costs(records: pd.DataFrame) -> pd.DataFrame:
    """What a defence costs for one attacked picture, as text: passes through the image tower, and
    milliseconds."""
    attacked = records[records["attack"] != CLEAN] if records["attack"].nunique() > 1 else records
    mean = (
        attacked.groupby("defense")[COSTS].mean().reindex(in_order(records["defense"]))
    )  # of some, only clean records may be there yet
    rows = {
        "*passes a picture, forward + backward*": [
            f"{forward:.1f} + {backward:.1f}" for forward, backward in zip(mean["forward"], mean["backward"])
        ],
        "*milliseconds a picture, in a batch*": [
            f"{milliseconds:.1f}" for milliseconds in mean["milliseconds"]
        ],
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[title_of(key) for key in mean.index])
    return frame.mask(frame.map(lambda text: "nan" in text), "")


def tabulated(frame: pd.DataFrame, corner: str) -> str:
    """A frame of text as a Markdown table, its index first, under the words in the corner."""
    return frame.rename_axis(corner).to_markdown(disable_numparse=True)


def markdown(records: pd.DataFrame) -> str:
    """All tables: for each data set accuracies and costs, and the averages where there are several."""
    parts, several = [], records["dataset"].nunique() > 1
    for dataset in datasets_of(records):
        mine = records[records["dataset"] == dataset]
        both = pd.concat([accuracies(mine), costs(mine)]).fillna("")
        parts.append((f"**{dataset_title(dataset)}**\n\n" if several else "") + tabulated(both, "pictures"))
        if len((signs := checked(mine)).columns):
            parts.append(f"{CHECKED}\n\n{tabulated(signs, 'what should not be')}")
    if len(means := averages(records)):
        title = f"**Mean over {records['dataset'].nunique()} data sets**"
        parts.append(f"{title}\n\n{tabulated(means, 'pictures')}")
    return "\n\n".join(parts)


def marks(key: str) -> dict[str, Finding]:
    """What the checks say of each defence on a model of the table, on the set with the most pictures; nothing
    where no records come with it."""
    records = shipped(key)
    if records is None or records.empty:
        return {}
    largest = records.groupby("dataset")["index"].nunique().idxmax()
    return {finding.defense: finding for finding in findings(records[records["dataset"] == largest])}


def shipped(key: str) -> pd.DataFrame | None:
    """The records that come with a model of the table."""
    path = folder_of(key) / RECORDS_FILE
    return read_records(path) if path.exists() else None


@lru_cache
def shipped_markdown(key: str) -> str:
    """Their tables; empty where there are none."""
    records = shipped(key)
    return "" if records is None else markdown(records)


def latex(records: pd.DataFrame) -> str:
    """The accuracies of each data set, and their means, as LaTeX (booktabs)."""
    tables = [
        (dataset_title(dataset), accuracies(records[records["dataset"] == dataset]))
        for dataset in datasets_of(records)
    ]
    if len(means := averages(records)):
        tables.append((dataset_title(AVERAGE), means))
    return "\n\n".join(
        frame.to_latex(escape=True, caption=re.sub(r"([&%$#_{}])", r"\\\1", title)) for title, frame in tables
    )


def beside_published(records: pd.DataFrame, settings: Settings) -> str:
    """against_published as Markdown. settings: the records' settings_of."""
    found = against_published(records, settings["fixed"])
    if found.empty:
        return "No paper printed a figure for what was run here."
    return tabulated(found.set_index("dataset").astype(str), "dataset")


def drawn(found: pd.DataFrame) -> Figure:
    """`table` as a figure."""
    order = {attack: i for i, attack in enumerate(in_table_order(found.index.unique("attack")))}
    found = found.rename(index=dataset_title, level="dataset").sort_index(
        level="attack", key=lambda a: a.map(order), sort_remaining=False
    )
    return accuracy_figure(found, attack_title)


def heading(records: pd.DataFrame, settings: Settings) -> str:
    """What tables are of: the data sets, the model and the settings, and the unit. settings: the records'
    settings_of."""
    names, fixed = ", ".join(map(dataset_title, datasets_of(records))), settings["fixed"]
    title = MODELS[fixed["model"]].title if fixed["model"] in MODELS else fixed["model"]
    precision = PRECISIONS.get(fixed["precision"], str(fixed["precision"]))
    how = "; ".join([precision, *departures_in(fixed)])
    return f"**{names}: {title}**, seed {fixed['seed']}, {how}. {UNIT}{_left_out(settings)}"


def _left_out(settings: Settings) -> str:
    """Of pictures that were left out, as they could not be read."""
    counts = {key: row.get("left out", 0) for key, row in settings.get("datasets", {}).items()}
    said = [f"{count:,} of {dataset_title(key)}" for key, count in counts.items() if count]
    return f" Left out, as they could not be read: {', '.join(said)}." if said else ""


def write(folder: Path) -> list[Path]:
    """The report of a folder of records, into the folder: tables as Markdown, CSV and LaTeX, a figure, and
    the comparison with what papers printed. The files written."""
    records, settings = read_records(folder), settings_of(folder)
    found = table(records)
    texts = {
        "table.md": f"{heading(records, settings)}\n\n{markdown(records)}\n",
        "table.csv": pd.concat([found, mean_table(found)]).reset_index().to_csv(index=False),
        "table.tex": latex(records),
        "published.md": beside_published(records, settings) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    figures = {"accuracy": drawn(found)}
    if len(lines := curves(records)):
        figures["curves"] = curve_figure(lines.rename(index=dataset_title, level="dataset"))
    pictures = {f"{name}.{kind}": figure for name, figure in figures.items() for kind in ("svg", "png")}
    for name, figure in pictures.items():
        figure.savefig(folder / name)
    return [folder / name for name in (*texts, *pictures)]
