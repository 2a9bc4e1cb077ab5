"""Two defences on the same pictures: how much better the one is, with an interval that knows that they err
together, and which rows of a table are as good as its best."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from scipy.stats import binom

from demo_core.benchmark.answers import Answers
from demo_core.benchmark.tables import GROUP, mean_over
from demo_core.intervals import Floats, wilson

PAIR = [*GROUP, "other"]


def paired_interval(both: Floats, gained: Floats, lost: Floats, neither: Floats) -> tuple[Floats, Floats]:
    """Both ends of the 95 % interval of the difference of two shares that were counted on the same pictures:
    both right, the first alone, the second alone, neither. Method 10 of Newcombe (Statistics in Medicine
    1998, 17:2635–2650): the ends of the two Wilson intervals, joined by how the two answers go together."""
    number = both + gained + lost + neither
    first, second = (both + gained) / np.maximum(number, 1), (both + lost) / np.maximum(number, 1)
    (low1, high1), (low2, high2) = wilson(first, number), wilson(second, number)
    product = both * neither - gained * lost
    product = np.where(product > 0, np.maximum(product - number / 2, 0), product)
    margins = (both + gained) * (lost + neither) * (both + lost) * (gained + neither)
    phi = np.where(margins > 0, product / np.sqrt(np.maximum(margins, 1)), 0)
    down, up = (first - low1, high2 - second), (high1 - first, second - low2)
    below, above = (
        np.sqrt(np.maximum(one**2 - 2 * phi * one * other + other**2, 0)) for one, other in (down, up)
    )
    return np.maximum(first - second - below, -1), np.minimum(first - second + above, 1)


def pairs(answers: Iterable[Answers]) -> pd.DataFrame:
    """For every data set, defence, attack and other defence (the index): the difference in points on the
    pictures that both met, low and high (both ends of its interval), how many pictures, how many the defence
    alone was right of (gained) and the other alone (lost), and p, of McNemar's exact test of whether these
    two differ."""
    keys: list[tuple[str, str, str, str]] = []
    counts: list[Floats] = []
    for found in answers:
        right, wrong = (part.astype(float) for part in (found.right, found.met & ~found.right))
        four = np.stack([right.T @ right, right.T @ wrong, wrong.T @ right, wrong.T @ wrong], -1)
        counts.append(four.reshape(-1, 4))
        keys += [
            (found.dataset, defense, found.attack, other)
            for defense in found.defenses
            for other in found.defenses
        ]
    both, gained, lost, neither = np.concatenate([*counts, np.zeros((0, 4))]).T
    number = both + gained + lost + neither
    low, high = paired_interval(both, gained, lost, neither)
    made = pd.DataFrame(
        {
            "difference": 100 * (gained - lost) / np.maximum(number, 1),
            "low": 100 * low,
            "high": 100 * high,
            "pictures": number.astype(int),
            "gained": gained.astype(int),
            "lost": lost.astype(int),
            "p": np.minimum(1, 2 * binom.cdf(np.minimum(gained, lost), gained + lost, 0.5)),
        },
        index=pd.MultiIndex.from_tuples(keys, names=PAIR),
    )
    apart = made.index.get_level_values("defense") != made.index.get_level_values("other")
    return made[apart & (made["pictures"] > 0)]


def mean_pairs(found: pd.DataFrame) -> pd.DataFrame:
    """Of `pairs`, their means over data sets, as tables.mean_table makes them."""
    return mean_over(found.drop(columns="p"), "difference", ["defense", "attack", "other"], (-100, 100))


def best(found: pd.DataFrame, compared: pd.DataFrame) -> set[tuple[str, str, str]]:
    """The rows (data set, defence, attack) of a `table` that are as good as the best of their data set and
    attack: the best, and all whose difference to it may be nought by its interval. None where that would be
    all of them. compared: their `pairs`."""
    tops = {(key[0], key[2]): key[1] for key in found["accuracy"].groupby(["dataset", "attack"]).idxmax()}
    rows = zip(compared.index, compared["high"] >= 0)
    met = [(key[:3], alike) for key, alike in rows if tops.get((key[0], key[2])) == key[3]]
    apart = {(dataset, attack) for (dataset, _, attack), alike in met if not alike}
    shared = {key for key, alike in met if alike and (key[0], key[2]) in apart}
    return shared | {(dataset, tops[dataset, attack], attack) for dataset, attack in apart}
