"""Tables and figures from records: accuracies with their intervals, what defences cost, and how far a run is from what
papers printed. Whatever stands in a table is computed from records alone."""
from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pandas as pd
from scipy.stats import binom

from demo_core.benchmark import CLEAN, Trial, default_trials, read_records
from demo_core.clip import ASSETS, MODELS, RECORDS
from demo_core.datasets import DATASETS
from demo_core.defenses import DEFENSES, in_order, title_of
from demo_core.plots import accuracy_figure

WORST, AVERAGE = "worst", "average"
PUBLISHED = ASSETS / "published" / "results.csv"
# Rows of DEFENSES and ATTACKS as the published table names them.
PUBLISHED_DEFENSES = {"rn": "random-noise", "anti_adversary": "anti-adversary"}
PUBLISHED_MODEL = "vit-b-32"
COSTS = ["forward", "backward", "milliseconds"]


def table(records: pd.DataFrame) -> pd.DataFrame:
    """Accuracy in percent with the ends of its bootstrap 95 % interval, passes and milliseconds a picture, for every
    data set, defence and attack."""
    def summarise(group: pd.DataFrame) -> pd.Series:
        right = (group["predicted"] == group["label"]).to_numpy(float) * 100
        # Resampled means of noughts and ones are binomial: this is the percentile bootstrap with endless resamples.
        low, high = binom.ppf((0.025, 0.975), len(right), right.mean() / 100) / len(right) * 100
        return pd.Series({"accuracy": right.mean(), "low": low, "high": high, "pictures": len(group), **group[COSTS].mean()})

    return records.groupby(["dataset", "defense", "attack"], sort=False)[[*records.columns]].apply(summarise)


def worst_cases(records: pd.DataFrame) -> pd.DataFrame:
    """Records of one more attack for each data set and eps: the attacker who has all attacks of that eps from the true
    label, and takes whichever fools the defence. Only for the pictures that met them all, under each defence."""
    found = [records.iloc[:0]]
    trials = {attack: Trial.read(attack) for attack in records["attack"].unique()}
    for (dataset, eps) in {(d, trials[a].eps) for d, a in zip(records["dataset"], records["attack"])}:
        names = [n for n in records.loc[records["dataset"] == dataset, "attack"].unique()
                 if trials[n].eps == eps and not trials[n].predicted]
        if len(names) < 2:
            continue
        mine = records[records["attack"].isin(names) & (records["dataset"] == dataset)]
        met = mine.groupby(["defense", "index"])["attack"].transform("nunique")
        wrong_first = mine[met == len(names)].assign(right=lambda r: r["predicted"] == r["label"]).sort_values("right")
        found.append(wrong_first.drop_duplicates(["defense", "index"]).drop(columns="right").assign(attack=f"{WORST}@{eps:g}"))
    return pd.concat(found)


def accuracies(records: pd.DataFrame) -> pd.DataFrame:
    """One data set's accuracies as text: a row an attack, the last the worst of all attacks of an eps; a column a defence,
    the first how many pictures there are; in percent with half the 95 % interval."""
    found = table(pd.concat([records, worst_cases(records)])).droplevel("dataset")
    order = {str(t): i for i, t in enumerate(default_trials())}
    attacks = sorted(found.index.unique("attack"), key=lambda a: (a.startswith(WORST), order.get(a, len(order)), a))
    rows = {}
    for attack in attacks:
        mine = found.xs(attack, level="attack")
        title = f"the worst of all at {attack.split('@')[1]}/255" if attack.startswith(WORST) else Trial.read(attack).title
        rows[title] = {"how many": f"{int(mine['pictures'].min()):,}"} | {
            title_of(key): f"{mine.loc[key, 'accuracy']:.1f} ± {(mine.loc[key, 'high'] - mine.loc[key, 'low']) / 2:.1f}"
            if key in mine.index else "" for key in in_order(records["defense"])}
    return pd.DataFrame.from_dict(rows, orient="index")


