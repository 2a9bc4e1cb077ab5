"""The figures of the project's README: what each defence leaves standing on the embedded models, and what to
make of it in sentences, every number of which is the records'."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import product

import pandas as pd

from demo_core.benchmark.checks import LARGE
from demo_core.benchmark.report import marks, shipped
from demo_core.benchmark.tables import table
from demo_core.benchmark.trials import CLEAN, attack_title
from demo_core.defenses import in_order, title_of
from demo_core.defenses.smoothing import SmoothingConfig, linf_within, radius_of
from demo_core.models import ATTACKERS_FILE, MODELS
from demo_core.photo import IMAGE_SIZE
from demo_core.story.gate_words import enumerated

KEYS = [key for key, row in MODELS.items() if row.embedded]
recorded = cache(shipped)  # read once for all documents and charts


UNKNOWING = "pgd@1+predicted"
KNOWING = f"{UNKNOWING}+adaptive"
UP_TO = "pgd@{:g}+predicted+adaptive+upto"
GRADIENT = "pgd@4+predicted"
# What has no gradient of a row, by the check that compares it with those that have
RIVALS = {"transfer": "transfer@4+predicted", "black_box": "square@4x200+predicted"}
MADE_ON = (GRADIENT, *RIVALS.values())
JUDGED_ON, JUDGED_BY = "ImageNet", (CLEAN, UNKNOWING, GRADIENT)


def mean_of_the_sets(records: pd.DataFrame) -> pd.Series:
    """By defence, in percent: what stands under JUDGED_BY in the mean, each set of as much weight."""
    accuracy = table(records)["accuracy"].unstack("attack")[list(JUDGED_BY)]
    return accuracy.mean(axis=1).groupby("defense").mean()


def heads(names: list[str]) -> str:
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def unknowing() -> str:
    """What each defence leaves standing on each embedded model, the best first, and what it costs."""
    records = {key: recorded(key) for key in KEYS}
    judged = {key: found[found["dataset"] == JUDGED_ON] for key, found in records.items()}
    accuracy = {key: table(found)["accuracy"][JUDGED_ON].unstack("attack") for key, found in judged.items()}
    means = {key: found[list(JUDGED_BY)].mean(axis=1) for key, found in accuracy.items()}
    wide = {key: mean_of_the_sets(found) for key, found in records.items()}
    first = judged[KEYS[0]]
    cost = (
        first[["forward", "backward"]]
        .sum(axis=1)
        .groupby([first["defense"], first["attack"]], observed=True)
        .mean()
    )
    pictures = first[first["attack"] == CLEAN]["index"].nunique()
    lines = [
        f"{pictures} pictures of {JUDGED_ON}, accuracy in percent: clean / {attack_title(JUDGED_BY[1])} / "
        f"{attack_title(JUDGED_BY[2])}, and the mean of the three; beside it that mean over"
        f" {records[KEYS[0]]['dataset'].nunique()} sets, each of as much weight. Passes are forward and"
        " backward, of an attacked picture.",
        "",
        heads(["defence", "passes", *(h for key in KEYS for h in (MODELS[key].title, "mean", "all sets"))]),
    ]
    for defense in means[KEYS[0]].sort_values(ascending=False).index:
        cells = [title_of(defense), f"{cost[defense, JUDGED_BY[2]]:.0f}"]
        for key in KEYS:
            cells.append(" / ".join(f"{accuracy[key].loc[defense, a]:.1f}" for a in JUDGED_BY))
            cells += [f"{means[key][defense]:.1f}", f"{wide[key][defense]:.1f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def knowing() -> str:
    """What an attacker who knows each defence leaves of it, beside what one does who
    knows none, on the same pictures."""
    found = {key: table(recorded(key, ATTACKERS_FILE)) for key in KEYS}
    accuracy = {key: frame["accuracy"].droplevel("dataset").unstack("attack") for key, frame in found.items()}
    asked = {
        key: frame.dropna(subset=[KNOWING]).loc[:, [CLEAN, UNKNOWING, KNOWING]]
        for key, frame in accuracy.items()
    }
    pictures = int(found[KEYS[0]]["pictures"].groupby("attack").min()[KNOWING])
    lines = [
        f"{pictures} pictures of {JUDGED_ON}, accuracy in percent: clean / {attack_title(UNKNOWING)} / the"
        " same by one who knows the defence, and for each picture keeps of all his ways what does most.",
        "",
        heads(["defence", *(MODELS[key].title for key in KEYS)]),
    ]
    for defense in asked[KEYS[0]].sort_values([KNOWING, UNKNOWING], ascending=False).index:
        cells = [
            " / ".join(f"{v:.0f}" for v in asked[key].loc[defense]) if defense in asked[key].index else ""
            for key in KEYS
        ]
        lines.append(f"| {title_of(defense)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def masked() -> str:
    """Which rows' numbers an attack without a gradient shows to be worth less, and by how much."""
    right = {key: _right(key) for key in KEYS}
    signs = {
        (defense, key, rival)
        for key, (check, rival) in product(KEYS, RIVALS.items())
        for defense, finding in marks(key).items()
        if finding.of(check)
    }
    left = {key: found.groupby("defense", observed=True).sum().astype(int) for key, found in right.items()}
    pictures = right[KEYS[0]].groupby("defense", observed=True).size().min()
    lines = [
        f"{pictures} pictures of {JUDGED_ON}, how many stand: {attack_title(GRADIENT)}"
        f" / {' / '.join(map(attack_title, RIVALS.values()))}. In bold what has no gradient of the row and"
        " yet leaves fewer by more than chance; rows without any are left out.",
        "",
        heads(["defence", *(MODELS[key].title for key in KEYS)]),
    ]
    rows = {defense for defense, _, _ in signs}
    for defense in left[KEYS[0]].loc[list(rows)].sort_values(GRADIENT, ascending=False).index:
        cells = [title_of(defense)]
        for key in KEYS:
            each = [(left[key].loc[defense, attack], (defense, key, attack) in signs) for attack in MADE_ON]
            cells.append(" / ".join(f"**{count}**" if bold else str(count) for count, bold in each))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _right(key: str) -> pd.DataFrame:
    """Whether they stand under each of MADE_ON, by defence and picture, of those that met them all."""
    found = recorded(key)
    found = found[(found["dataset"] == JUDGED_ON) & found["attack"].isin(MADE_ON)]
    right = found.assign(right=found["predicted"] == found["label"])
    return right.pivot(index=["defense", "index"], columns="attack", values="right").dropna()


