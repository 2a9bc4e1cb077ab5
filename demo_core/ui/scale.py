"""A test as a drawing: its threshold, before what photographs did."""

from __future__ import annotations

from dataclasses import dataclass

from demo_core.defenses import Gate
from demo_core.story.axes import own_top
from demo_core.story.suspicion import Known

MIDDLE = (0.1, 0.5, 0.9)  # of a pile's pictures, where its bar begins, has its mark, and ends


@dataclass(frozen=True)
class Scale:
    """Each number is a share of the scale, from 0 to 1. value: a picture's, if one is drawn; line: the
    threshold; clean, attacked: where the middle of the study's pictures lies (see MIDDLE)."""

    value: float | None
    line: float | None
    clean: tuple[float, ...]
    attacked: tuple[float, ...]


def scaled(gate: Gate | None, known: Known | None, value: float | None = None) -> Scale | None:
    """None where there is nothing to compare with."""
    if gate is None and known is None:
        return None
    piles = (known.clean, known.attacked) if known else ()
    bars = [tuple(pile.quantile(level) for level in MIDDLE) for pile in piles]
    far = max([value or 0, *(end for bar in bars for end in bar)])
    top = own_top(gate, far) if gate else far
    line = gate.threshold / top if gate else None
    clean, attacked = [tuple(max(end, 0) / top for end in bar) for bar in bars] or [(), ()]
    return Scale(None if value is None else max(value, 0) / top, line, clean, attacked)