def costs(records: pd.DataFrame) -> pd.DataFrame:
    """What a defence costs for one attacked picture, as text: passes through the image tower, and milliseconds."""
    attacked = records[records["attack"] != CLEAN] if records["attack"].nunique() > 1 else records
    mean = attacked.groupby("defense")[COSTS].mean().reindex(in_order(records["defense"]))  # of some, only clean records may be there yet
    rows = {"*passes a picture, forward + backward*": [f"{forward:.1f} + {backward:.1f}" for forward, backward in zip(mean["forward"], mean["backward"])],
            "*milliseconds a picture, in a batch*": [f"{milliseconds:.1f}" for milliseconds in mean["milliseconds"]]}
    frame = pd.DataFrame.from_dict(rows, orient="index", columns=[title_of(key) for key in mean.index])
    return frame.mask(frame.map(lambda text: "nan" in text), "")


def averages(records: pd.DataFrame) -> pd.DataFrame:
    """Mean accuracy over data sets, for every attack and defence that met all of them, as text."""
    found = table(records)["accuracy"].unstack("dataset").dropna()
    wide = found.mean(axis=1).unstack("defense")
    wide = wide.reindex(columns=[key for key in in_order(records["defense"]) if key in wide]).rename(columns=title_of)
    return wide.rename(index=lambda attack: Trial.read(attack).title).map(lambda v: "" if pd.isna(v) else f"{v:.1f}")


def dataset_title(key: str) -> str:
    return DATASETS[key].title if key in DATASETS else Path(key).name


def _lines(frame: pd.DataFrame, corner: str) -> str:
    """A frame of text as a Markdown table."""
    lines = [f"| {corner} | " + " | ".join(frame.columns) + " |", "|---" * (1 + len(frame.columns)) + "|"]
    return "\n".join([*lines, *(f"| {name} | " + " | ".join(row) + " |" for name, row in zip(frame.index, frame.to_numpy()))])


def markdown(records: pd.DataFrame) -> str:
    """All tables: for each data set accuracies and costs, and the averages where there are several."""
    parts = []
    several = records["dataset"].nunique() > 1
    for dataset, mine in records.groupby("dataset", sort=False):
        both = pd.concat([accuracies(mine), costs(mine)]).fillna("")
        parts.append((f"**{dataset_title(dataset)}**\n\n" if several else "") + _lines(both, "pictures"))
    if several:
        parts.append(f"**Mean over {records['dataset'].nunique()} data sets**\n\n" + _lines(averages(records), "pictures"))
    return "\n\n".join(parts)


def shipped(key: str) -> dict[str, pd.DataFrame]:
    """The records that come with a model of the table, by what was run for them."""
    folder = MODELS[key].folder
    paths = {ASSETS / folder / name: words for name, words in RECORDS.items()} if folder else {}
    return {words: pd.read_csv(path, keep_default_na=False) for path, words in paths.items() if path.exists()}


@lru_cache
def shipped_markdown(key: str) -> str:
    """Their tables, each under its words; and how far two of them agree on what both have."""
    found = shipped(key)
    parts = [f"*{words}.*\n\n{markdown(records)}" for words, records in found.items()]
    if len(found) == 2:
        both = pd.merge(*found.values(), on=["dataset", "index", "attack", "defense"], suffixes=("", "_other"))
        right = both.assign(one=both["predicted"] == both["label"], other=both["predicted_other"] == both["label"])
        apart = right.groupby(["attack", "defense"])[["one", "other"]].mean().mul(100).diff(axis=1)["other"].abs()
        parts.append(f"Both hold {len(both):,} answers of the same pictures, attacks and defences: {(both['predicted'] == both['predicted_other']).mean():.1%}"
                     f" of them agree, and no accuracy is further apart than {apart.max():.1f} points.")
    return "\n\n".join(parts)


