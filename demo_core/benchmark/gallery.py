"""The pictures behind a cell of a table: which a defence saved, which it harmed, and which stayed lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from demo_core.benchmark.answers import Answers, Numbers
from demo_core.benchmark.datasets import DATASETS, OF_THE_APP
from demo_core.benchmark.records import FILES_OF, Settings
from demo_core.benchmark.summary import BARE, Summary
from demo_core.benchmark.tables import in_table_order
from demo_core.benchmark.trials import CLEAN, Trial, trial_or_none
from demo_core.defenses import DEFENSES, in_order
from demo_core.examples import EXAMPLES
from demo_core.models import MODELS
from demo_core.resizes import PAPER
from demo_core.story.scenes import scene_of

# What can have become of a picture, in words. A defence's table has the first three.
OUTCOMES = {
    "saved": "wrong without the defence, right with it",
    "harmed": "right without the defence, wrong with it",
    "lost": "right before the attack, wrong after it, without the defence and with it",
    "kept": "right without the defence and with it",
    "never": "wrong without the defence and with it, and before any attack",
}
SHOWN = tuple(OUTCOMES)[:3]


@dataclass(frozen=True)
class Picture:
    """One of them. index: in its data set; file: its name, where the records keep it; label, without and
    with_: what it is, and what was said of it without the defence and with it, in words where those are
    known; link: the query of an address of the Lab, empty where none can name the picture."""

    index: int
    file: str
    label: str
    without: str
    with_: str
    link: str


@dataclass(frozen=True)
class Cell:
    """What became of the pictures that a defence and the bare model met under an attack. counts: of each of
    OUTCOMES; indices: of each of SHOWN, all pictures' in their order."""

    dataset: str
    defense: str
    attack: str
    counts: dict[str, int]
    indices: dict[str, Numbers]


def cells(summary: Summary) -> Iterator[Cell]:
    """Data set by data set, defence by defence, attack by attack, in the order of the tables; of those data
    sets and attacks that the bare model met. Where it is not known whether a picture was right before the
    attack, it counts as if it was."""
    for dataset in summary.datasets:
        mine = {attack: part for (of, attack), part in summary.answers.items() if of == dataset}
        theirs = {attack: part for attack, part in mine.items() if BARE in part.defenses}
        before = _wrong_before(theirs.get(CLEAN))
        for defense in in_order(key for part in theirs.values() for key in part.defenses):
            for attack in in_table_order(theirs):
                if defense in theirs[attack].defenses:
                    yield _cell(theirs[attack], defense, before)


def _wrong_before(clean: Answers | None) -> Numbers:
    """Pictures that the bare model gets wrong when nobody attacks."""
    if clean is None:
        return np.zeros(0, np.int32)
    bare = clean.defenses.index(BARE)
    return clean.index[clean.met[:, bare] & ~clean.right[:, bare]]


def _cell(found: Answers, defense: str, wrong_before: Numbers) -> Cell:
    bare, mine = found.defenses.index(BARE), found.defenses.index(defense)
    met = found.met[:, bare] & found.met[:, mine]
    without, with_ = found.right[:, bare], found.right[:, mine]
    before = ~np.isin(found.index, wrong_before)
    masks = {
        "saved": ~without & with_,
        "harmed": without & ~with_,
        "lost": ~without & ~with_ & before,
        "kept": without & with_,
        "never": ~without & ~with_ & ~before,
    }
    counts = {kind: int((mask & met).sum()) for kind, mask in masks.items()}
    indices = {kind: found.index[masks[kind] & met] for kind in SHOWN}
    return Cell(found.dataset, defense, found.attack, counts, indices)


def pictures(cell: Cell, kind: str, most: int, summary: Summary, settings: Settings) -> list[Picture]:
    """The first of a cell's pictures of one of SHOWN, at most so many."""
    found = summary.answers[cell.dataset, cell.attack].of(cell.indices[kind][:most])
    bare, mine = found.defenses.index(BARE), found.defenses.index(cell.defense)
    names = settings.get("classes", {}).get(cell.dataset, [])
    files = settings.get(FILES_OF + cell.dataset, {})

    def word(label: int) -> str:
        return names[label] if 0 <= label < len(names) else f"class {label}"

    return [
        Picture(
            index,
            files.get(str(index), ""),
            word(label),
            word(predicted[bare]),
            word(predicted[mine]),
            link_of(cell, index, settings),
        )
        for index, label, predicted in zip(
            found.index.tolist(), found.label.tolist(), found.predicted.tolist(), strict=True
        )
    ]


def link_of(cell: Cell, index: int, settings: Settings) -> str:
    """The query of an address on which the Lab makes this attack and this defence on an example photograph;
    empty for pictures of other data sets, which an address cannot carry, and for what the Lab cannot make, or
    may have been made at a smaller size."""
    trial, model = trial_or_none(cell.attack), settings["fixed"]["model"]
    if (
        cell.dataset != OF_THE_APP
        or not trial
        or trial.upto
        or model not in MODELS
        or cell.defense not in DEFENSES
    ):
        return ""
    if index >= len(EXAMPLES):  # of another version of the packages
        return ""
    try:
        return scene_of(
            EXAMPLES[index].title,
            labels="\n".join(settings.get("classes", {}).get(cell.dataset, [])),
            template=DATASETS[OF_THE_APP].template,
            model=model,
            defense=cell.defense,
            seed=settings["fixed"]["seed"],
            resize=settings["fixed"].get("resize", PAPER.title),
            **_attacked(trial),
        ).query()
    except ValidationError:  # more steps than this host allows
        return ""


def _attacked(trial: Trial) -> dict[str, Any]:
    """A trial as a Scene has it."""
    if trial.attack == CLEAN:
        return {"control": True}
    size = {"patch": round(trial.eps)} if trial.visible else {"eps": trial.eps, "step_size": trial.step_size}
    known = {"adaptive": trial.adaptive, "eot": trial.samples}
    return {"attack": trial.attack, "steps": trial.steps, **size, **known}