def overview() -> str:
    """What to make of the tables, and the tables."""
    lines = (against_none(), against_each(), worth(), leaks(), proven())
    return "\n\n".join(["\n".join(f"- {line}" for line in lines if line), unknowing(), knowing(), masked()])


# ---------------------------------------------------------------- what to make of them


def named(keys: Iterable[str]) -> str:
    return enumerated([title_of(key) for key in in_order(keys)])


def against_none() -> str:
    """Who is ahead of all in the mean over the sets, and of whom."""
    wide = {key: mean_of_the_sets(recorded(key)).nlargest(2) for key in KEYS}
    best = {found.index[0] for found in wide.values()}
    if len(best) > 1:
        ahead = enumerated([f"{title_of(wide[key].index[0])} on {MODELS[key].title}" for key in KEYS])
    else:
        ahead = f"{named(best)} ({passes(*best):.0f} passes) on each model"
    behind = enumerated(
        [f"{title_of(found.index[1])} ({passes(found.index[1]):.0f})" for found in wide.values()]
    )
    return (
        f"**Against attackers who know no defence** (first table), ahead in the mean over all sets is"
        f" {ahead}, and behind it {behind}."
    )


def passes(defense: str) -> float:
    """Forward and backward, of a picture that was attacked."""
    found = recorded(KEYS[0])
    mine = found[(found["defense"] == defense) & (found["attack"] == JUDGED_BY[-1])]
    return float(mine[["forward", "backward"]].sum(axis=1).mean())


def standing(key: str, attack: str) -> pd.Series:
    """How many pictures an attack leaves right, by defence, of those of the attackers who know."""
    found = recorded(key, ATTACKERS_FILE)
    mine = found[found["attack"] == attack]
    return (mine["predicted"] == mine["label"]).groupby(mine["defense"].astype(str)).sum()


def against_each() -> str:
    """What one who knows each leaves: of ours and of the bare model, of those that keep most, and at larger
    sizes of any."""
    left = pd.DataFrame({key: standing(key, KNOWING) for key in KEYS})

    def told(keys: Iterable[str]) -> str:
        return ", ".join(f"{title_of(key)} {' / '.join(map(str, left.loc[key]))}" for key in keys)

    ours = ("default", "shift")
    most = [key for key in left.sum(axis=1).sort_values(ascending=False).index if key not in ours][:4]
    said = (
        f"**Against one who knows them nothing holds.** Of {_pictures(KNOWING)} pictures at 1/255 (second"
        f" table) he leaves, on the first model and on the second, {told(['none', *ours])}; and most of"
        f" {told(most)}. That is what ten steps of his found, and no bound."
    )
    if pictures := _pictures(UP_TO.format(LARGE)):
        kept = [
            f"{enumerated([str(standing(key, UP_TO.format(eps)).max()) for key in KEYS])} at {eps}/255"
            for eps in (4, LARGE)
        ]
        said += (
            f" Of {pictures} pictures that he may attack at any size up to eps, the row that keeps most keeps"
            f" {enumerated(kept)}."
        )
    return said


def _pictures(attack: str) -> int:
    """How many met it."""
    found = recorded(KEYS[0], ATTACKERS_FILE)
    return int(found[found["attack"] == attack]["index"].nunique())


def worth() -> str:
    return (
        "**A number is worth what the best attack makes of it** (third table). Every row is checked for signs"
        " of masked gradients (a black box, a transferred attack or noise that beats the gradient; pictures"
        f" that stand at {LARGE}/255; a larger eps or more steps that do less), and wears in the Arena what"
        " is found."
    )


def leaks() -> str:
    """Which rows read the label that an attack from the true one has told them."""
    rows = {defense for key in KEYS for defense, finding in marks(key).items() if finding.of("leak")}
    return (
        f"**From the true label** {named(rows)} score above clean, for the attack has told them the label;"
        " the tables start from the predicted one, which tells nothing."
        if rows
        else ""
    )


def proven() -> str:
    """How much the one row with a certificate proves at most."""
    config = SmoothingConfig()
    radius = radius_of(config.draws, config.draws, config.sigma, config.alpha)
    eps = 255 * linf_within(radius, 3 * IMAGE_SIZE**2)
    return (
        f"**{title_of('smoothing')} alone proves something**, and little: {radius:.3f} in l2 at most, which"
        f" is an eps of {eps:.3f}/255 ([more](assets/embedded/README.md#two-newer-rows)). What stands at"
        " 1/255 stands there unproven."
    )
