"""A run's settings in short, for whoever lays two runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from demo_core.attacks import ATTACKS, Attack
from demo_core.defenses import DEFENSES
from demo_core.story.page_words import KNOWING, NOBODY, PAGE_WORDS
from demo_core.story.settings import GREY_LEVEL, PERCENT, SETTINGS, Setting, Settings

SHOWN = 3  # labels that are written out
# Which settings count only under some attacks: (the attack's row, all settings) -> whether this one does.
_COUNTS: Mapping[str, Callable[[Attack, Settings], bool]] = MappingProxyType(
    {
        "eps": lambda row, settings: not row.visible,
        "step_size": lambda row, settings: not (row.single_step or row.own_step_size),
        "steps": lambda row, settings: not row.single_step,
        "patch": lambda row, settings: row.visible,
        "target": lambda row, settings: row.targeted,
        "adaptive": lambda row, settings: row.adaptable,
        "eot": lambda row, settings: settings.knows_defence,
    }
)


def summary(settings: Settings, control: bool = False) -> dict[str, Any]:
    """short: a line of what matters most; rows: [title, value as it is shown, value] of every setting that
    counts, two of which are the same only where their last are. control: nobody attacks."""
    chosen = settings.chosen()
    attack = ATTACKS[settings.attack]
    rows = []
    for name, row in SETTINGS.items():
        counts, title = _COUNTS.get(name), row.title.partition(",")[0]
        if control and name == "attack":
            rows.append([title, NOBODY, ""])
        elif (control and row.group == "attack" and name != "seed") or (
            counts and not counts(attack, settings)
        ):
            continue
        else:
            value = getattr(chosen, name)
            rows.append([title, _shown(row, value), str(value)])
    return {"short": _short(settings, control), "rows": rows}


def _short(settings: Settings, control: bool) -> str:
    row, defence = ATTACKS[settings.attack], DEFENSES[settings.defense].title
    if control:
        return f"{NOBODY}; {defence}"
    size = f"{settings.patch} {PERCENT}" if row.visible else f"{settings.eps * 255:g}/255"
    knows = f", {KNOWING}" if settings.knows_defence else ""
    return f"{row.title}, {size}{knows}; {defence}"


def _shown(row: Setting, value: Any) -> str:
    if row.rows:
        return str(row.rows()[value].title)
    if row.kind is bool:
        return PAGE_WORDS["yes" if value else "no"]
    if row.unit == GREY_LEVEL:
        return f"{value:g}/255"
    if row.name == "labels":
        names = value.split("\n")
        return f"{len(names)}: {', '.join(names[:SHOWN])}{' …' if len(names) > SHOWN else ''}"
    return f"{value} {row.unit}".strip()
