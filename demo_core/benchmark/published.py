"""What papers printed, and how far a run is from it."""

from __future__ import annotations

from typing import Any, cast

import pandas as pd

from demo_core.attacks import ATTACKS
from demo_core.benchmark.datasets import DATASETS, PAPERS
from demo_core.benchmark.piles import departures_in
from demo_core.benchmark.run import PRECISIONS
from demo_core.benchmark.tables import AVERAGE, dataset_title, mean_table, table
from demo_core.benchmark.trials import CLEAN, Trial, trial_or_none
from demo_core.defenses import DEFENSES, title_of
from demo_core.models import ASSETS

PUBLISHED = ASSETS / "published" / "results.csv"
# Rows of DEFENSES and ATTACKS as the published table names them.
PUBLISHED_DEFENSES = {"rn": "random-noise", "anti_adversary": "anti-adversary"}
PUBLISHED_MODEL = "vit-b-32"


def published() -> pd.DataFrame:
    """What papers printed: dataset, defense, attack, eps_255, attack_steps, clean_acc, robust_acc, source,
    note."""
    return pd.read_csv(PUBLISHED, keep_default_na=False, na_values=[""]).fillna({"note": ""})


def published_titles() -> pd.DataFrame:
    """The same in words, for a screen."""
    ours = {theirs: key for key, theirs in PUBLISHED_DEFENSES.items()}
    attacks = {"bpda": "BPDA"} | {key: row.title for key, row in ATTACKS.items()}

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
    return found.set_axis(
        ["data set", "defence", "attack", "eps, /255", "attack steps", "clean", "attacked", "source", "note"],
        axis=1,
    )


def against_published(records: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    """A row for each published figure that the records have a counterpart of: ours, theirs, the difference in
    points, the source, and why the two cannot be compared, where they cannot. settings: the "fixed" ones of
    the run."""
    printed, found = published(), table(records)
    found = pd.concat([found, mean_table(found)])
    rows = []
    for key, mine in found.iterrows():
        dataset, defense, attack = cast(tuple[str, str, str], key)
        if not (trial := trial_or_none(attack)):
            continue
        for _, row in counterparts(printed, dataset, defense, trial).iterrows():
            value = row["clean_acc" if trial.attack == CLEAN else "robust_acc"]
            reasons = _reasons(dataset, defense, trial, int(mine["pictures"]), row, settings)
            rows.append(
                {
                    "dataset": dataset_title(dataset),
                    "defence": title_of(defense),
                    "attack": trial.title,
                    "here": round(mine["accuracy"], 2),
                    "published": value,
                    "difference": round(mine["accuracy"] - value, 2),
                    "source": row["source"],
                    "not comparable, because": "; ".join(reasons),
                }
            )
    return pd.DataFrame(rows)


def counterparts(printed: pd.DataFrame, dataset: str, defense: str, trial: Trial) -> pd.DataFrame:
    """The published rows of the same data set, defence and attack."""
    if trial.attack == CLEAN:
        theirs = printed[printed["clean_acc"].notna()].drop_duplicates(["dataset", "defense", "clean_acc"])
    else:
        name = "bpda" if trial.adaptive else trial.attack
        theirs = printed[(printed["attack"] == name) & (printed["eps_255"] == trial.eps)]
    named = PUBLISHED_DEFENSES.get(defense, defense)
    return theirs[(theirs["dataset"] == dataset) & (theirs["defense"] == named)]


def _reasons(
    dataset: str, defense: str, trial: Trial, pictures: int, row: pd.Series, settings: dict[str, Any]
) -> list[str]:
    """Why a figure of a run cannot be compared with a published row; empty where it can."""
    behind = [DATASETS[key] for key in (PAPERS if dataset.startswith(AVERAGE) else [dataset])]
    whole = sum(known.pictures or 0 for known in behind)  # officially; on a disk may lie a part of it
    departs = DEFENSES[defense].departs if defense in DEFENSES else ""
    precision, steps = settings["precision"], row["attack_steps"]
    kept = "the attacker here keeps what does most of the plain attack, BPDA and the unrolled one"
    reasons = {
        f"the model is {settings['model']}, not OpenAI’s ViT-B/32": settings["model"] != PUBLISHED_MODEL,
        "the attack starts from the predicted label": trial.predicted,
        f"{trial.steps} steps instead of {steps}": trial.attack != CLEAN and trial.steps != steps,
        kept: trial.adaptive,
        f"{pictures:,} of {whole:,} pictures": pictures < whole,
        PRECISIONS.get(precision, precision): precision != "float32",
        **dict.fromkeys(departures_in(settings), True),
        **{f"{known.title}: {known.departs}": known.departs for known in behind if "names" not in settings},
        f"our {title_of(defense)}: {departs}": departs,
        f"theirs: {row['note']}": row["note"],
    }
    return [reason for reason, is_so in reasons.items() if is_so]
