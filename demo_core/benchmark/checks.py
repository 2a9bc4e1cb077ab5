"""Signs that a defence's robust accuracy is worth less than it looks, read from answers: what an attack
should do and does not, where gradients are masked (Athalye, Carlini, Wagner, ICML 2018, section 3.1; Carlini
et al., "On Evaluating Adversarial Robustness", 2019, section 4).

    python -m demo_core.benchmark --datasets path/to/folder --limit 100 --attacks masking --out runs/masking

makes the records that they need, and prints the checks with every other table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from demo_core.attacks import ATTACKS
from demo_core.benchmark.answers import Answers, Numbers, Truths
from demo_core.benchmark.tables import dataset_title
from demo_core.benchmark.trials import CLEAN, Trial, attack_title, trial_or_none
from demo_core.defenses import in_order, title_of

CHANCE = 0.05  # how unlikely a difference must be before it counts, one-sided (McNemar's exact test)
LARGE = 64  # eps in 1/255 that leaves nothing to be recognised
LITTLE = 5.0  # percent that may stand there


@dataclass(frozen=True)
class Sign:
    """Something that should not be: why, in a sentence with its figures. check: its key in CHECKS."""

    check: str
    why: str


@dataclass(frozen=True)
class Finding:
    """One defence on one data set. measured: the checks that the records allow; signs: what they found."""

    dataset: str
    defense: str
    pictures: int
    measured: tuple[str, ...]
    signs: tuple[Sign, ...]

    def of(self, check: str) -> list[Sign]:
        return [sign for sign in self.signs if sign.check == check]

    @property
    def mark(self) -> str:
        """What its numbers are worth, in one line."""
        of = f"{self.pictures:,} pictures of {dataset_title(self.dataset)}"
        if not self.signs:
            made, every = len(self.measured), len(CHECKS)
            if not made:
                return f"Not checked for masked gradients: none of {every} checks could be made ({of})."
            could = (
                f"{made} of {every} checks could be made, and none"
                if made < every
                else f"none of {every} checks"
            )
            return f"No sign of masked gradients: {could} found one ({of})."
        found = dict.fromkeys(CHECKS[sign.check][0] for sign in self.signs)
        return f"Its robust accuracy is not to be trusted: {'; '.join(found)} ({of})."


class _Row:
    """What one defence leaves standing on one data set. trials: the attacks that the table has."""

    def __init__(self, defense: str, answers: Iterable[Answers], indices: Numbers):
        """indices: all pictures of the data set, in order."""
        self.met: dict[str, Truths] = {}
        self.right: dict[str, Truths] = {}
        for found in answers:
            if defense in found.defenses:
                column, rows = found.defenses.index(defense), np.searchsorted(indices, found.index)
                for kept, truths in ((self.met, found.met), (self.right, found.right)):
                    kept[found.attack] = np.zeros(len(indices), bool)
                    kept[found.attack][rows] = truths[:, column]
        known = {attack: trial_or_none(attack) for attack in self.met}
        self.trials = {attack: trial for attack, trial in known.items() if trial and attack != CLEAN}
        self.pictures = int(np.logical_or.reduce(list(self.met.values())).sum())

    def those(self, wanted: Callable[[Trial], bool]) -> list[str]:
        return [attack for attack, trial in self.trials.items() if wanted(trial)]

    def standing(self, attacks: list[str], met: Truths | None = None) -> Truths:
        """Of the pictures that met all of these attacks, which stand under each of them; met: of others."""
        kept = self.that_met(attacks) if met is None else met
        return np.logical_and.reduce([self.right[attack][kept] for attack in attacks])

    def that_met(self, attacks: list[str]) -> Truths:
        """Which pictures met all of these attacks."""
        return np.logical_and.reduce([self.met[attack] for attack in attacks])

    def fewer(self, attacks: list[str], than: list[str]) -> tuple[float, float] | None:
        """Percent that stand under the first and under the second attacks, of the pictures that met both,
        where those under the first are fewer by more than chance; else None."""
        both = self.that_met([*attacks, *than])
        first, second = self.standing(attacks, both), self.standing(than, both)
        if not leaves_fewer(first, second):
            return None
        return 100 * float(first.mean()), 100 * float(second.mean())


def leaves_fewer(first: Truths, second: Truths) -> bool:
    """Whether fewer of the same pictures stand under the first than under the second by more than chance
    (McNemar's exact test, one-sided)."""
    lost, won = int((second & ~first).sum()), int((first & ~second).sum())
    return lost > won and bool(binomtest(lost, lost + won, 0.5, "greater").pvalue < CHANCE)


def _gradient(trial: Trial) -> bool:
    """Whether it is one, made at its eps: one that counts what fell at a smaller size can be no sign of
    anything."""
    row = ATTACKS[trial.attack]
    return trial.at_its_eps and not (row.rule.black_box or row.transfer or row.control or row.targeted)


Found = Iterator[str | None]  # a sign's sentence; None for a comparison that found nothing


def _weaker_beats(row: _Row, weaker: Callable[[Trial], bool]) -> Found:
    """Attacks that see less than a gradient should leave more standing than all gradient attacks of their eps
    together."""
    gradients = row.those(_gradient)
    for attack in row.those(weaker):
        rivals = [other for other in gradients if row.trials[other].eps == row.trials[attack].eps]
        if not rivals:
            continue
        found = row.fewer([attack], rivals)
        yield found and (
            f"{attack_title(attack)} leaves {found[0]:.0f} % right, and all gradient attacks of that eps"
            f" together, which should leave fewer, {found[1]:.0f} %"
        )


def _black_box(row: _Row) -> Found:
    return _weaker_beats(row, lambda trial: ATTACKS[trial.attack].rule.black_box)


def _transfer(row: _Row) -> Found:
    return _weaker_beats(row, lambda trial: ATTACKS[trial.attack].transfer)


def _noise(row: _Row) -> Found:
    return _weaker_beats(row, lambda trial: ATTACKS[trial.attack].control and trial.eps > 0)


def _ladder(row: _Row, rung: str) -> Found:
    """Gradient attacks that differ in one number alone, a field of Trial, should leave less standing the
    larger it is."""
    sides: dict[Trial, list[str]] = {}
    for attack in row.those(_gradient):
        rest: dict[str, Any] = {rung: 0}
        sides.setdefault(replace(row.trials[attack], **rest), []).append(attack)
    for alike in sides.values():
        for low, high in pairwise(sorted(alike, key=lambda attack: getattr(row.trials[attack], rung))):
            found = row.fewer([low], [high])
            yield found and (
                f"{attack_title(high)} leaves {found[1]:.0f} %, {attack_title(low)} {found[0]:.0f} %"
            )


def _eps(row: _Row) -> Found:
    return _ladder(row, "eps")


def _steps(row: _Row) -> Found:
    return _ladder(row, "steps")


def _large(row: _Row) -> Found:
    """At an eps that can turn any picture into any other, nothing can stand; what does was not reached by the
    attack. Where attacks that know the defence were recorded, they alone count."""
    attacks = row.those(lambda trial: _gradient(trial) and trial.eps >= LARGE)
    knowing = [attack for attack in attacks if row.trials[attack].adaptive]
    attacks = knowing or attacks
    if not attacks:
        return
    stands = row.standing(attacks)
    left = 100 * float(stands.mean())
    over = binomtest(int(stands.sum()), len(stands), LITTLE / 100, "greater").pvalue < CHANCE
    yield f"{left:.0f} % stand at {LARGE}/255, where nothing can" if over else None


def _leak(row: _Row) -> Found:
    """An attack from the true label that leaves more standing than there is without one has told the defence
    the label."""
    if CLEAN not in row.met:
        return
    for attack in row.those(lambda trial: _gradient(trial) and not trial.predicted):
        found = row.fewer([CLEAN], [attack])
        twin = str(replace(row.trials[attack], predicted=True))
        beside = (
            f", from the predicted one {100 * row.standing([twin]).mean():.0f} %"
            if twin in row.trials
            else ""
        )
        yield found and (
            f"{attack_title(attack)} from the true label leaves {found[1]:.0f} %, more than the"
            f" {found[0]:.0f} % of clean pictures{beside}"
        )


CHECKS: dict[str, tuple[str, Callable[[_Row], Found]]] = {
    "black_box": ("a black box beats the gradient", _black_box),
    "transfer": ("an attack made on another model beats the gradient", _transfer),
    "noise": ("noise beats the gradient", _noise),
    "eps": ("a larger eps does less", _eps),
    "steps": ("more steps do less", _steps),
    "large": (f"pictures stand at {LARGE}/255", _large),
    "leak": ("right more often than on clean pictures", _leak),
}


def findings(answers: Iterable[Answers]) -> list[Finding]:
    """Every check of every defence that gave these answers, data set by data set."""
    sets: dict[str, list[Answers]] = {}
    for part in answers:
        sets.setdefault(part.dataset, []).append(part)
    found = []
    for dataset, mine in sets.items():
        indices = np.unique(np.concatenate([part.index for part in mine]))
        for defense in dict.fromkeys(key for part in mine for key in part.defenses):
            row = _Row(defense, mine, indices)
            measured, signs = [], []
            for check, (_, look) in CHECKS.items():
                whys = list(look(row))
                if whys:
                    measured.append(check)
                signs += [Sign(check, why) for why in whys if why]
            found.append(Finding(dataset, defense, row.pictures, tuple(measured), tuple(signs)))
    place = {key: i for i, key in enumerate(in_order(finding.defense for finding in found))}
    return sorted(found, key=lambda finding: place[finding.defense])


def checked(answers: Iterable[Answers]) -> pd.DataFrame:
    """One data set's checks as text: a row a defence, a column each check that was measured of any."""
    found = findings(answers)
    columns = [check for check in CHECKS if any(check in finding.measured for finding in found)]

    def said(finding: Finding, check: str) -> str:
        if check not in finding.measured:
            return ""
        return "; ".join(sign.why for sign in finding.of(check)) or "no"

    return pd.DataFrame(
        {CHECKS[check][0]: [said(finding, check) for finding in found] for check in columns},
        index=[title_of(finding.defense) for finding in found],
    )
