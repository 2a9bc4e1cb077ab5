"""Tables and figures from records: accuracies with their intervals, what defences cost, and how far a run is
from what papers printed. Whatever stands in a table is computed from records alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.stats import binom, binomtest

from demo_core.attacks import ATTACKS
from demo_core.benchmark import (
    CLEAN,
    PRECISIONS,
    SETTINGS_FILE,
    Trial,
    default_trials,
    read_records,
    settings_of,
)
from demo_core.datasets import DATASETS, PAPERS
from demo_core.defenses import DEFENSES, in_order, title_of
from demo_core.models import ASSETS, MODELS, RECORDS_FILE, folder_of
from demo_core.plots import accuracy_figure

WORST, AVERAGE = "worst", "average"
PUBLISHED = ASSETS / "published" / "results.csv"
# Rows of DEFENSES and ATTACKS as the published table names them.
PUBLISHED_DEFENSES = {"rn": "random-noise", "anti_adversary": "anti-adversary"}
PUBLISHED_MODEL = "vit-b-32"
COSTS = ["forward", "backward", "milliseconds"]


def table(records: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in percent with the ends of its bootstrap 95 % interval (of the exact one, Clopper and
    Pearson's, where answers are all right or all wrong), passes and milliseconds a picture, for every data
    set, defence and attack."""

    def summarise(group: pd.DataFrame) -> pd.Series:
        right = (group["predicted"] == group["label"]).to_numpy(float) * 100
        # Resampled means of noughts and ones are binomial: this is the percentile bootstrap with endless
        # resamples.
        low, high = binom.ppf((0.025, 0.975), len(right), right.mean() / 100) / len(right) * 100
        if (
            low == high
        ):  # all answers alike: resamples say nothing of what was not met; the exact interval does
            low, high = binomtest(int(right.sum() / 100), len(right)).proportion_ci(0.95) * np.array(100)
        return pd.Series(
            {
                "accuracy": right.mean(),
                "low": low,
                "high": high,
                "pictures": len(group),
                **group[COSTS].mean(),
            }
        )

    return records.groupby(["dataset", "defense", "attack"], sort=False)[[*records.columns]].apply(summarise)


def worst_cases(records: pd.DataFrame) -> pd.DataFrame:
    """Records of one more attack for each data set and eps: the attacker who has all attacks of that eps from
    the true label, and takes whichever fools the defence. Only for the pictures that met them all, under each
    defence."""
    found = [records.iloc[:0]]
    trials = {attack: Trial.read(attack) for attack in records["attack"].unique()}
    for dataset, eps in {(d, trials[a].eps) for d, a in zip(records["dataset"], records["attack"])}:
        names = [
            n
            for n in records.loc[records["dataset"] == dataset, "attack"].unique()
            if trials[n].eps == eps and not trials[n].predicted
        ]
        if len(names) < 2:
            continue
        mine = records[records["attack"].isin(names) & (records["dataset"] == dataset)]
        met = mine.groupby(["defense", "index"])["attack"].transform("nunique")
        wrong_first = (
            mine[met == len(names)].assign(right=lambda r: r["predicted"] == r["label"]).sort_values("right")
        )
        found.append(
            wrong_first.drop_duplicates(["defense", "index"])
            .drop(columns="right")
            .assign(attack=f"{WORST}@{eps:g}")
        )
    return pd.concat(found)


def in_table_order(attacks: Iterable[str]) -> list[str]:
    """Attacks as the default ones stand, then others, then the worst of all."""
    order = {str(t): i for i, t in enumerate(default_trials())}
    return sorted(attacks, key=lambda a: (a.startswith(WORST), order.get(a, len(order)), a))


def accuracies(records: pd.DataFrame) -> pd.DataFrame:
    """One data set's accuracies as text: a row an attack, the last the worst of all attacks of an eps; a
    column a defence, the first how many pictures there are; in percent with half the 95 % interval."""
    found = table(pd.concat([records, worst_cases(records)])).droplevel("dataset")
    rows = {}
    for attack in in_table_order(found.index.unique("attack")):
        mine = found.xs(attack, level="attack")
        title = (
            f"the worst of all at {attack.split('@')[1]}/255"
            if attack.startswith(WORST)
            else Trial.read(attack).title
        )
        rows[title] = {"how many": f"{int(mine['pictures'].min()):,}"} | {
            title_of(
                key
            ): f"{mine.loc[key, 'accuracy']:.1f} ± {(mine.loc[key, 'high'] - mine.loc[key, 'low']) / 2:.1f}"
            if key in mine.index
            else ""
            for key in in_order(records["defense"])
        }
    return pd.DataFrame.from_dict(rows, orient="index")


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


