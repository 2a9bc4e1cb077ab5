"""A run's settings in short, for whoever lays two runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from demo_core.attacks import ATTACKS, Attack
from demo_core.defenses import DEFENSES
from demo_core.story.page_words import BESIDE, KNOWING, NOBODY, PAGE_WORDS
from demo_core.story.run import Run
from demo_core.story.settings import GREY_LEVEL, OFF, PERCENT, SETTINGS, Setting, Settings

SHOWN = 3  # labels that are written out
# Which settings only some attacks have: whether this row of ATTACKS does.
OF_ATTACK: Mapping[str, Callable[[Attack], bool]] = MappingProxyType(
    {
        "eps": lambda row: not row.visible,
        "step_size": lambda row: not (row.single_step or row.own_step_size),
        "steps": lambda row: not row.single_step,
        "patch": lambda row: row.visible,
        "target": lambda row: row.targeted,
    }
)


def summary(settings: Settings, control: bool = False) -> dict[str, Any]:
    """short: a line of what matters most; rows: [title, value as it is shown, value] of every setting that
    counts, two of which are the same only where their last are. control: nobody attacks."""
    chosen = settings.chosen()
    attack = ATTACKS[settings.attack]
    rows = []
    for name, row in SETTINGS.items():
        title = row.title.partition(",")[0]
        if control and name == "attack":
            rows.append([title, NOBODY, ""])
        elif (control and row.group == "attack" and name != "seed") or not _counts(name, attack, settings):
            continue
        else:
            value = getattr(chosen, name)
            rows.append([title, _shown(row, value), str(value)])
    return {"short": _short(settings, control), "rows": rows}


def alone(run: Run) -> str:
    """The short line of the first row, for a file that shows it without the one beside it."""
    return _short(run.under(beside=OFF).settings, run.control)


def _counts(name: str, attack: Attack, settings: Settings) -> bool:
    if name in OF_ATTACK:
        return OF_ATTACK[name](attack)
    return {
        "adaptive": attack.adaptable,
        "eot": settings.knows_defence,
        "beside": settings.second is not None,
    }.get(name, True)


def _short(settings: Settings, control: bool) -> str:
    row, rows = ATTACKS[settings.attack], filter(None, (settings.defense, settings.second))
    defence = BESIDE.join(DEFENSES[key].title for key in rows)
    if control:
        return f"{NOBODY}; {defence}"
    size = f"{settings.patch} {PERCENT}" if row.visible else f"{settings.eps * 255:g}/255"
    knows = f", {KNOWING}" if settings.knows_defence else ""
    return f"{row.title}, {size}{knows}; {defence}"


def listed(labels: Sequence[str]) -> str:
    """How many labels, and the first of them."""
    return f"{len(labels)}: {', '.join(labels[:SHOWN])}{' …' if len(labels) > SHOWN else ''}"


def _shown(row: Setting, value: Any) -> str:
    if row.rows:
        return str(row.rows()[value].title)
    if row.kind is bool:
        return PAGE_WORDS["yes" if value else "no"]
    if row.unit == GREY_LEVEL:
        return f"{value:g}/255"
    if row.name == "labels":
        return listed(value.split("\n"))
    return f"{value} {row.unit}".strip()
