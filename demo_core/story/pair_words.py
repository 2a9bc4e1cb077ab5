"""What is said of two defences side by side. Part of words.py, which is all English of a run."""

from __future__ import annotations

from demo_core.defenses import DEFENSES
from demo_core.story import words
from demo_core.story.run import Run
from demo_core.story.settings import OFF, SETTINGS, Chosen

HELD = {True: "Stands", False: "Fallen"}


def stands(run: Run) -> bool | None:
    """Whether the right label, or where nobody knows it the clean prediction, is the defended answer; None
    before there is one."""
    return None if run.defended is None else run.is_right(run.defended)


def held(run: Run) -> str:
    """How it ended, in a word; empty before."""
    stood = stands(run)
    return "" if stood is None else HELD[stood]


def verdict(run: Run) -> str:
    """Where both rows stand, first what puts that in doubt; empty before both have answered."""
    if run.beside is None or not run.answered:
        return ""
    return " ".join(filter(None, [words.caveat(run), _attacker(run), _standing(run, run.beside)]))


def _attacker(run: Run) -> str:
    if run.control or not run.settings.knows_defence:
        return ""
    return f"The attacker knew “{run.defense.title}” alone."


def _standing(run: Run, other: Run) -> str:
    rows = sorted((run, other), key=lambda row: not stands(row))  # the one that stands comes first
    first, second = (f"“{row.defense.title}”" for row in rows)
    say, says = (f"“{row.label(row.defended)}”" for row in rows if row.defended is not None)
    what = "clean" if run.control else "attacked"
    told = f"of the very same {what} picture they say {say}{f' and {says}' if says != say else ''}."
    if stands(run) != stands(other):
        return f"{first} stands, {second} falls: {told}"
    return f"{first} and {second} both {'stand' if stands(run) else 'fall'}: {told}"


def tone(run: Run, other: Run) -> str:
    """Of both, as `words.tone`: what is true of each, else neither good nor bad."""
    one, two = words.tone(run), words.tone(other)
    return one if one == two else "wait" if "wait" in (one, two) else "other"


def taken(first: str) -> str:
    """Where two defences are taken away; first: the row of DEFENSES that the files of one show."""
    title = DEFENSES[first].title
    return (
        f"Two defences are on the stage. The page, the numbers and the exact floats hold both; the defended"
        f" picture, the animation and the figure show “{title}” alone, and their files’ names say so."
    )


def cost(chosen: Chosen, passes: int) -> str:
    """Beside the choice of the second row; passes: those that it takes on top."""
    said = SETTINGS["beside"].help
    if chosen.beside == OFF:
        return said
    title = DEFENSES[chosen.beside].title
    if chosen.second is None:
        return f"{said} “{title}” is the first one already: choose another."
    return f"{said} “{title}” takes about {passes:,} passes through the image tower on top; Stop ends it too."
