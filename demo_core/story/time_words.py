"""What is said of how long work takes. Part of words.py, which is all English of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeGuard

from demo_core.stages import lasting

WORKING = "Working …"
LONG = 5.0  # seconds: what takes longer is told before it begins


def waiting(before: int, seconds: float | None = None, own: float | None = None) -> str:
    """Of one before whom so many come, for about so many seconds where that is known; where nobody does, his
    work is under way. own: seconds that it takes."""
    if not before:
        return working(own)
    return f"Waiting: {before} before you{'' if seconds is None else f', about {lasting(max(seconds, 1))}'}"


def working(seconds: float | None = None) -> str:
    """Of one whose turn it is; seconds: that his work takes."""
    return f"Working: about {lasting(seconds)} …" if is_long(seconds) else WORKING


def is_long(seconds: float | None) -> TypeGuard[float]:
    """Whether one is told how long a work takes, before it begins; what has no end known tells it itself."""
    return seconds is not None and LONG <= seconds < math.inf


def takes(seconds: float) -> str:
    """Beside a button."""
    return f"Takes about {lasting(seconds)} here."


def would_take(seconds: float, longest: float, advice: str) -> str:
    """The same of work that takes longer than the seconds that are given."""
    return f"Would take about {lasting(seconds)} here, and {lasting(longest)} are given: {advice}."


def too_long(seconds: float, longest: float, advice: str) -> str:
    """Of work that is not begun."""
    return (
        f"This would take about {lasting(seconds)} of computing, and {lasting(longest)} are given here:"
        f" {advice}."
    )


FITTING: Mapping[str, str] = {  # by the names of price.LESS
    "unknowing": "an attacker who does not know the defence",
    "alone": "nothing beside the defence",
    "defence": "another defence",
}


def advice(fits: int | str | None, smaller: bool) -> str:
    """What to do where work takes too long. fits: with which it would not, see price.what_fits; smaller:
    whether there are smaller models."""
    if isinstance(fits, int):
        choose = f"choose at most {fits} step{'s' * (fits > 1)}"
    else:
        choose = f"choose {FITTING[fits]}" if fits else "choose a smaller model" if smaller else ""
    return ", or ".join(filter(None, [choose, "run the demo on a machine of your own"]))
