"""The figures of the project's README: what each defence leaves standing on the embedded models, and what to
make of it in sentences, every number of which is the records'."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import product

import pandas as pd

from demo_core.benchmark.charts import CAPTIONS
from demo_core.benchmark.checks import LARGE, leaves_fewer
from demo_core.benchmark.report import marks, shipped
from demo_core.benchmark.tables import table
from demo_core.benchmark.trials import CLEAN, attack_title
from demo_core.defenses import CONTROL, in_order, title_of
from demo_core.defenses.smoothing import SmoothingConfig, linf_within, radius_of
from demo_core.models import ASSETS, ATTACKERS_FILE, EMBEDDED, MODELS, RECORDS_FILE
from demo_core.photo import IMAGE_SIZE
from demo_core.story.gate_words import enumerated

KEYS = [key for key, row in MODELS.items() if row.embedded]
OURS = ("default", "shift")
FEW, CURVES = (CONTROL, "ttc", "dbd", "tvss", *OURS), "curves.png"  # rows of a chart, and its file
JUDGED_ON = "ImageNet"
WEAK, STRONG = "pgd@1+predicted", "pgd@4+predicted"  # attacks that know no defence
JUDGED_BY = (CLEAN, WEAK, STRONG)
ADAPTIVE = (CLEAN, WEAK, f"{WEAK}+adaptive")  # a picture stands against the last where it does under all
UP_TO = "pgd@{:g}+predicted+adaptive+upto"
BLACK_BOX = "square@4x200+predicted"
COMPARED = (STRONG, "transfer@4+predicted", BLACK_BOX)  # first one with a gradient of the row, then without
MARK = "⚠"

recorded, marked = cache(shipped), cache(marks)  # once for all documents and charts


def overview() -> str:
    """What to make of the tables, and the tables."""
    lines = (against_none(), against_each(), worth(), leaks(), proven())
    said = "\n".join(f"- {line}" for line in lines if line)
    chart = f"![{CAPTIONS['curves']}]({EMBEDDED.relative_to(ASSETS.parent).as_posix()}/{CURVES})"
    return "\n\n".join([said, chart, unknowing(), knowing(), without_gradient()])


# ---------------------------------------------------------------- what was recorded


def right(key: str, attacks: Sequence[str], file: str = RECORDS_FILE) -> pd.DataFrame:
    """Whether a model's answers are right, by defence and picture of JUDGED_ON, a column an attack, of the
    pictures that met them all under every defence."""
    found = recorded(key, file)
    assert found is not None  # the embedded models come with records
    found = found[(found["dataset"] == JUDGED_ON) & found["attack"].isin(attacks)]
    found = found.assign(right=found["predicted"] == found["label"]).astype({"attack": str, "defense": str})
    wide = found.pivot(index=["defense", "index"], columns="attack", values="right")
    met = wide.reindex(columns=list(attacks)).notna().all(axis=1).groupby("index").transform("all")
    return wide[met].astype(bool)


def how_many(key: str, attacks: Sequence[str], file: str = RECORDS_FILE) -> pd.DataFrame:
    """How many of these are right, by defence, a column an attack."""
    return right(key, attacks, file).groupby("defense").sum()


def pictures(found: pd.DataFrame) -> int:
    """How many pictures a frame by defence and picture is of."""
    return int(found.index.get_level_values("index").nunique())


def surviving(key: str) -> pd.Series:
    """How many pictures stand against an adaptive attacker who may also do less, by defence."""
    return right(key, ADAPTIVE, ATTACKERS_FILE).all(axis=1).groupby("defense").sum()


def mean_of_the_sets(records: pd.DataFrame) -> pd.Series:
    """By defence, in percent: what stands under JUDGED_BY in the mean, each set of as much weight."""
    accuracy = table(records)["accuracy"].unstack("attack")[list(JUDGED_BY)]
    return accuracy.mean(axis=1).groupby("defense").mean()


def passes(defense: str) -> float:
    """Forward and backward, of a picture that was attacked."""
    found = recorded(KEYS[0])
    mine = found[(found["defense"] == defense) & (found["attack"] == STRONG)]
    mine = mine[mine["dataset"] == JUDGED_ON]
    return float(mine[["forward", "backward"]].sum(axis=1).mean())


def suspicious(key: str, check: str | None = None) -> set[str]:
    """The rows that a check found a sign in, or any check."""
    found = marked(key).items()
    return {defense for defense, finding in found if (finding.of(check) if check else finding.signs)}


# ---------------------------------------------------------------- the tables


def heads(names: Sequence[str]) -> str:
    return f"| {' | '.join(names)} |\n{'|---' * len(names)}|"


def unknowing() -> str:
    """What each defence leaves standing on each embedded model, the best first, and what it costs."""
    counts = {key: right(key, JUDGED_BY) for key in KEYS}
    accuracy = {key: 100 * found.groupby("defense").mean()[list(JUDGED_BY)] for key, found in counts.items()}
    wide = {key: mean_of_the_sets(recorded(key)) for key in KEYS}
    lines = [
        f"{pictures(counts[KEYS[0]])} pictures of {JUDGED_ON}, accuracy in percent: clean /"
        f" {attack_title(WEAK)} / {attack_title(STRONG)}, and the mean of the three; beside it that mean over"
        f" {recorded(KEYS[0])['dataset'].nunique()} data sets, weighted equally. Passes are forward and"
        f" backward, of an attacked picture. {MARK}: a check found a sign of masked gradients, or of a label"
        " that the attack leaks, so that the numbers are not to be trusted. Without a defence not all fall,"
        " for the attack turns some answers right that were wrong.",
        "",
        heads(["defence", "passes", *(h for key in KEYS for h in (MODELS[key].title, "mean", "all sets"))]),
    ]
    for defense in accuracy[KEYS[0]].mean(axis=1).sort_values(ascending=False).index:
        cells = [title_of(defense), f"{passes(defense):.0f}"]
        for key in KEYS:
            mine = accuracy[key].loc[defense]
            mark = f"\N{NO-BREAK SPACE}{MARK}" if defense in suspicious(key) else ""
            cells.append(" / ".join(f"{value:.1f}" for value in mine) + mark)
            cells += [f"{mine.mean():.1f}", f"{wide[key][defense]:.1f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def knowing() -> str:
    """What an attacker who knows each defence leaves of it, beside what one does who knows none, on the same
    pictures."""
    counts = {key: right(key, ADAPTIVE, ATTACKERS_FILE) for key in KEYS}
    found = {
        key: 100 * mine.assign(**{ADAPTIVE[-1]: mine.all(axis=1)}).groupby("defense").mean()[list(ADAPTIVE)]
        for key, mine in counts.items()
    }
    lines = [
        f"{pictures(counts[KEYS[0]])} pictures of {JUDGED_ON}, accuracy in percent: clean /"
        f" {attack_title(WEAK)} / adaptive: right in both, and against the attacker who knows the defence,"
        " who keeps for each picture the strongest of two to five attacks.",
        "",
        heads(["defence", *(MODELS[key].title for key in KEYS)]),
    ]
    for defense in found[KEYS[0]].sort_values([ADAPTIVE[-1], WEAK], ascending=False).index:
        cells = [" / ".join(f"{value:.0f}" for value in found[key].loc[defense]) for key in KEYS]
        lines.append(f"| {' | '.join([title_of(defense), *cells])} |")
    return "\n".join(lines)


def without_gradient() -> str:
    """Which rows' numbers an attack without a gradient of them shows to be worth less, and by how much."""
    met = {key: right(key, COMPARED)[list(COMPARED)] for key in KEYS}
    lines = [
        f"{pictures(met[KEYS[0]])} pictures of {JUDGED_ON}, how many stand:"
        f" {' / '.join(map(attack_title, COMPARED))}. Bold: an attack that has no gradient of this row leaves"
        " fewer than the one that has, by more than chance. Rows without any are left out, but for the bare"
        " model.",
        "",
        heads(["defence", *(MODELS[key].title for key in KEYS)]),
    ]
    rows = in_order(met[KEYS[0]].index.unique("defense"))
    for defense in sorted(rows, key=lambda row: -met[KEYS[0]].loc[row, STRONG].sum()):
        cells = [_compared(met[key].loc[defense]) for key in KEYS]
        if defense == CONTROL or any("**" in cell for cell in cells):
            lines.append(f"| {' | '.join([title_of(defense), *cells])} |")
    return "\n".join(lines)


