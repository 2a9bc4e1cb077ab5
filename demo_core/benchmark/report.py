"""A run's tables as text, and beside them what papers printed. Whatever stands in a table is computed from
records alone."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pandas as pd

from demo_core.benchmark.answers import answers_of
from demo_core.benchmark.checks import Finding, checked, findings
from demo_core.benchmark.piles import departures_in
from demo_core.benchmark.records import LEFT_OUT_OF, Settings, read_records
from demo_core.benchmark.run import PRECISIONS
from demo_core.benchmark.summary import BARE, Summary
from demo_core.benchmark.tables import UNIT, WORST, dataset_title, datasets_of, in_table_order
from demo_core.benchmark.trials import attack_title
from demo_core.defenses import in_order, title_of
from demo_core.models import ATTACKERS_FILE, MODELS, RECORDS_FILE, folder_of

CHECKED = "Signs of masked gradients; empty where the records do not tell:"
FEWER = "On fewer pictures: attackers who know the defence, and other sizes of attack."
PAIRED = (
    "Differences in points, on the pictures that both defences met (in brackets the 95 % interval of a paired"
    " difference, by Newcombe):"
)
NOTHING_PUBLISHED = (
    "No paper printed a figure for what was run here: for a comparison the model, eps, the attack and its"
    " steps must be a paper’s."
)


def cell(row: pd.Series, best: bool = False) -> str:
    """An accuracy, in Markdown's bold where it is of the best, with both ends of its interval, in percent."""
    accuracy = f"{row['accuracy']:.1f}"
    return f"{f'**{accuracy}**' if best else accuracy} ({row['low']:.1f}–{row['high']:.1f})"


def difference_cell(row: pd.Series) -> str:
    """A difference of accuracies with both ends of its interval, in points."""
    return f"{row['difference']:+.1f} ({row['low']:+.1f} to {row['high']:+.1f})".replace("-", "−")


def accuracies(summary: Summary, dataset: str) -> pd.DataFrame:
    """One data set's accuracies as text: a row an attack, the last the worst of all attacks of an eps; a
    column a defence, the first how many pictures there are; in percent with both ends of their intervals."""
    found = summary.found.loc[[dataset]]
    wide = _wide(_texts(found, summary))
    pictures = found["pictures"].groupby("attack").min().map("{:,}".format)
    wide.insert(0, "how many", pictures.reindex(wide.index))
    return wide.rename(index=title_of_attack)


def averages(summary: Summary) -> pd.DataFrame:
    """The means over data sets as text: a row an attack, a column a defence; empty where there is one data
    set."""
    if summary.means.empty:
        return pd.DataFrame()
    return _wide(_texts(summary.means, summary)).rename(index=title_of_attack)


def differences(summary: Summary, dataset: str, other: str = BARE) -> pd.DataFrame:
    """How many points each defence is right more often than the other, on the pictures that both met, as
    text: a row an attack, a column a defence. Empty where the other is not there. dataset: one of the
    records', or that of the means."""
    place = summary.compared.index
    kept = (place.get_level_values("dataset") == dataset) & (place.get_level_values("other") == other)
    if not kept.any():
        return pd.DataFrame()
    mine = summary.compared[kept].droplevel("other")
    return _wide(mine.apply(difference_cell, axis=1)).rename(index=title_of_attack)


def _texts(found: pd.DataFrame, summary: Summary) -> pd.Series:
    """Accuracies as text."""
    texts = [cell(row, key in summary.best) for key, row in found.iterrows()]
    return pd.Series(texts, found.index, dtype=object)


def _wide(texts: pd.Series) -> pd.DataFrame:
    """Texts by (data set, defence, attack), of one data set, as a table in the order of the tables; empty
    cells stay empty."""
    wide = texts.droplevel("dataset").unstack("defense")
    wide = wide.reindex(index=in_table_order(wide.index), columns=in_order(wide.columns))
    return wide.rename(columns=title_of).fillna("")


def title_of_attack(key: str) -> str:
    """An attack, or the worst of all, in words."""
    return f"the worst of all at {key.split('@')[1]}/255" if key.startswith(WORST) else attack_title(key)