def mean_table(found: pd.DataFrame) -> pd.DataFrame:
    """Of a `table`, its rows over data sets: for each defence and attack that met all of them, the mean in
    which every data set weighs the same, with its 95 % interval (data sets err independently of each other).
    Empty where there is one data set."""
    datasets = found.index.unique("dataset")
    met = found.groupby(["defense", "attack"], sort=False).filter(
        lambda group: len(group) == len(datasets) > 1
    )
    if met.empty:
        return met
    by = met.assign(squared=((met["high"] - met["low"]) / 2) ** 2).groupby(["defense", "attack"], sort=False)
    mean, half = by[["accuracy", *COSTS]].mean(), by["squared"].sum() ** 0.5 / len(datasets)
    mean = mean.assign(
        low=(mean["accuracy"] - half).clip(0),
        high=(mean["accuracy"] + half).clip(upper=100),
        pictures=by["pictures"].sum(),
    )
    key = (
        f"{AVERAGE}-{len(datasets)}" if set(datasets) == set(PAPERS) else AVERAGE
    )  # as the published table calls it
    return pd.concat({key: mean[found.columns]}, names=["dataset"])


def averages(records: pd.DataFrame) -> pd.DataFrame:
    """mean_table of records as text: a row an attack, a column a defence; empty where there is one data
    set."""
    found = mean_table(table(records)) if records["dataset"].nunique() > 1 else pd.DataFrame()
    if found.empty:
        return found
    text = (
        found["accuracy"].map("{:.1f}".format)
        + " ± "
        + ((found["high"] - found["low"]) / 2).map("{:.1f}".format)
    ).droplevel("dataset")
    wide = text.unstack("defense").reindex(
        index=in_table_order(text.index.unique("attack")),
        columns=[key for key in in_order(records["defense"]) if key in text.index.unique("defense")],
    )
    return wide.rename(columns=title_of, index=lambda attack: Trial.read(attack).title).fillna("")


def dataset_title(key: str) -> str:
    if key.startswith(AVERAGE):
        return "Mean over the data sets"
    return DATASETS[key].title if key in DATASETS else Path(key).name


def _lines(frame: pd.DataFrame, corner: str) -> str:
    """A frame of text as a Markdown table."""
    lines = [f"| {corner} | " + " | ".join(frame.columns) + " |", "|---" * (1 + len(frame.columns)) + "|"]
    return "\n".join(
        [
            *lines,
            *(f"| {name} | " + " | ".join(row) + " |" for name, row in zip(frame.index, frame.to_numpy())),
        ]
    )


def markdown(records: pd.DataFrame) -> str:
    """All tables: for each data set accuracies and costs, and the averages where there are several."""
    parts = []
    several = records["dataset"].nunique() > 1
    for dataset, mine in records.groupby("dataset", sort=False):
        both = pd.concat([accuracies(mine), costs(mine)]).fillna("")
        parts.append((f"**{dataset_title(dataset)}**\n\n" if several else "") + _lines(both, "pictures"))
    if len(means := averages(records)):
        parts.append(
            f"**Mean over {records['dataset'].nunique()} data sets**\n\n" + _lines(means, "pictures")
        )
    return "\n\n".join(parts)


def shipped(key: str) -> pd.DataFrame | None:
    """The records that come with a model of the table."""
    path = folder_of(key) / RECORDS_FILE
    return pd.read_csv(path, keep_default_na=False) if path.exists() else None


@lru_cache
def shipped_markdown(key: str) -> str:
    """Their tables; empty where there are none."""
    records = shipped(key)
    return "" if records is None else markdown(records)


def latex(records: pd.DataFrame) -> str:
    """The accuracies of each data set, and their means, as LaTeX (booktabs)."""
    tables = [
        (dataset_title(dataset), accuracies(mine)) for dataset, mine in records.groupby("dataset", sort=False)
    ]
    if len(means := averages(records)):
        tables.append((dataset_title(AVERAGE), means))
    return "\n\n".join(
        frame.to_latex(escape=True, caption=re.sub(r"([&%$#_{}])", r"\\\1", title)) for title, frame in tables
    )


def published() -> pd.DataFrame:
    """What papers printed: dataset, defense, attack, eps_255, attack_steps, clean_acc, robust_acc, source,
    note."""
    return pd.read_csv(PUBLISHED, keep_default_na=False, na_values=[""]).fillna({"note": ""})


def published_titles() -> pd.DataFrame:
    """The same in words, for a screen."""
    ours = {theirs: key for key, theirs in PUBLISHED_DEFENSES.items()}
    attacks = {"bpda": "BPDA"} | {key: row.title for key, row in ATTACKS.items()}
    found = published().assign(
        defense=lambda f: f["defense"].map(lambda name: title_of(ours.get(name, name))),
        attack=lambda f: f["attack"].map(lambda name: attacks.get(name, name)),
        dataset=lambda f: f["dataset"].str.replace("average-", "Mean over "),
    )
    return found.set_axis(
        ["data set", "defence", "attack", "eps, /255", "attack steps", "clean", "attacked", "source", "note"],
        axis=1,
    )