def _compared(stands: pd.DataFrame) -> str:
    """How many of a row's pictures stand, a column an attack; in bold where fewer do than under STRONG."""
    counts = stands.sum()
    bold = [leaves_fewer(stands[attack].to_numpy(), stands[STRONG].to_numpy()) for attack in stands]
    return " / ".join(f"**{count}**" if less else str(count) for count, less in zip(counts, bold))


# ---------------------------------------------------------------- what to make of them


def named(keys: Iterable[str]) -> str:
    return enumerated([title_of(key) for key in in_order(keys)])


def with_numbers(keys: Iterable[str], found: pd.DataFrame) -> str:
    """Rows with their numbers, one a model."""
    return ", ".join(f"{title_of(key)} {' / '.join(map(str, found.loc[key]))}" for key in keys)


def against_none() -> str:
    """Who is ahead of all in the mean over the sets, and who is next; and whose numbers one may trust."""
    first, second = zip(*(mean_of_the_sets(recorded(key)).nlargest(2).index for key in KEYS))

    def on_each(rows: Sequence[str]) -> str:
        told = [f"{title_of(row)} ({passes(row):.0f} passes)" for row in rows]
        if len(set(rows)) == 1:
            return f"{told[0]} on both models"
        return enumerated([f"{said} on {MODELS[key].title}" for key, said in zip(KEYS, told)])

    doubted = [key for key in dict.fromkeys((*first, *second)) if any(key in suspicious(m) for m in KEYS)]
    doubts = f" {named(doubted)} wear a {MARK}." if len(doubted) > 1 else ""
    return (
        "**Against attackers who know no defence** (first table), ahead in the mean over all sets is"
        f" {on_each(first)}; next is {on_each(second)}.{doubts}"
    )


