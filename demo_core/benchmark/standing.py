"""What is left of each defence when it meets the strongest attacks that were recorded of all, together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import reduce

import numpy as np
import pandas as pd

from demo_core.attacks import ATTACKS
from demo_core.benchmark.answers import Answers
from demo_core.benchmark.trials import CLEAN, trial_or_none
from demo_core.intervals import wilson

USUAL = (4.0, 1.0)  # eps in 1/255 that is looked at first, where several have as many attacks


def rivals(attacks: Iterable[str]) -> tuple[float, list[str]]:
    """Of attacks those that a row is judged by, and their eps in 1/255: all of the eps that most of them
    have. Noise, which attacks nobody, patches, which keep to no eps, and what counts smaller sizes are none
    of them."""
    sizes: dict[float, list[str]] = {}
    for attack in attacks:
        trial = trial_or_none(attack)
        if trial and trial.attack != CLEAN and trial.at_its_eps and not ATTACKS[trial.attack].control:
            sizes.setdefault(trial.eps, []).append(attack)
    if not sizes:
        return 0.0, []
    order = {size: len(USUAL) - place for place, size in enumerate(USUAL)}
    eps = max(sizes, key=lambda size: (len(sizes[size]), order.get(size, 0), -size))
    return eps, sizes[eps]


def standing(answers: Sequence[Answers]) -> pd.DataFrame:
    """Of one data set's answers, for every defence (the index): accuracy in percent where it withstands every
    one of the `rivals` that the same defences met, as many as can be, low and high (both ends of its
    interval), pictures (those that met them all), eps, and attacks: how many. Empty where those met no
    attack, or no picture met all."""
    sets = Counter(found.defenses for found in answers)
    most = max(sets, key=lambda defenses: (len(defenses), sets[defenses]))
    shared = {found.attack: found for found in answers if found.defenses == most}
    eps, attacks = rivals(shared)
    theirs = [shared[attack] for attack in attacks]
    if not theirs:
        return pd.DataFrame()
    met = reduce(np.intersect1d, [found.index[found.met.all(axis=1)] for found in theirs])
    if not len(met):
        return pd.DataFrame()
    stands = np.logical_and.reduce([found.of(met).right for found in theirs]).sum(axis=0)
    low, high = wilson(stands / len(met), float(len(met)))
    return pd.DataFrame(
        {
            "accuracy": 100 * stands / len(met),
            "low": 100 * low,
            "high": 100 * high,
            "pictures": len(met),
            "eps": eps,
            "attacks": len(attacks),
        },
        index=pd.Index(theirs[0].defenses, name="defense"),
    )
