"""Tables of numbers from records: accuracies with their intervals, the worst case, means over data sets."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import pandas as pd
from scipy.stats import binomtest

from demo_core.benchmark.datasets import DATASETS, PAPERS
from demo_core.benchmark.trials import CLEAN, default_trials, trial_or_none

WORST, AVERAGE = "worst", "average"
COSTS = ["forward", "backward", "milliseconds"]
KNOWING, NOT_KNOWING = "an attacker who knows the defence", "an attacker who knows no defence"
GROUP = ["dataset", "defense", "attack"]
UNIT = (
    "Accuracy in percent (in brackets its 95 % interval, by Wilson); in bold the best of each attack, and all"
    " that cannot be told from it on the same pictures."
)


@lru_cache(maxsize=10_000)  # a live run asks for the same few thousand pairs again and again
def interval(right: int, pictures: int) -> tuple[float, float]:
    """Both ends, in percent, of Wilson's 95 % interval of an accuracy (JASA 1927): unlike accuracy ± half a
    width it stays within 0 and 100 and is not empty where all answers are alike."""
    found = binomtest(right, pictures).proportion_ci(0.95, method="wilson")
    return 100 * float(found.low), 100 * float(found.high)


def table(records: pd.DataFrame) -> pd.DataFrame:
    """For every data set, defence and attack (the index, in the records' order): accuracy in percent, low and
    high (both ends of its interval), how many pictures, and mean passes and milliseconds a picture."""
    right = (records["predicted"] == records["label"]).astype(int)
    groups = records.assign(right=right).groupby(GROUP, sort=False)
    found = groups[COSTS].mean()
    counted = groups["right"].agg(["sum", "size"])
    ends = [interval(int(right), int(size)) for right, size in counted.to_numpy()]
    low, high = zip(*ends) if ends else ((), ())
    return pd.DataFrame(
        {
            "accuracy": 100 * counted["sum"] / counted["size"],
            "low": low,
            "high": high,
            "pictures": counted["size"],
            **found,
        },
        index=found.index,
    )


def worst_cases(records: pd.DataFrame) -> pd.DataFrame:
    """Records of one more attack for each data set and eps: the attacker who has all attacks of that eps from
    the true label, and takes whichever fools the defence. Only for the pictures that met them all, under each
    defence. Attacks that the table does not have are none of his, and neither is a patch."""
    found = [records.iloc[:0]]
    known = {attack: trial_or_none(attack) for attack in records["attack"].unique()}
    theirs = {
        attack: trial.eps
        for attack, trial in known.items()
        if trial and not trial.predicted and not trial.visible
    }
    groups = records[records["attack"].isin(theirs)]
    for (_, eps), mine in groups.groupby(["dataset", groups["attack"].map(theirs)], sort=False):
        number = mine["attack"].nunique()
        if number < 2:
            continue
        met = mine.groupby(["defense", "index"])["attack"].transform("nunique")
        wrong_first = mine.assign(right=mine["predicted"] == mine["label"])[met == number].sort_values(
            "right"
        )
        worst = wrong_first.drop_duplicates(["defense", "index"]).drop(columns="right")
        found.append(worst.assign(attack=f"{WORST}@{eps:g}"))
    return pd.concat(found)


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
    pictures as 0, for the index (dataset, defense, attacker, eps); attacker: whether it knows the defence, in
    words. Empty where no row met at least three sizes of eps."""
    known = {attack: trial_or_none(attack) for attack in found.index.unique("attack")}
    wanted = {
        attack: [(KNOWING if trial.adaptive else NOT_KNOWING, trial.eps)]
        for attack, trial in known.items()
        if trial and (trial.attack, trial.steps, trial.predicted, trial.samples) == ("pgd", 10, True, 1)
    }
    wanted[CLEAN] = [(NOT_KNOWING, 0.0), (KNOWING, 0.0)]
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