def latex(records: pd.DataFrame) -> str:
    """The accuracies of each data set as LaTeX (booktabs)."""
    return "\n\n".join(accuracies(mine).to_latex(escape=True, caption=dataset_title(dataset))
                       for dataset, mine in records.groupby("dataset", sort=False))


def published() -> pd.DataFrame:
    """What papers printed: dataset, defense, attack, eps_255, attack_steps, clean_acc, robust_acc, source, note."""
    return pd.read_csv(PUBLISHED, keep_default_na=False, na_values=[""]).fillna({"note": ""})


def against_published(records: pd.DataFrame, settings: dict) -> pd.DataFrame:
    """A row for each published figure that the records have a counterpart of: ours, theirs, the difference in points,
    the source, and why the two cannot be compared, where they cannot. settings: those of the run."""
    printed, found = published(), table(records)
    known = {trial: Trial.read(trial) for trial in records["attack"].unique()}
    rows = []
    for (dataset, defense, attack), mine in found.iterrows():
        trial = known[attack]
        if trial.attack == CLEAN:
            theirs = printed[printed["clean_acc"].notna()].drop_duplicates(["dataset", "defense", "clean_acc"])
        else:
            name = "bpda" if trial.adaptive else trial.attack
            theirs = printed[(printed["attack"] == name) & (printed["eps_255"] == trial.eps)]
        departs = DEFENSES[defense].departs if defense in DEFENSES else ""
        theirs = theirs[(theirs["dataset"] == dataset) & (theirs["defense"] == PUBLISHED_DEFENSES.get(defense, defense))]
        for _, row in theirs.iterrows():
            value = row["clean_acc" if trial.attack == CLEAN else "robust_acc"]
            reasons = [text for text, is_so in (
                (f"the model is {settings['model']}, not OpenAI’s ViT-B/32", settings["model"] != PUBLISHED_MODEL),
                ("the attack starts from the predicted label", trial.predicted),
                (f"{trial.steps} steps instead of {row['attack_steps']}", trial.attack != CLEAN and trial.steps != row["attack_steps"]),
                (f"{int(mine['pictures']):,} of {settings['datasets'][dataset]['size']:,} pictures", mine["pictures"] < settings["datasets"][dataset]["size"]),
                ("not everything is in float32", settings["precision"] != "float32"),
                (f"our {title_of(defense)}: {departs}", departs),
                (f"theirs: {row['note']}", row["note"]),
            ) if is_so]
            rows.append({"dataset": dataset_title(dataset), "defence": title_of(defense), "attack": trial.title,
                         "here": round(mine["accuracy"], 2), "published": value, "difference": round(mine["accuracy"] - value, 2),
                         "source": row["source"], "not comparable, because": "; ".join(reasons)})
    columns = ["dataset", "defence", "attack", "here", "published", "difference", "source", "not comparable, because"]
    return pd.DataFrame(rows, columns=columns)


def write(folder: Path) -> list[Path]:
    """The report of a folder of records, into the folder: tables as Markdown, CSV and LaTeX, a figure, and the comparison
    with what papers printed. The files written."""
    records = read_records(folder)
    known = json.loads((folder / "settings.json").read_text())
    beside = against_published(records, known["fixed"] | {"datasets": known["datasets"]})
    beside = _lines(beside.set_index("dataset").astype(str), "dataset") if len(beside) else "No paper printed a figure for what was run here."
    found = table(records)
    texts = {"table.md": markdown(records) + "\n", "table.csv": found.reset_index().to_csv(index=False),
             "table.tex": latex(records), "published.md": beside + "\n"}
    for name, text in texts.items():
        (folder / name).write_text(text)
    figure, pictures = accuracy_figure(found), ("accuracy.svg", "accuracy.png")
    for name in pictures:
        figure.savefig(folder / name)
    return [folder / name for name in (*texts, *pictures)]
