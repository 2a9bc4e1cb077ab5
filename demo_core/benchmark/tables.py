"""Tables of numbers from records: accuracies with their intervals, the worst case, means over data sets."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from demo_core.benchmark.datasets import DATASETS, PAPERS
from demo_core.benchmark.records import COSTS
from demo_core.benchmark.trials import CLEAN, default_trials, trial_or_none
from demo_core.intervals import wilson

WORST, AVERAGE = "worst", "average"
KNOWING, NOT_KNOWING = "an attacker who knows the defence", "an attacker who knows no defence"
AT_ANY = ", at any size up to eps"
GROUP = ["dataset", "defense", "attack"]
BOLD = (
    "in bold the best of each attack, and all that cannot be told from it on the same pictures (nothing where"
    " that would be all)"
)
UNIT = f"Accuracy in percent (in brackets its 95 % interval, by Wilson); {BOLD}."


def table(records: pd.DataFrame) -> pd.DataFrame:
    """For every data set, defence and attack (the index, in the records' order): accuracy in percent, low and
    high (both ends of its interval), how many pictures, and mean passes and milliseconds a picture."""
    code = np.zeros(len(records), np.int64)
    for name in GROUP:
        codes, words = pd.factorize(records[name])
        code = code * len(words) + codes
    groups, _ = pd.factorize(code)
    first = records.iloc[np.unique(groups, return_index=True)[1]]
    size = np.bincount(groups)
    right = np.bincount(groups, (records["predicted"] == records["label"]).to_numpy())
    low, high = wilson(right / size, size.astype(float))
    return pd.DataFrame(
        {
            "accuracy": 100 * right / size,
            "low": 100 * low,
            "high": 100 * high,
            "pictures": size,
            **{cost: np.bincount(groups, records[cost].to_numpy(float)) / size for cost in COSTS},
        },
        index=pd.MultiIndex.from_arrays([first[name].astype(str) for name in GROUP], names=GROUP),
    )


def worst_cases(records: pd.DataFrame) -> pd.DataFrame:
    """Records of one more attack for each data set and eps: the attacker who has all attacks of that eps,
    from whichever label, and takes what fools the defence. Only for the pictures that met them all, under
    each defence. Attacks that the table does not have are none of his, and neither is a patch, or what
    counts smaller sizes."""
    found = [records.iloc[:0]]
    known = {attack: trial_or_none(attack) for attack in records["attack"].unique()}
    theirs = {attack: trial.eps for attack, trial in known.items() if trial and trial.at_its_eps}
    for dataset in records["dataset"].unique():
        groups = records[(records["dataset"] == dataset) & records["attack"].isin(theirs)]
        sizes = groups["attack"].astype(object).map(theirs)
        found += [_worst(mine, float(str(eps))) for eps, mine in groups.groupby(sizes, sort=False)]
    return pd.concat(found)


def _worst(mine: pd.DataFrame, eps: float) -> pd.DataFrame:
    """Of one data set's records of attacks of one eps."""
    number = mine["attack"].nunique()
    met = mine.groupby(["defense", "index"], observed=True)["attack"].transform("nunique")
    kept = mine[met == number] if number > 1 else mine.iloc[:0]
    right = kept["predicted"] == kept["label"]
    first = kept.loc[right.sort_values(kind="stable").index].drop_duplicates(["defense", "index"])
    return first.assign(attack=pd.Categorical([f"{WORST}@{eps:g}"] * len(first)))


def mean_table(found: pd.DataFrame) -> pd.DataFrame:
    """Of a `table`, its rows over data sets: `mean_over` for each defence and attack."""
    return mean_over(found, "accuracy", ["defense", "attack"], (0, 100))


def mean_over(found: pd.DataFrame, value: str, by: list[str], within: tuple[float, float]) -> pd.DataFrame:
    """Means over data sets, in which every data set weighs the same, of what met all of them; found: by data
    set, then by. The interval of a mean is made of theirs, which err independently of each other, by the
    method of variance estimates recovery (Zou and Donner, Statistics in Medicine 2008): the distances from a
    mean to its ends are the root of the sum of squares of theirs, over their number. Counts of pictures are
    sums. within: the least and the most that an end may be. Empty where there is one data set."""
    datasets = found.index.unique("dataset")
    size = found.groupby(by, sort=False)[value].transform("size")
    met = found[(size == len(datasets)) & (len(datasets) > 1)]
    if met.empty:
        return met
    below, above = (met[value] - met["low"]) ** 2, (met["high"] - met[value]) ** 2
    grouped = met.assign(below=below, above=above).groupby(by, sort=False)
    mean, distance = grouped[list(found.columns)].mean(), grouped[["below", "above"]].sum() ** 0.5
    counted = [column for column in ("pictures", "gained", "lost") if column in found]
    mean = mean.assign(
        low=(mean[value] - distance["below"] / len(datasets)).clip(within[0]),
        high=(mean[value] + distance["above"] / len(datasets)).clip(upper=within[1]),
        **{column: grouped[column].sum() for column in counted},
    )
    # As the published table calls it.
    key = f"{AVERAGE}-{len(datasets)}" if set(datasets) == set(PAPERS) else AVERAGE
    return pd.concat({key: mean[found.columns]}, names=["dataset"])


def curves(found: pd.DataFrame) -> pd.DataFrame:
    """The rows of a `table` that are of PGD-10 from the predicted label, by eps in 1/255, with the clean
    pictures as 0, for the index (dataset, defense, attacker, eps); attacker: whether it knows the defence,
    and whether what fell at a smaller size counts, in words. Empty where no row met at least three sizes of
    eps."""
    known = {attack: trial_or_none(attack) for attack in found.index.unique("attack")}
    wanted = {
        attack: [((KNOWING if trial.adaptive else NOT_KNOWING) + AT_ANY * trial.upto, trial.eps)]
        for attack, trial in known.items()
        if trial and (trial.attack, trial.steps, trial.predicted, trial.samples) == ("pgd", 10, True, 1)
    }
    wanted[CLEAN] = [(who + sizes, 0.0) for who in (NOT_KNOWING, KNOWING) for sizes in ("", AT_ANY)]
    found = found[found.index.get_level_values("attack").isin(wanted)]
    places = [
        (dataset, defense, *point, place)
        for place, (dataset, defense, attack) in enumerate(found.index)
        for point in wanted[attack]
    ]
    index = pd.MultiIndex.from_tuples(
        [place[:4] for place in places], names=["dataset", "defense", "attacker", "eps"]
    )
    made = found.iloc[[place[4] for place in places]].set_axis(index).sort_index()
    lines = made.groupby(["dataset", "defense", "attacker"])["accuracy"].transform("size")
    return made[lines >= 3]


def in_table_order(attacks: Iterable[str]) -> list[str]:
    """Attacks as the default ones stand, then others, then the worst of all."""
    order = {str(t): i for i, t in enumerate(default_trials())}
    return sorted(attacks, key=lambda a: (a.startswith(WORST), order.get(a, len(order)), a))


def datasets_of(records: pd.DataFrame) -> list[str]:
    """The data sets of records: those of the table in its order, then others."""
    order = {key: i for i, key in enumerate(DATASETS)}
    return sorted(records["dataset"].unique(), key=lambda key: (order.get(key, len(order)), key))


def dataset_title(key: str) -> str:
    """A data set in words; a folder of one's own by its name."""
    if key.startswith(AVERAGE):
        return "Mean over the data sets"
    return DATASETS[key].title if key in DATASETS else Path(key).name