def against_each() -> str:
    """What one who knows each leaves: of the bare model and of ours, of those that keep most, and at larger
    sizes of any."""
    left = pd.DataFrame({key: surviving(key) for key in KEYS})
    most = [key for key in left.sum(axis=1).sort_values(ascending=False).index if key not in OURS][:4]
    said = (
        "**Against an adaptive attacker, who knows the defence** (BPDA and others; second table), every row"
        f" loses much. Of {pictures(right(KEYS[0], ADAPTIVE, ATTACKERS_FILE))} pictures at 1/255 stand, on"
        f" the first model and on the second: {with_numbers([CONTROL, *OURS], left)}; the most with"
        f" {with_numbers(most, left)}. These are upper bounds: he takes ten steps, and one draw a step, which"
        " flatters rows that draw."
    )
    curve = [UP_TO.format(4), UP_TO.format(LARGE)]
    if all(len(right(key, curve, ATTACKERS_FILE)) for key in KEYS):
        kept = pd.DataFrame({key: how_many(key, curve, ATTACKERS_FILE).max() for key in KEYS})
        each = [f"{' / '.join(map(str, kept.loc[UP_TO.format(eps)]))} at {eps}/255" for eps in (4, LARGE)]
        said += (
            f" Of {pictures(right(KEYS[0], curve, ATTACKERS_FILE))} pictures that he may attack at any size"
            f" up to eps, no row keeps more than {enumerated(each)}."
        )
    return said


def worth() -> str:
    """That every row is checked, and what a black box leaves of ours."""
    left = pd.DataFrame({key: how_many(key, COMPARED)[BLACK_BOX] for key in KEYS})
    return (
        "**A number is worth what the best attack makes of it** (third table). Every row is checked for signs"
        " of masked gradients (a black box, a transferred attack or noise that beats the gradient; pictures"
        f" that stand at {LARGE}/255; a larger eps or more steps that do less), and wears a {MARK} where one"
        f" is found. {attack_title(BLACK_BOX)}, a black box, leaves"
        f" {with_numbers([CONTROL, *OURS], left)}."
    )


def leaks() -> str:
    """Which rows read the label that an attack tells them."""
    rows = {defense for key in KEYS for defense in suspicious(key, "leak")}
    accuracy = {key: how_many(key, JUDGED_BY) for key in KEYS}
    still = {
        row
        for row, (key, found) in product(rows, accuracy.items())
        if found.loc[row, [WEAK, STRONG]].max() > found.loc[row, CLEAN]
    }
    if not rows:
        return ""
    more = f" {named(still)} score above clean there, too." if still else ""
    return (
        f"**From the true label** {named(rows)} score above clean, for the attack has told them the label."
        f" The tables start from the predicted one, which leaks less.{more}"
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
