"""Records laid out picture by picture: what each defence said of the same picture under the same attack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from demo_core.defenses import in_order

MISSING = -1  # where a defence did not meet a picture; labels count from 0

Numbers = npt.NDArray[np.int32]
Truths = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """Pictures of one data set under one attack.

    index, label [N]: the pictures', in the order of their index; defenses: D keys of the table, in its order;
    predicted [N,D]: the label that each said, MISSING where it was not asked.
    """

    dataset: str
    attack: str
    defenses: tuple[str, ...]
    index: Numbers
    label: Numbers
    predicted: Numbers

    @property
    def met(self) -> Truths:
        """[N,D]: which defence met which picture."""
        return self.predicted != MISSING

    @property
    def right(self) -> Truths:
        """[N,D]: which defence was right of which picture."""
        return self.predicted == self.label[:, None]

    def of(self, indices: Numbers) -> Answers:
        """The same of these pictures alone, which must be there."""
        rows = np.searchsorted(self.index, indices)
        return Answers(
            self.dataset,
            self.attack,
            self.defenses,
            self.index[rows],
            self.label[rows],
            self.predicted[rows],
        )


def answers_of(records: pd.DataFrame) -> Iterator[Answers]:
    """Every data set and attack of the records."""
    needed = records[["dataset", "attack", "defense", "index", "label", "predicted"]]
    for (dataset, attack), mine in needed.groupby(["dataset", "attack"], sort=False, observed=True):
        code, keys = pd.factorize(mine["defense"])
        defenses = in_order(map(str, keys))
        column = np.array([defenses.index(str(key)) for key in keys])[code]
        index, first, row = np.unique(mine["index"].to_numpy(), return_index=True, return_inverse=True)
        predicted = np.full((len(index), len(defenses)), MISSING, np.int32)
        predicted[row, column] = mine["predicted"].to_numpy()
        label = mine["label"].to_numpy()[first].astype(np.int32)
        yield Answers(str(dataset), str(attack), tuple(defenses), index.astype(np.int32), label, predicted)
