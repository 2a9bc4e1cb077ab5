"""All numbers of a report, each computed once: accuracies, what each defence does beside another on the same
pictures, what stands at last, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from demo_core.benchmark.answers import Answers, answers_of
from demo_core.benchmark.pairs import best, mean_pairs, pairs
from demo_core.benchmark.records import COSTS
from demo_core.benchmark.standing import standing
from demo_core.benchmark.tables import datasets_of, mean_table, table, worst_cases
from demo_core.benchmark.trials import CLEAN, trial_or_none
from demo_core.defenses import CONTROL

BARE = CONTROL  # what a defence is compared with, where nothing else is asked for


@dataclass(frozen=True)
class Summary:
    """What tables, charts and the gallery of some records are made of. Frames have a row for (data set,
    defence, attack), where nothing else is said, and the worst cases among the attacks."""

    records: pd.DataFrame

    @cached_property
    def datasets(self) -> list[str]:
        """In the order of the table."""
        return datasets_of(self.records)

    @cached_property
    def plain(self) -> pd.DataFrame:
        """Accuracies under the attacks that were made: see tables.table."""
        return table(self.records)

    @cached_property
    def _worst(self) -> pd.DataFrame:
        return worst_cases(self.records)

    @cached_property
    def found(self) -> pd.DataFrame:
        """Accuracies, the worst cases among them."""
        return pd.concat([self.plain, table(self._worst)])

    @cached_property
    def means(self) -> pd.DataFrame:
        """Accuracies over data sets; empty where there is one."""
        return mean_table(self.found)

    @cached_property
    def answers(self) -> dict[tuple[str, str], Answers]:
        """By data set and attack."""
        parts = (*answers_of(self.records), *answers_of(self._worst))
        return {(part.dataset, part.attack): part for part in parts}

    def answers_to(self, dataset: str) -> list[Answers]:
        """What was said of one data set under the attacks that were made."""
        return [part for (of, key), part in self.answers.items() if of == dataset and key in self.attacks]

    @cached_property
    def attacks(self) -> set[str]:
        """Those that were made: the worst cases are none of them."""
        return set(self.plain.index.unique("attack"))

    @cached_property
    def compared(self) -> pd.DataFrame:
        """Each defence beside each other (pairs.pairs), and the means over data sets, where none of them has
        one defence alone."""
        found = pairs(self.answers.values())
        everywhere = set(found.index.unique("dataset")) == set(self.datasets)
        return pd.concat([found, mean_pairs(found)]) if everywhere else found

    @cached_property
    def best(self) -> set[tuple[str, str, str]]:
        """Rows that are as good as the best of their data set and attack (pairs.best); of the means too."""
        return best(pd.concat([self.found, self.means]), self.compared)

    @cached_property
    def standing(self) -> pd.DataFrame:
        """What stands of each defence (standing.standing), a row for (data set, defence)."""
        sets = {
            dataset: standing([part for (of, _), part in self.answers.items() if of == dataset])
            for dataset in self.datasets
        }
        return pd.concat({k: found for k, found in sets.items() if len(found)} or {"": pd.DataFrame()})

    @cached_property
    def costs(self) -> pd.DataFrame:
        """What a defence costs for one attacked picture, a row for (data set, defence): COSTS; for a clean
        one where a data set was not attacked, and missing where only the defence was not. An attack that
        counts smaller sizes counts in none: its record is another attack's where a picture fell before."""
        known = {attack: trial_or_none(attack) for attack in self.plain.index.unique("attack")}
        upto = [attack for attack, trial in known.items() if trial and trial.upto]
        own = self.plain.drop(index=upto, level="attack")
        clean = own.index.get_level_values("attack") == CLEAN
        dataset = own.index.get_level_values("dataset")
        counted = own[~clean | ~dataset.isin(dataset[~clean])]
        by = ["dataset", "defense"]
        sums = counted[COSTS].mul(counted["pictures"], axis=0).groupby(by).sum()
        mean = sums.div(counted["pictures"].groupby(by).sum(), axis=0)
        return mean.reindex(self.plain.index.droplevel("attack").unique())