def against_published(records: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """A row for each published figure that the records have a counterpart of: ours, theirs, the difference in
    points, the source, and why the two cannot be compared, where they cannot. settings: those of the run."""
    printed, found = published(), table(records)
    found = pd.concat([found, mean_table(found)])
    known = {trial: Trial.read(trial) for trial in records["attack"].unique()}
    rows = []
    for (dataset, defense, attack), mine in found.iterrows():
        trial = known[attack]
        if trial.attack == CLEAN:
            theirs = printed[printed["clean_acc"].notna()].drop_duplicates(
                ["dataset", "defense", "clean_acc"]
            )
        else:
            name = "bpda" if trial.adaptive else trial.attack
            theirs = printed[(printed["attack"] == name) & (printed["eps_255"] == trial.eps)]
        departs = DEFENSES[defense].departs if defense in DEFENSES else ""
        theirs = theirs[
            (theirs["dataset"] == dataset) & (theirs["defense"] == PUBLISHED_DEFENSES.get(defense, defense))
        ]
        behind = PAPERS if dataset.startswith(AVERAGE) else [dataset]
        whole = (
            sum(DATASETS[key].pictures for key in behind) if len(theirs) else 0
        )  # officially; on a disk may lie a part of it
        for _, row in theirs.iterrows():
            value = row["clean_acc" if trial.attack == CLEAN else "robust_acc"]
            reasons = [
                text
                for text, is_so in (
                    (
                        f"the model is {settings['model']}, not OpenAI’s ViT-B/32",
                        settings["model"] != PUBLISHED_MODEL,
                    ),
                    ("the attack starts from the predicted label", trial.predicted),
                    (
                        f"{trial.steps} steps instead of {row['attack_steps']}",
                        trial.attack != CLEAN and trial.steps != row["attack_steps"],
                    ),
                    (
                        "the attacker here keeps what does most of the plain attack, BPDA and the unrolled one",
                        trial.adaptive,
                    ),
                    (f"{int(mine['pictures']):,} of {whole:,} pictures", mine["pictures"] < whole),
                    (
                        PRECISIONS.get(settings["precision"], settings["precision"]),
                        settings["precision"] != "float32",
                    ),
                    *(
                        (
                            f"{DATASETS[key].title}: {DATASETS[key].departs}",
                            key in DATASETS and DATASETS[key].departs,
                        )
                        for key in behind
                    ),
                    (f"our {title_of(defense)}: {departs}", departs),
                    (f"theirs: {row['note']}", row["note"]),
                )
                if is_so
            ]
            rows.append(
                {
                    "dataset": dataset_title(dataset),
                    "defence": title_of(defense),
                    "attack": trial.title,
                    "here": round(mine["accuracy"], 2),
                    "published": value,
                    "difference": round(mine["accuracy"] - value, 2),
                    "source": row["source"],
                    "not comparable, because": "; ".join(reasons),
                }
            )
    columns = [
        "dataset",
        "defence",
        "attack",
        "here",
        "published",
        "difference",
        "source",
        "not comparable, because",
    ]
    return pd.DataFrame(rows, columns=columns)


def beside_published(records: pd.DataFrame, known: dict | None) -> str:
    """against_published as Markdown, or why there is nothing to show. known: the folder's settings_of."""
    if known is None:
        return f"Nothing is compared with what papers printed: without the run’s {SETTINGS_FILE} it is not known what was run."
    found = against_published(records, known["fixed"] | {"datasets": known["datasets"]})
    return (
        _lines(found.set_index("dataset").astype(str), "dataset")
        if len(found)
        else "No paper printed a figure for what was run here."
    )


def drawn(found: pd.DataFrame) -> Figure:
    """`table` as a figure."""
    order = {attack: i for i, attack in enumerate(in_table_order(found.index.unique("attack")))}
    found = found.rename(index=dataset_title, level="dataset").sort_index(
        level="attack", key=lambda a: a.map(order), sort_remaining=False
    )
    return accuracy_figure(found, lambda attack: Trial.read(attack).title)


UNIT = "Accuracy in percent, ± half the bootstrap 95 % interval (the exact one where answers are all right or all wrong)."


def heading(records: pd.DataFrame, known: dict | None) -> str:
    """What a folder's tables are of: the data sets, the model and the settings, and the unit. known: its
    settings_of."""
    names = ", ".join(map(dataset_title, records["dataset"].unique()))
    if known is None:
        return f"**{names}.** {UNIT}"
    fixed = known["fixed"]
    title = MODELS[fixed["model"]].title if fixed["model"] in MODELS else fixed["model"]
    return f"**{names}: {title}**, seed {fixed.get('seed')}, {PRECISIONS.get(fixed['precision'], fixed['precision'])}. {UNIT}"


def write(folder: Path) -> list[Path]:
    """The report of a folder of records, into the folder: tables as Markdown, CSV and LaTeX, a figure, and
    the comparison with what papers printed. The files written."""
    records, known = read_records(folder), settings_of(folder)
    found = table(records)
    texts = {
        "table.md": f"{heading(records, known)}\n\n{markdown(records)}\n",
        "table.csv": pd.concat([found, mean_table(found)]).reset_index().to_csv(index=False),
        "table.tex": latex(records),
        "published.md": beside_published(records, known) + "\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    figure, pictures = drawn(found), ("accuracy.svg", "accuracy.png")
    for name in pictures:
        figure.savefig(folder / name)
    return [folder / name for name in (*texts, *pictures)]