def costs(summary: Summary, dataset: str) -> pd.DataFrame:
    """What a defence costs for one attacked picture, as text: passes through the image tower, and
    milliseconds."""
    mine = summary.costs.loc[dataset]
    mean = mine.reindex(in_order(mine.index))
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
    return tables_of(Summary(records))


def tables_of(summary: Summary) -> str:
    parts, several = [], len(summary.datasets) > 1
    for dataset in summary.datasets:
        both = pd.concat([accuracies(summary, dataset), costs(summary, dataset)]).fillna("")
        parts.append((f"**{dataset_title(dataset)}**\n\n" if several else "") + tabulated(both, "pictures"))
        if len((signs := checked(summary.answers_to(dataset))).columns):
            parts.append(f"{CHECKED}\n\n{tabulated(signs, 'what should not be')}")
    if len(means := averages(summary)):
        title = f"**Mean over {len(summary.datasets)} data sets**"
        parts.append(f"{title}\n\n{tabulated(means, 'pictures')}")
    return "\n\n".join(parts)


def paired_markdown(summary: Summary, other: str = BARE) -> str:
    """The differences to another defence, data set by data set; empty where it is not there."""
    tables = {
        dataset: differences(summary, dataset, other) for dataset in summary.compared.index.unique("dataset")
    }
    parts = [
        f"**{dataset_title(dataset)}, beside {title_of(other)}**\n\n{tabulated(frame, 'pictures')}"
        for dataset, frame in tables.items()
        if len(frame)
    ]
    return "\n\n".join([PAIRED, *parts]) if parts else ""


def marks(key: str) -> dict[str, Finding]:
    """What the checks say of each defence on a model of the table, on the set with the most pictures; nothing
    where no records come with it."""
    records = shipped(key)
    if records is None or records.empty:
        return {}
    largest = records.groupby("dataset", observed=True)["index"].nunique().idxmax()
    return {
        finding.defense: finding for finding in findings(answers_of(records[records["dataset"] == largest]))
    }


def shipped(key: str, file: str = RECORDS_FILE) -> pd.DataFrame | None:
    """The records that come with a model of the table; file: RECORDS_FILE or ATTACKERS_FILE."""
    path = folder_of(key) / file
    return read_records(path) if path.exists() else None


@lru_cache
def shipped_markdown(key: str) -> str:
    """Their tables; empty where there are none."""
    parts = [
        markdown(records)
        for file in (RECORDS_FILE, ATTACKERS_FILE)
        if (records := shipped(key, file)) is not None
    ]
    return f"\n\n{FEWER}\n\n".join(parts)


def published_markdown(beside: pd.DataFrame) -> str:
    """published.against_published as Markdown."""
    if beside.empty:
        return NOTHING_PUBLISHED
    return tabulated(beside.set_index("dataset").astype(str), "dataset")


def heading(records: pd.DataFrame, settings: Settings) -> str:
    """What tables are of: the data sets, the model and the settings, and the unit. settings: the records'
    settings_of."""
    subject, made = said_of(records, settings)
    return f"**{subject}.** {made} {UNIT}"


def said_of(records: pd.DataFrame, settings: Settings) -> tuple[str, str]:
    """The data sets and the model; how it was run."""
    names, fixed = ", ".join(map(dataset_title, datasets_of(records))), settings["fixed"]
    title = MODELS[fixed["model"]].title if fixed["model"] in MODELS else fixed["model"]
    return f"{names}: {title}", how(fixed) + _left_out(settings)


def how(fixed: Mapping[str, Any]) -> str:
    """In what is run, and what is not the paper's way. fixed: the "fixed" settings of records."""
    precision = PRECISIONS.get(fixed["precision"], str(fixed["precision"]))
    return f"Seed {fixed['seed']}, {'; '.join([precision, *departures_in(fixed)])}."


def _left_out(settings: Settings) -> str:
    """Of pictures that were left out, as they could not be read; older records count them with the data
    set."""
    rows = settings.get("datasets", {}).items()
    counts = {key: len(settings.get(LEFT_OUT_OF + key, ())) or row.get("left out", 0) for key, row in rows}
    said = [f"{count:,} of {dataset_title(key)}" for key, count in counts.items() if count]
    return f" Left out, as they could not be read: {', '.join(said)}." if said else ""
