"""What papers printed, and how far a run is from it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, cast

import pandas as pd

from demo_core.attacks import ATTACKS
from demo_core.benchmark.datasets import DATASETS, PAPERS
from demo_core.benchmark.piles import departures_in
from demo_core.benchmark.run import PRECISIONS
from demo_core.benchmark.tables import AVERAGE, dataset_title, mean_table
from demo_core.benchmark.trials import CLEAN, Trial, trial_or_none
from demo_core.defenses import DEFENSES, title_of
from demo_core.models import ASSETS

PUBLISHED = ASSETS / "published" / "results.csv"
COLUMNS = "data set,backbone,defence,attack,eps in 1/255,attack steps,clean,attacked,source,note".split(",")
# Rows of DEFENSES and of ATTACKS as the published table names them.
PUBLISHED_DEFENSES = {"rn": "random-noise", "anti_adversary": "anti-adversary", "low_pass": "low-pass-filter"}
PUBLISHED_ATTACKS = {key: key.replace("_", "-") for key in ATTACKS}
# Models as it names their backbones: OpenAI's weights throughout.
BACKBONES = {"vit-b-32": "ViT-B/32", "vit-b-16": "ViT-B/16", "vit-l-14": "ViT-L/14"}


def published() -> pd.DataFrame:
    """What papers printed: dataset, backbone, defense, attack, eps_255, attack_steps, clean_acc, robust_acc,
    source, note."""
    return pd.read_csv(PUBLISHED, keep_default_na=False, na_values=[""]).fillna({"note": ""})


Row = dict[Hashable, Any]  # of `published`
Printed = dict[tuple[str, str], list[Row]]  # by data set and defence


def published_of(model: str) -> Printed:
    """What papers printed of a model's backbone; nothing of one that they did not have."""
    printed, found = published(), Printed()
    for row in printed[printed["backbone"] == BACKBONES.get(model)].to_dict("records"):
        found.setdefault((row["dataset"], row["defense"]), []).append(row)
    return found


def published_titles() -> pd.DataFrame:
    """The same in words, for a screen."""
    ours = {theirs: key for key, theirs in PUBLISHED_DEFENSES.items()}
    attacks = {"bpda": "BPDA"} | {PUBLISHED_ATTACKS[key]: row.title for key, row in ATTACKS.items()}

    def defence_title(name: str) -> str:
        return title_of(ours.get(name, name))

    def attack_title(name: str) -> str:
        return attacks.get(name, name)

    printed = published()
    found = printed.assign(
        defense=printed["defense"].map(defence_title),
        attack=printed["attack"].map(attack_title),
        dataset=printed["dataset"].str.replace("average-", "Mean over "),
    )
    return found.set_axis(COLUMNS, axis=1)


def against_published(found: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    """A row for each published figure of the same data set, model, defence, attack, eps and steps as one of
    the records': ours, theirs, the difference in points, the source, and in what else the two are not alike.
    found: the `table` of the records; settings: the "fixed" ones of the run. Empty where there is none."""
    printed = published_of(settings["model"])
    found = pd.concat([found, mean_table(found)])
    rows = []
    for key, mine in found.iterrows():
        dataset, defense, attack = cast(tuple[str, str, str], key)
        if not (trial := trial_or_none(attack)):
            continue
        for row in counterparts(printed, dataset, defense, trial):
            value = figure_of(row, trial)
            why = reasons(dataset, defense, trial, int(mine["pictures"]), row, settings)
            rows.append(
                {
                    "dataset": dataset_title(dataset),
                    "defence": title_of(defense),
                    "attack": trial.title,
                    "here": round(mine["accuracy"], 2),
                    "published": value,
                    "difference": round(mine["accuracy"] - value, 2),
                    "source": row["source"],
                    "not alike, because": "; ".join(why),
                }
            )
    return pd.DataFrame(rows)


def counterparts(printed: Printed, dataset: str, defense: str, trial: Trial) -> list[Row]:
    """The published rows of the same data set, defence and attack, with its eps and steps."""
    theirs = printed.get((dataset, PUBLISHED_DEFENSES.get(defense, defense)), [])
    if trial.predicted or trial.upto:  # papers start from the true label, and at one size
        return []
    if trial.attack == CLEAN:
        known: dict[float, Row] = {}
        for row in theirs:
            known.setdefault(row["clean_acc"], row)
        return [row for value, row in known.items() if not math.isnan(value)]
    name = "bpda" if trial.adaptive else PUBLISHED_ATTACKS[trial.attack]
    budget = (name, trial.eps, trial.steps)
    return [row for row in theirs if (row["attack"], row["eps_255"], row["attack_steps"]) == budget]


def figure_of(row: Row, trial: Trial) -> float:
    """The accuracy in percent that a published row has for an attack, or for the clean pictures."""
    return float(row["clean_acc" if trial.attack == CLEAN else "robust_acc"])


def reasons(
    dataset: str, defense: str, trial: Trial, pictures: int, row: Row, settings: Mapping[str, Any]
) -> list[str]:
    """In what a figure of a run is not like a published row's; empty where they can be compared. settings:
    the "fixed" ones of the run."""
    behind = [DATASETS[key] for key in (PAPERS if dataset.startswith(AVERAGE) else [dataset])]
    whole = sum(known.pictures or 0 for known in behind)  # officially; on a disk may lie a part of it
    departs = DEFENSES[defense].departs if defense in DEFENSES else ""
    precision = settings["precision"]
    kept = "the attacker here keeps what does most of the plain attack, BPDA and the unrolled one"
    found = {
        kept: trial.adaptive,
        f"{pictures:,} of {whole:,} pictures": pictures < whole,
        PRECISIONS.get(precision, precision): precision != "float32",
        **dict.fromkeys(departures_in(settings), True),
        **{f"{known.title}: {known.departs}": known.departs for known in behind if "names" not in settings},
        f"our {title_of(defense)}: {departs}": departs,
        f"theirs: {row['note']}": row["note"],
    }
    return [reason for reason, is_so in found.items() if is_so]
